//! What a stream sent last.

use super::snapshot::Snapshot;

/// The version of the flags that a stream sent last, and how often flags had been
/// touched by then.
///
/// It does not keep the flags alive, however far a client lags behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) version: u64,
    pub(crate) touches: u64,
}

impl Told {
    pub(crate) fn new(snapshot: &Snapshot) -> Self {
        Self { version: snapshot.version, touches: snapshot.touches }
    }

    /// The same, for a stream to which touches mean nothing.
    pub(crate) fn but_touches(self, now: &Snapshot) -> Self {
        Self { touches: now.touches, ..self }
    }
}
