//! What a stream sent last.

/// The version of the flags that a stream sent last, and how often flags had been
/// touched by then.
///
/// It does not keep the flags alive, however far a client lags behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SentVersion {
    pub(crate) version: u64,
    pub(crate) touches: u64,
}
