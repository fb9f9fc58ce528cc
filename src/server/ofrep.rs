//! The OFREP port: evaluation of one flag and of all flags, over HTTP and JSON.
//!
//! [OFREP](https://openfeature.dev/specification/appendix-c) is OpenFeature's
//! protocol for remote evaluation. One flag:
//!
//! ```text
//! POST /ofrep/v1/evaluate/flags/new-checkout
//! {"context": {"targetingKey": "user-1"}}
//!
//! 200 {"value": true, "key": "new-checkout", "reason": "STATIC", "variant": "on", "metadata": {}}
//! 404 {"key": "...", "errorCode": "FLAG_NOT_FOUND", "errorDetails": "...", "metadata": {}}
//! 400 {"key": "...", "errorCode": "PARSE_ERROR", "errorDetails": "...", "metadata": {}}
//! ```
//!
//! All flags are at the path without a key. The response is
//! `{"flags": [...], "metadata": {}}` with such objects, and always 200 unless the
//! request itself is invalid. It has an `ETag`, so a client that polls receives a
//! 304 as long as nothing has changed for its context.
//!
//! Statuses and codes are those that docs/flagd.md lists under "OFREP" and
//! "Differences in the server". Bodies are written as bytes, in flagd's order of
//! the fields, without a JSON tree between.

use std::{fmt::Write, hash::BuildHasher, sync::Arc, time::Instant};

use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{ACCEPT_ENCODING, CONTENT_ENCODING, ETAG, IF_NONE_MATCH, RETRY_AFTER},
};
use hyper::body::Bytes;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::{
    body::{self, ReadError, Received, ResponseBody},
    core::Core,
};
use crate::{
    evaluator::{ErrorCode, Outcome, load::surrogates},
    excerpt::excerpt,
    server::{
        evaluation::{resolve::Evaluation, resolve_all},
        metrics::requests::Route,
        protocol::{envelope, respond, wire::Fields},
    },
};

/// The path at which all flags are evaluated. One flag is at its key below it.
pub(crate) const PATH: &str = "/ofrep/v1/evaluate/flags";
const JSON: &str = "application/json";

/// Responds to a request of the OFREP port.
pub(crate) async fn serve(
    core: Arc<Core>,
    request: Request<&mut Received>,
) -> Response<ResponseBody> {
    core.cors.around(request, |request| route(&core, request)).await
}

/// Finds the flag in the path, and measures the request.
///
/// A key is one segment of the path; a slash in it is written as `%2F`.
async fn route(core: &Core, request: Request<&mut Received>) -> Response<ResponseBody> {
    let (parts, body) = request.into_parts();
    let key = match parts.uri.path().strip_prefix(PATH) {
        Some("" | "/") => None,
        Some(path) if path.starts_with('/') && !path[1..].contains('/') => {
            Some(percent_decode_str(&path[1..]).decode_utf8_lossy())
        }
        _ => return respond::not_found(),
    };
    if parts.method != Method::POST {
        return respond::only_post();
    }
    let began = Instant::now();
    let response = handle(core, key.as_deref(), &parts.headers, body).await;
    let route = if key.is_some() { Route::OfrepFlag } else { Route::OfrepAll };
    core.metrics.requests.finished(route, response.status(), began.elapsed());
    response
}

/// Reads the body, if it can be read, and evaluates.
async fn handle(
    core: &Core,
    key: Option<&str>,
    headers: &HeaderMap,
    body: &mut Received,
) -> Response<ResponseBody> {
    if let Err(status) = envelope::not_encoded(headers, &CONTENT_ENCODING) {
        let body = serde_json::json!({"errorDetails": status.message()}).to_string();
        let response = respond::content(StatusCode::UNSUPPORTED_MEDIA_TYPE, JSON, body);
        return respond::with(response, ACCEPT_ENCODING, envelope::IDENTITY);
    }
    match body::read(body, core.max_body).await {
        Ok(bytes) => evaluate(core, key, headers, &bytes).await,
        Err(ReadError::TooLarge) => {
            let body = r#"{"errorDetails":"request body too large"}"#;
            respond::content(StatusCode::PAYLOAD_TOO_LARGE, JSON, body)
        }
        Err(ReadError::Incomplete) => respond::status(StatusCode::REQUEST_TIMEOUT),
    }
}

/// The response while there are no flags, or no fields of the context source. The
/// client keeps the flags that it has, and tries again after a second.
fn unavailable(details: &str) -> Response<ResponseBody> {
    let body = serde_json::json!({"errorDetails": details}).to_string();
    let response = respond::content(StatusCode::SERVICE_UNAVAILABLE, JSON, body);
    respond::with(response, RETRY_AFTER, "1")
}

/// The context of a request; none if the body is not a JSON object.
///
/// It is as lenient as flagd: an empty body, `null`, and an object without a
/// `context` are an empty context, the case of the name does not matter, and
/// whatever follows the object is ignored. What is not UTF-8, and surrogates
/// without a partner, are replaced.
fn context(bytes: &Bytes) -> Option<Map<String, Value>> {
    let text = String::from_utf8_lossy(bytes);
    let text = surrogates::mended(&text);
    let mut values =
        serde_json::Deserializer::from_str(&text).into_iter::<Option<Map<String, Value>>>();
    let fields = match values.next() {
        None | Some(Ok(None)) => return Some(Map::new()),
        Some(Ok(Some(fields))) => fields,
        Some(Err(_)) => return None,
    };
    let context = fields.into_iter().rfind(|(name, _)| name.eq_ignore_ascii_case("context"));
    Some(match context {
        Some((_, Value::Object(context))) => context,
        _ => Map::new(),
    })
}

/// Evaluates, in this order: context, selector, wait for the flags, context source.
async fn evaluate(
    core: &Core,
    key: Option<&str>,
    headers: &HeaderMap,
    bytes: &Bytes,
) -> Response<ResponseBody> {
    let Some(context) = context(bytes) else {
        return failed(key, "INVALID_CONTEXT", "Provider context is not valid");
    };
    let selector = match core.selector(headers, "") {
        Ok(selector) => selector,
        Err(error) => return failed(key, "GENERAL", &format!("invalid selector: {error}")),
    };
    // A request that is invalid does not wait for the flags.
    if let Err(status) = core.ready_to_evaluate(|| None).await {
        return unavailable(status.message());
    }
    let context = core.static_context.over(&context, headers);
    let fields = match core.fields(&context).await {
        Ok(fields) => fields,
        Err(status) => return unavailable(status.message()),
    };
    let context = context.with_fields(fields.as_deref());
    let (flags, context) = (core.store.snapshot(), context.as_context());
    let evaluation = Evaluation { core, flags: &flags, selector: &selector, context };
    match key {
        Some(key) => one(&evaluation, key),
        None => all(&evaluation, headers),
    }
}

/// The response to a request that is invalid as such, whatever the flag. `key` is
/// there if one flag was requested.
fn failed(key: Option<&str>, code: &str, details: &str) -> Response<ResponseBody> {
    let mut text = String::from("{");
    if let Some(key) = key {
        let _ = write!(text, "\"key\":{},", Value::from(key));
    }
    let details = Value::from(details);
    let _ = write!(text, r#""errorCode":"{code}","errorDetails":{details},"metadata":null}}"#);
    respond::content(StatusCode::BAD_REQUEST, JSON, text)
}

/// The response with one flag. Null is not a value of any type, so a variant that
/// is null is a type mismatch.
fn one(evaluation: &Evaluation<'_>, key: &str) -> Response<ResponseBody> {
    let mut out = Vec::with_capacity(128);
    let metrics = &evaluation.core.metrics;
    let nothing = Map::new();
    let Some(outcome) = evaluation.evaluate(key, false) else {
        metrics.count(key, Err(ErrorCode::FlagNotFound));
        write_failure(&mut out, key, ErrorCode::FlagNotFound, evaluation.metadata(&nothing));
        return respond::content(StatusCode::NOT_FOUND, JSON, out);
    };
    let metadata = evaluation.metadata(outcome.metadata);
    let no_value = outcome.value.is_some_and(Value::is_null).then_some(ErrorCode::TypeMismatch);
    if let Some(failure) = outcome.error.or(no_value) {
        metrics.count(key, Err(failure));
        write_failure(&mut out, key, failure, metadata);
        respond::content(StatusCode::BAD_REQUEST, JSON, out)
    } else {
        metrics.count(key, Ok((outcome.variant, outcome.reason.as_str())));
        write_success(&mut out, key, &outcome, metadata);
        respond::content(StatusCode::OK, JSON, out)
    }
}

/// The response with all flags, or 304 if the client has it already.
///
/// The tag is a hash of the body and its length. The hash has a fixed seed, so
/// that several servers with the same flags have the same tags.
fn all(evaluation: &Evaluation<'_>, headers: &HeaderMap) -> Response<ResponseBody> {
    let mut out = Vec::from(*b"{\"flags\":[");
    for one in resolve_all::each(evaluation) {
        if out.last() != Some(&b'[') {
            out.push(b',');
        }
        match one.failure {
            Some(failure) => write_failure(&mut out, one.key, failure, one.metadata),
            None => write_success(&mut out, one.key, &one.outcome, one.metadata),
        }
    }
    out.extend_from_slice(b"],\"metadata\":");
    write_metadata(&mut out, evaluation.metadata(&Map::new()));
    out.push(b'}');

    let hash = foldhash::quality::FixedState::default().hash_one(&out);
    let tag = format!("\"{hash:016x}-{:x}\"", out.len());
    let known = headers.get_all(IF_NONE_MATCH).iter().any(|tags| is_among(tags, &tag));
    let mut response = if known {
        respond::status(StatusCode::NOT_MODIFIED)
    } else {
        respond::content(StatusCode::OK, JSON, out)
    };
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// Whether a tag is among those in one header `If-None-Match`. Weak tags match
/// too, because proxies that compress make tags weak.
fn is_among(tags: &HeaderValue, tag: &str) -> bool {
    let Ok(tags) = tags.to_str() else { return false };
    tags.split(',')
        .map(str::trim)
        .any(|other| other == "*" || other.strip_prefix("W/").unwrap_or(other) == tag)
}

/// Writes a value as JSON. Neither writing to memory nor values that came from
/// JSON can fail.
fn write_json(out: &mut Vec<u8>, value: &impl serde::Serialize) {
    let _ = serde_json::to_writer(out, value);
}

/// Writes a result. A flag without a value, which is disabled or has no default
/// variant, has neither `value` nor `variant`.
fn write_success(out: &mut Vec<u8>, key: &str, outcome: &Outcome<'_>, metadata: Fields<'_>) {
    out.push(b'{');
    if let Some(value) = outcome.value {
        out.extend_from_slice(b"\"value\":");
        write_json(out, value);
        out.push(b',');
    }
    out.extend_from_slice(b"\"key\":");
    write_json(out, &key);
    out.extend_from_slice(b",\"reason\":\"");
    out.extend_from_slice(outcome.reason.as_str().as_bytes());
    out.push(b'"');
    if let Some(variant) = outcome.variant.filter(|variant| !variant.is_empty()) {
        out.extend_from_slice(b",\"variant\":");
        write_json(out, &variant);
    }
    out.extend_from_slice(b",\"metadata\":");
    write_metadata(out, metadata);
    out.push(b'}');
}

/// Writes an error of one flag.
fn write_failure(out: &mut Vec<u8>, key: &str, failure: ErrorCode, metadata: Fields<'_>) {
    // `key` identifies the flag and stays whole; the message is for people and quotes a part.
    let quoted = excerpt(key);
    let (code, details) = match failure {
        ErrorCode::FlagNotFound => ("FLAG_NOT_FOUND", format!("flag `{quoted}` does not exist")),
        ErrorCode::ParseError => ("PARSE_ERROR", format!("error parsing the flag `{quoted}`")),
        ErrorCode::TypeMismatch | ErrorCode::General => {
            ("GENERAL", "error processing the flag for evaluation".to_owned())
        }
    };
    out.extend_from_slice(b"{\"key\":");
    write_json(out, &key);
    out.extend_from_slice(b",\"errorCode\":");
    write_json(out, &code);
    out.extend_from_slice(b",\"errorDetails\":");
    write_json(out, &details);
    out.extend_from_slice(b",\"metadata\":");
    write_metadata(out, metadata);
    out.push(b'}');
}

/// Writes metadata, with a copy only if the selector adds a field.
fn write_metadata(out: &mut Vec<u8>, metadata: Fields<'_>) {
    match metadata.added() {
        None => write_json(out, metadata.object),
        Some(_) => write_json(out, &resolve_all::object(metadata)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn contexts() {
        let context = |text: &'static str| context(&Bytes::from_static(text.as_bytes()));
        let a = json!({"a": 1}).as_object().unwrap().clone();
        assert_eq!(context(r#"{"context": {"a": 1}}"#), Some(a.clone()));
        assert_eq!(context(r#"{"Context": {"a": 1}} xyz"#), Some(a));
        let replaced = json!({"a": "\u{fffd}"}).as_object().unwrap().clone();
        assert_eq!(context(r#"{"context": {"a": "\ud800"}}"#), Some(replaced.clone()));
        let no_text = Bytes::from_static(b"{\"context\": {\"a\": \"\xff\"}}");
        assert_eq!(super::context(&no_text), Some(replaced));
        for text in ["", " ", "null", "{}", r#"{"context": 5}"#, r#"{"context": null}"#, "{}{"] {
            assert_eq!(context(text), Some(Map::new()), "{text}");
        }
        for text in ["{", "[]", "5", "\"x\"", "x"] {
            assert_eq!(context(text), None, "{text}");
        }
    }

    #[test]
    fn tags() {
        let is = |tags: &str| is_among(&HeaderValue::from_str(tags).unwrap(), "\"a\"");
        assert!(is("\"a\"") && is("W/\"a\"") && is("\"b\", \"a\"") && is("*"));
        assert!(!is("\"b\"") && !is("a") && !is(""));
    }
}
