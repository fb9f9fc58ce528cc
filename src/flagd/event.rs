//! The events of a provider, and the flags that an event is about.
//!
//! This module has only data. Events are emitted in `provider` and received
//! through [`FlagdProvider::events`](crate::FlagdProvider::events).

use std::sync::Arc;

/// An event of the provider.
///
/// The first four are the [provider events] of the OpenFeature specification,
/// which the SDK for Rust does not have yet. Receive them with
/// [`FlagdProvider::events`](crate::FlagdProvider::events). The cache is updated
/// before an event is emitted, so that a program which evaluates a flag on
/// receipt of an event gets the new value.
///
/// ```
/// use flagstaff::ProviderEvent;
///
/// /// What to do about an event, for a program that keeps a value derived from `limits`.
/// fn must_reload(event: &ProviderEvent) -> bool {
///     match event {
///         ProviderEvent::ConfigurationChanged(flags) => flags.contains("limits"),
///         // A change may have been among the events that were missed.
///         ProviderEvent::Lagged(_) => true,
///         _ => false,
///     }
/// }
/// # assert!(must_reload(&ProviderEvent::Lagged(3)));
/// # assert!(!must_reload(&ProviderEvent::Ready));
/// ```
///
/// [provider events]: https://openfeature.dev/specification/sections/events
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProviderEvent {
    /// `PROVIDER_READY`: flagd, or the source of flags, is connected, and flags
    /// are evaluated.
    Ready,
    /// `PROVIDER_STALE`: the connection was lost, or the newest flag definition
    /// is invalid. Cached results, or the last valid configuration, may be out of
    /// date.
    Stale,
    /// `PROVIDER_ERROR`: flagd, or the source of flags, is unreachable; or a flag
    /// definition is invalid, and the message names the flag, the line and the
    /// column.
    Error {
        /// What went wrong.
        message: String,
        /// Whether the provider has given up (`PROVIDER_FATAL`) and will not
        /// reconnect.
        fatal: bool,
    },
    /// `PROVIDER_CONFIGURATION_CHANGED`: flags have changed. The same change may
    /// be reported more than once.
    ConfigurationChanged(ChangedFlags),
    /// This subscriber was too slow and has missed this many events, possibly
    /// flag changes among them. The event that matches the current state follows.
    Lagged(u64),
}

/// Which flags have changed.
///
/// ```
/// use flagstaff::flagd::ChangedFlags;
///
/// /// Keeps values by flag key, as long as the flags do not change.
/// fn forget(kept: &mut Vec<(String, f64)>, changed: &ChangedFlags) {
///     kept.retain(|(key, _)| !changed.contains(key));
/// }
///
/// let mut kept = vec![("limit".to_owned(), 10.0), ("ratio".to_owned(), 0.5)];
/// forget(&mut kept, &ChangedFlags::Keys(["limit".to_owned()].into()));
/// assert_eq!(kept, [("ratio".to_owned(), 0.5)]);
/// forget(&mut kept, &ChangedFlags::All);
/// assert!(kept.is_empty());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChangedFlags {
    /// Any flag may have changed.
    ///
    /// With the resolver `rpc`: flagd did not name the flags, or the provider was
    /// disconnected and does not know what it has missed; or fields of a
    /// [`ContextSource`](crate::ContextSource) have changed, and only flagd knows
    /// which rules read them. With the other resolvers: the sync context has changed,
    /// which every rule may read.
    All,
    /// The flags with these keys have changed, were added, or were removed; or their
    /// rules read a field of a [`ContextSource`](crate::ContextSource) that has
    /// changed.
    Keys(Arc<[String]>),
}

impl ChangedFlags {
    /// Whether the flag with this key may have changed.
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
    /// Whether there is no such flag.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Keys(keys) if keys.is_empty())
    }
}
