//! The version of the fields, which grows with each change of a fact that an evaluation
//! may have used.

use std::future::pending;

use tokio::sync::watch;

/// Counts the changes.
#[derive(Debug, Default)]
pub(super) struct Versions(watch::Sender<u64>);

impl Versions {
    /// Records that fields with these names have changed. Without any name, nothing has.
    pub(super) fn changed(&self, names: impl IntoIterator<Item = String>) {
        if names.into_iter().next().is_some() {
            self.0.send_modify(|version| *version += 1);
        }
    }

    /// Waits until the version is newer than `seen`. It is cancel-safe.
    pub(super) async fn since(&self, seen: u64) -> u64 {
        let mut versions = self.0.subscribe();
        // The sender lives as long as this future.
        let version = versions.wait_for(|version| *version > seen).await.map(|version| *version);
        match version {
            Ok(version) => version,
            Err(_) => pending().await,
        }
    }
}
