//! What happens to a provider, as data.

use std::sync::Arc;

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
    /// `PROVIDER_ERROR`: flagd, or the source of flags, is unreachable; or a flag definition is
    /// invalid, and the message names the flag, the line and the column.
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
