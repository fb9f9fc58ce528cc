//! The one deadline of a request, its redirects and the body of the response.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::error::ClientError;

/// When a request must have ended, with the body of its response.
#[derive(Clone, Copy)]
pub(super) struct Deadline {
    pub(super) at: Instant,
    /// The timeout that led to it, for the error.
    pub(super) after: Duration,
}

impl Deadline {
    /// Runs a part of the request, until the deadline at most.
    pub(super) async fn bound<T>(
        self,
        name: &str,
        step: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        match timeout_at(self.at, step).await {
            Ok(ended) => ended,
            Err(_) => Err(ClientError::TimedOut(name.to_owned(), self.after)),
        }
    }
}
