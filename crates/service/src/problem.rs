//! Errors as problem details ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)).

use std::time::Duration;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use crate::{describe, storage::StorageError};

/// An error for a client.
///
/// Its JSON always contains the number `status`: a client that takes the body of an error for
/// a map of strings fails, instead of using it.
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    /// A URI for the kind of problem; this crate has no more to say than the title.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The name of the status.
    title: &'static str,
    /// The status of the response.
    status: u16,
    /// What failed and what to do.
    detail: String,
    /// A word for programs, which does not change.
    code: &'static str,
    /// After how many seconds to try again, for the header `retry-after`.
    #[serde(skip)]
    retry_after: Option<u64>,
}

impl Problem {
    /// A problem with a status, a word for programs and a sentence for people.
    #[must_use]
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.into(),
            code,
            retry_after: (status == StatusCode::SERVICE_UNAVAILABLE).then_some(1),
        }
    }

    /// 400: the request is invalid.
    #[must_use]
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", detail)
    }

    /// 429: the client has attempted something too often.
    #[must_use]
    pub fn too_many_attempts(wait: Duration) -> Self {
        let seconds = wait.as_millis().div_ceil(1_000).max(1);
        let detail = format!("too many attempts from your address: try again in {seconds} s");
        Self {
            retry_after: u64::try_from(seconds).ok(),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts", detail)
        }
    }

    /// The status of the response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// A word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// The name of the status.
    #[must_use]
    pub fn title(&self) -> &'static str {
        self.title
    }

    /// What failed and what to do.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The value of the header `retry-after`.
    pub(crate) fn retry_after(&self) -> Option<HeaderValue> {
        self.retry_after.map(HeaderValue::from)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        let mut response = (status, axum::Json(&self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after() {
            headers.insert(header::RETRY_AFTER, seconds);
        }
        // For a layer that shows it in another form.
        response.extensions_mut().insert(self);
        response
    }
}

/// The client gets no detail of the database; the log does.
impl From<StorageError> for Problem {
    fn from(error: StorageError) -> Self {
        if matches!(error, StorageError::Nul) {
            return Self::invalid("the request contains the character NUL");
        }
        tracing::error!(error = describe(&error), "the storage failed");
        match error {
            StorageError::Uncertain(_) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "outcome_unknown",
                "the connection to the database broke during the commit: the change may have been \
                 stored or not, so read before you repeat it",
            ),
            error if error.is_temporary() => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "storage_unavailable",
                "the database is unavailable, and nothing was changed: try again later",
            ),
            _ => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "an internal error, which the log of the server describes",
            ),
        }
    }
}
