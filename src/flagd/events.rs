//! What the provider tells those who watch it.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_core::Stream;
use tokio::sync::{broadcast, watch};
use tokio_stream::wrappers::{BroadcastStream, errors::BroadcastStreamRecvError};

use super::shared::Snapshot;

/// How many events a subscriber may be behind before it misses some.
pub(crate) const BACKLOG: usize = 256;

/// Something that happened to the provider.
///
/// The first four are the provider events of the OpenFeature specification, section 5.1.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProviderEvent {
    /// `PROVIDER_READY`: the source of flags is connected, and flags are evaluated.
    Ready,
    /// `PROVIDER_STALE`: the connection is lost, or the newest flag definition is not valid; what is
    /// cached, or was read before, may be out of date.
    Stale,
    /// `PROVIDER_ERROR`: flagd, or the source of flags, is out of reach; or a flag definition is not
    /// valid, of which the message names flag, line and column.
    Error {
        /// What went wrong.
        message: String,
        /// Whether the provider has given up (`PROVIDER_FATAL`).
        fatal: bool,
    },
    /// `PROVIDER_CONFIGURATION_CHANGED`: flags have changed. A change may be told more than once.
    ConfigurationChanged(ChangedFlags),
    /// This subscriber was slow, and as many events have passed it by, flag changes perhaps among
    /// them. The event that matches the current state follows.
    Lagged(u64),
}

/// Which flags have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangedFlags {
    /// Any flag may have changed: flagd did not say which, or the provider was away. Evaluation in
    /// this process says so only when the facts for all rules have changed.
    All,
    /// The flags with these keys.
    Keys(Arc<[String]>),
}

impl ChangedFlags {
    /// Whether the flag `key` may have changed.
    ///
    /// ```
    /// use flagstaff::flagd::ChangedFlags;
    ///
    /// assert!(ChangedFlags::All.contains("new-checkout"));
    /// assert!(!ChangedFlags::Keys(["other".to_owned()].into()).contains("new-checkout"));
    /// ```
    #[must_use]
    pub fn contains(&self, key: &str) -> bool {
        match self {
            Self::All => true,
            Self::Keys(keys) => keys.iter().any(|changed| changed == key),
        }
    }
}

/// The events of one provider, from [`FlagdProvider::events`](crate::FlagdProvider::events).
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
