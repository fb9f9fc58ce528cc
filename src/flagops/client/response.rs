//! What a response of a store means. Pure: status, headers and body in, error out.
//!
//! The original data store sends errors without a body, and `404 page not found` for a
//! path that it does not have. Ours sends problem details
//! ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)) with a `status` that is a number.
//! Anything else, such as the HTML of a proxy, did not come from a store.
//!
//! | status | body | meaning |
//! |---|---|---|
//! | 404 | none, `{}`, problem details | it does not exist |
//! | 404 | anything else | the server has no such path |
//! | 500 | none | the original: perhaps the identity does not exist |
//! | 502, 503, 504, 429, 408 | | it may pass |

use std::time::Duration;

use http::{HeaderMap, StatusCode, header::RETRY_AFTER};
use serde_json::Value;

use crate::flagops::error::{FactsError, Rejection};

/// A complete response, with any status.
pub(crate) struct Received {
    /// The method and the URL, for messages.
    pub(crate) request: String,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: hyper::body::Bytes,
}

impl Received {
    /// The response, if it is a success.
    pub(crate) fn success(self) -> Result<Self, FactsError> {
        if self.status.is_success() { Ok(self) } else { Err(self.error()) }
    }

    /// Whether the server does not have this path at all.
    pub(crate) fn is_unknown_path(&self) -> bool {
        match self.status {
            StatusCode::NOT_FOUND => !self.is_of_a_store(),
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => true,
            _ => false,
        }
    }

    /// Whether this is how the original says that an identity does not exist, if it is
    /// not a failure.
    pub(crate) fn is_blank_500(&self) -> bool {
        self.status == StatusCode::INTERNAL_SERVER_ERROR && self.body.is_empty()
    }

    /// Whether a store may have sent this error.
    fn is_of_a_store(&self) -> bool {
        self.body.is_empty() || self.body.trim_ascii() == b"{}" || problem(&self.body).is_some()
    }

    /// The error that the response stands for.
    pub(crate) fn error(&self) -> FactsError {
        if self.is_unknown_path() {
            let reason = "the server does not have this path: check the URL, and whether it is the \
                          original data store, which has fewer";
            return FactsError::Unsupported { request: self.request.clone(), reason };
        }
        let problem = problem(&self.body);
        let member = |name| Some(problem.as_ref()?.get(name)?.as_str()?.to_owned());
        let rejection = Rejection {
            request: self.request.clone(),
            status: self.status,
            detail: member("detail").or_else(|| member("title")),
            code: member("code"),
        };
        match self.status.as_u16() {
            401 => FactsError::Unauthorized(rejection),
            403 => FactsError::Forbidden(rejection),
            404 => FactsError::NotFound(rejection),
            409 | 412 => FactsError::Conflict(rejection),
            408 | 425 | 429 | 500..=599 => {
                FactsError::Unavailable { rejection, retry_after: retry_after(&self.headers) }
            }
            400..=499 => FactsError::Invalid(rejection),
            _ => self.unexpected(format!("returned {}", self.status)),
        }
    }

    /// Deserializes the body. The message does not quote it, since it may be a secret.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(
        &self,
        expected: &str,
    ) -> Result<T, FactsError> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            let found = if error.is_data() { "something else" } else { "invalid JSON" };
            self.unexpected(format!(
                "expected {expected}, got {found} at line {line}, column {column}"
            ))
        })
    }

    pub(crate) fn unexpected(&self, reason: String) -> FactsError {
        FactsError::Unexpected { request: self.request.clone(), reason }
    }

    /// The header as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The header `Flagops-Sequence`: the response has every change up to this number.
    pub(crate) fn sequence(&self) -> Option<u64> {
        self.header("flagops-sequence")?.trim().parse().ok()
    }

    /// The header `ETag` without its quotes.
    pub(crate) fn etag(&self) -> Option<String> {
        let tag = self.header("etag")?.trim();
        Some(tag.trim_start_matches("W/").trim_matches('"').to_owned())
    }
}

/// The problem details of an error: a JSON object with a numeric `status`.
fn problem(body: &[u8]) -> Option<Value> {
    let body: Value = serde_json::from_slice(body).ok()?;
    body.get("status")?.is_number().then_some(body)
}

/// `Retry-After` in seconds. One with a date is ignored.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(status: u16, body: &'static str) -> Received {
        Received {
            request: "GET http://h/api/fact/a".to_owned(),
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: body.into(),
        }
    }

    /// The variant's name.
    fn kind(status: u16, body: &'static str) -> String {
        let shown = format!("{:?}", received(status, body).error());
        shown.split(|c: char| !c.is_alphanumeric()).next().unwrap().to_owned()
    }

    #[test]
    fn statuses() {
        let problem = r#"{"status":404,"detail":"no such fact","code":"fact_not_found"}"#;
        for (status, body, expected) in [
            (404, "", "NotFound"),
            (404, "{}\n", "NotFound"),
            (404, problem, "NotFound"),
            (404, "404 page not found", "Unsupported"),
            (404, "<html>", "Unsupported"),
            (404, r#"{"status":"404"}"#, "Unsupported"),
            (405, "", "Unsupported"),
            (501, "", "Unsupported"),
            (400, "", "Invalid"),
            (413, "", "Invalid"),
            (401, "", "Unauthorized"),
            (403, "", "Forbidden"),
            (409, "", "Conflict"),
            (412, "", "Conflict"),
            (429, "", "Unavailable"),
            (500, "", "Unavailable"),
            (503, "<html>", "Unavailable"),
            (302, "", "Unexpected"),
        ] {
            assert_eq!(kind(status, body), expected, "{status} {body}");
        }
        let error = received(404, problem).error();
        let text =
            "GET http://h/api/fact/a returned 404 Not Found (no such fact): it does not exist";
        assert_eq!(error.to_string(), text);
        let FactsError::NotFound(rejection) = error else { panic!("{error}") };
        assert_eq!(rejection.code(), Some("fact_not_found"));
    }

    #[test]
    fn a_time_to_wait_is_kept() {
        let mut response = received(503, "");
        response.headers.insert(RETRY_AFTER, "7".parse().unwrap());
        let error = response.error();
        let after = Some(Duration::from_secs(7));
        assert!(
            matches!(&error, FactsError::Unavailable { retry_after, .. } if *retry_after == after)
        );
        assert!(error.is_temporary());
    }

    #[test]
    fn no_body_is_quoted() {
        let error = received(200, r#"{"password":5, hush"#).json::<Vec<String>>("an array");
        assert!(!error.unwrap_err().to_string().contains("hush"));
    }
}
