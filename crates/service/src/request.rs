//! What handlers read from requests: JSON, queries, paths and entity tags, with problem details
//! for what is wrong with them.

use axum::{
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, request::Parts},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use percent_encoding::percent_decode_str;
use ring::digest::{SHA256, digest};
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// A body of JSON, whatever its media type is called.
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let body = Bytes::from_request(request, state).await.map_err(|error| {
            let status = error.status();
            if status == StatusCode::PAYLOAD_TOO_LARGE {
                Problem::new(status, "body_too_large", "the body is too long")
            } else {
                Problem::invalid(format!("cannot read the body: {error}"))
            }
        })?;
        let invalid = |reason: &str| {
            let detail = format!("invalid JSON: {reason}");
            Problem::new(StatusCode::BAD_REQUEST, "invalid_json", detail)
        };
        // serde would take an array for an object, field by field.
        if body.trim_ascii_start().starts_with(b"[") {
            return Err(invalid("expected an object, got an array"));
        }
        serde_json::from_slice(&body).map(Self).map_err(|error| invalid(&unquoted(&error)))
    }
}

/// What is wrong with JSON, without the value, which may be a secret.
fn unquoted(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(", expected ") {
        Some((quoted, expected)) if quoted.starts_with("invalid ") => {
            format!("expected {expected}")
        }
        _ => text,
    }
}

/// The parameters after the question mark.
#[derive(Clone, Copy, Debug)]
pub struct Params<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        check_query(parts.uri.query().unwrap_or_default())?;
        let query = Query::from_request_parts(parts, state).await;
        let invalid = |error| Problem::invalid(format!("the query is invalid: {error}"));
        query.map(|Query(params)| Self(params)).map_err(invalid)
    }
}

/// Demands that a query is UTF-8 once it is decoded: parsers replace what is not, and a replaced
/// prefix selects something else.
///
/// # Errors
///
/// 400 for a query that is not.
pub fn check_query(query: &str) -> Result<(), Problem> {
    let decoded = percent_decode_str(query).decode_utf8();
    let invalid =
        |_| Problem::invalid("the query is invalid: what its percent signs encode is not UTF-8");
    decoded.map(drop).map_err(invalid)
}

/// What stands in the path for the names of the route.
#[derive(Clone, Copy, Debug)]
pub struct InPath<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for InPath<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::from_request_parts(parts, state).await;
        let invalid = |error| Problem::invalid(format!("the path is invalid: {error}"));
        path.map(|Path(names)| Self(names)).map_err(invalid)
    }
}

/// The entity tags in a header, with their quotation marks.
///
/// # Errors
///
/// 400 for a header that is no text.
pub fn tags<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<Vec<&'a str>>, Problem> {
    let mut tags = None;
    for value in headers.get_all(name) {
        let invalid = |_| Problem::invalid(format!("the header {name} is invalid"));
        let value = value.to_str().map_err(invalid)?;
        tags.get_or_insert_with(Vec::new).extend(value.split(',').map(str::trim));
    }
    Ok(tags)
}

/// A strong entity tag of the content
/// ([RFC 9110](https://www.rfc-editor.org/rfc/rfc9110#section-8.8.3)).
#[must_use]
pub fn tag(body: &[u8]) -> HeaderValue {
    let hash = digest(&SHA256, body);
    let text = URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16]);
    HeaderValue::from_str(&format!("\"{text}\""))
        .unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// How many entries a page has: as many as were asked for, or `most`.
///
/// # Errors
///
/// 400 for less than 1 and more than `most`.
pub fn limit(asked: Option<i64>, most: i64) -> Result<i64, Problem> {
    match asked {
        None => Ok(most),
        Some(limit @ 1..) if limit <= most => Ok(limit),
        Some(_) => Err(Problem::invalid(format!("the limit is a number from 1 to {most}"))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use axum::body::Body;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct New {
        #[allow(dead_code, reason = "it is only read")]
        value: String,
    }

    #[tokio::test]
    async fn a_message_says_what_was_expected_and_not_what_was_sent() {
        for (body, detail) in [
            (r#" ["hunter2"]"#, "invalid JSON: expected an object, got an array"),
            (r#""hunter2""#, "invalid JSON: expected struct New at line 1 column 9"),
            (r#"{"value":12345678}"#, "invalid JSON: expected a string at line 1 column 17"),
            (
                r#"{"value":", expected "#,
                "invalid JSON: EOF while parsing a string at line 1 column 21",
            ),
            ("{}", "invalid JSON: missing field `value` at line 1 column 2"),
            (
                r#"{"valeu":"hunter2"}"#,
                "invalid JSON: unknown field `valeu`, expected `value` at line 1 column 8",
            ),
        ] {
            let request = Request::new(Body::from(body));
            let problem = Json::<New>::from_request(request, &()).await.unwrap_err();
            assert_eq!(problem.detail(), detail);
        }
    }
}
