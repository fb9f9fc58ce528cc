//! The stream of events of a provider.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::Stream;
use tokio::sync::{broadcast, watch};
use tokio_stream::wrappers::{BroadcastStream, errors::BroadcastStreamRecvError};

use super::snapshot::Snapshot;
use crate::flagd::event::ProviderEvent;

/// How many events a subscriber may be behind before it misses some.
pub(crate) const BACKLOG: usize = 256;

/// The events of one provider, from [`FlagdProvider::events`](crate::flagd::provider::FlagdProvider::events).
///
/// A [`Stream`], and with [`next`](Self::next) of its own, so that no extension trait is needed. It
/// ends when the provider shuts down or its last handle is dropped, and does not keep it alive.
#[derive(Debug)]
#[must_use]
pub struct Events {
    /// The event that matches the state at the time of subscription, or after a gap.
    current: Option<ProviderEvent>,
    state: watch::Receiver<Snapshot>,
    following: BroadcastStream<ProviderEvent>,
}

impl Events {
    pub(crate) fn new(
        state: watch::Receiver<Snapshot>,
        following: broadcast::Receiver<ProviderEvent>,
    ) -> Self {
        let current = state.borrow().event();
        Self { current, state, following: BroadcastStream::new(following) }
    }

    /// The next event; `None` when the provider is gone. It can be cancelled without loss.
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
