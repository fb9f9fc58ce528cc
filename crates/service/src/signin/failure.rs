//! Why somebody is not signed in.

use std::error::Error;

use axum::{
    http::{StatusCode, header},
    response::Response,
};
use oauth2::{RequestTokenError, basic::BasicRequestTokenError};

use super::{
    SendError,
    page::{Message, page},
};
use crate::{describe, page::Frame, problem::Problem};

/// The cause of a failure.
pub(super) type Cause = Box<dyn Error + Send + Sync>;

/// Why somebody is not signed in. No message contains a secret.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(
        "the sign-in took too long, was completed already, or began in another browser: sign in \
         again, in a browser that accepts cookies"
    )]
    Stale,
    #[error("the sign-in was cancelled at {0}")]
    Cancelled(String),
    #[error("{0}")]
    NotAllowed(String),
    #[error("{0} is unavailable: try again in a minute")]
    Unreachable(String, #[source] Cause),
    /// The second field says what was wrong, for the log.
    #[error(
        "{0} did not confirm who you are: try again; if it fails again, the log of the service \
         tells its administrator why"
    )]
    Unconfirmed(String, String),
    #[error("{}", .0.detail())]
    Problem(Problem),
}

impl Failure {
    fn status(&self) -> StatusCode {
        match self {
            Self::Stale => StatusCode::BAD_REQUEST,
            Self::Cancelled(_) | Self::NotAllowed(_) => StatusCode::FORBIDDEN,
            Self::Unreachable(..) | Self::Unconfirmed(..) => StatusCode::BAD_GATEWAY,
            Self::Problem(problem) => problem.status(),
        }
    }

    /// The page for it. The log has more to say.
    pub(super) fn page(&self, frame: &Frame) -> Response {
        match self {
            Self::Unreachable(..) => {
                tracing::warn!(error = describe(self), "a sign-in failed");
            }
            Self::Unconfirmed(provider, why) => {
                tracing::warn!(provider, why, "a provider did not confirm who signs in");
            }
            Self::NotAllowed(_) => tracing::warn!(error = %self, "a sign-in was rejected"),
            Self::Stale | Self::Cancelled(_) | Self::Problem(_) => {}
        }
        let text = self.to_string();
        let message = Message { frame, heading: "You are not signed in", text: &text };
        let mut response = page(self.status(), &message);
        if let Self::Problem(problem) = self
            && let Some(seconds) = problem.retry_after()
        {
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }

    /// Says why a provider did not exchange a code for a token. Its response may contain secrets
    /// and is not repeated.
    pub(super) fn exchange(provider: &str, error: BasicRequestTokenError<SendError>) -> Self {
        let provider = provider.to_owned();
        let code = match error {
            RequestTokenError::Request(source) => {
                return Self::Unreachable(provider, source.into());
            }
            RequestTokenError::ServerResponse(response) => Some(response.error().to_string()),
            // GitHub sends errors with the status 200.
            RequestTokenError::Parse(_, body) => {
                let body: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
                body.get("error").and_then(|it| it.as_str()).map(str::to_owned)
            }
            RequestTokenError::Other(_) => None,
        };
        match code.as_deref() {
            Some("invalid_grant" | "bad_verification_code") => Self::Stale,
            Some(code) => Self::Unconfirmed(provider, format!("the error code is {code:.100}")),
            None => Self::Unconfirmed(provider, "the response contains no valid token".to_owned()),
        }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}
