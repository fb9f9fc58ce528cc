//! The stream of events of a provider.
//!
//! Events travel over a broadcast channel with a bounded backlog, because a
//! subscriber that stops reading must cost the provider neither memory nor time.
//! The price is that a slow subscriber misses events. It learns how many, and
//! then receives the event of the current state, which is all that it needs to
//! continue: each state event describes the whole state, and
//! [`Lagged`](ProviderEvent::Lagged) means that any flag may have changed.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::Stream;
use tokio::sync::{broadcast, watch};
use tokio_stream::wrappers::{BroadcastStream, errors::BroadcastStreamRecvError};

use super::snapshot::Snapshot;
use crate::flagd::event::ProviderEvent;

/// How many events a subscriber may be behind before it misses the oldest.
pub(crate) const BACKLOG: usize = 256;

/// The events of one provider, from
/// [`FlagdProvider::events`](crate::flagd::provider::FlagdProvider::events).
///
/// It is a [`Stream`], and has a method [`next`](Self::next) of its own, so that
/// no extension trait is needed. It ends when the provider is shut down or its
/// last handle is dropped, and does not keep the provider alive.
///
/// Up to 256 events wait for a subscriber. One that falls further behind misses
/// the oldest and receives [`Lagged`](ProviderEvent::Lagged).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), flagstaff::FlagdError> {
/// use flagstaff::{FlagdOptions, FlagdProvider};
///
/// let options = FlagdOptions::builder().without_env().build()?;
/// let provider = FlagdProvider::new(options);
/// let mut events = provider.events();
/// provider.shutdown().await;
/// assert_eq!(events.next().await, None, "the provider has been shut down");
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use]
pub struct Events {
    /// The event to return first: that of the state at the time of subscription,
    /// or of the state after a gap.
    current: Option<ProviderEvent>,
    /// The state, to know it after a gap.
    state: watch::Receiver<Snapshot>,
    /// The events after the subscription.
    following: BroadcastStream<ProviderEvent>,
}

impl Events {
    /// Both must be taken while state and events are locked; see
    /// [`Shared`](super::shared::Shared).
    pub(crate) fn new(
        state: watch::Receiver<Snapshot>,
        following: broadcast::Receiver<ProviderEvent>,
    ) -> Self {
        let current = state.borrow().event();
        Self { current, state, following: BroadcastStream::new(following) }
    }

    /// Waits for the next event. Returns `None` once the provider was shut down
    /// or dropped.
    ///
    /// It is cancel-safe: no event is lost, so it can be used in
    /// `tokio::select!`.
    pub async fn next(&mut self) -> Option<ProviderEvent> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl Stream for Events {
    type Item = ProviderEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ProviderEvent>> {
        if let Some(event) = self.current.take() {
            return Poll::Ready(Some(event));
        }
        Pin::new(&mut self.following).poll_next(cx).map(|next| {
            next.map(|received| match received {
                Ok(event) => event,
                Err(BroadcastStreamRecvError::Lagged(missed)) => {
                    let current = self.state.borrow().event();
                    self.current = current;
                    ProviderEvent::Lagged(missed)
                }
            })
        })
    }
}
