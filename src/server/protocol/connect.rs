//! The [Connect protocol](https://connectrpc.com/docs/protocol), which browsers
//! and curl can use: its headers, content types and error codes.
//!
//! Connect has the same procedures and status codes as gRPC, over any version of
//! HTTP, in protobuf or JSON. `evaluation/connect` handles the calls.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};
use tonic::{Code, Status};

use super::{envelope, respond};

const VERSION: HeaderName = HeaderName::from_static("connect-protocol-version");
const TIMEOUT: HeaderName = HeaderName::from_static("connect-timeout-ms");

/// How messages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    /// Protobuf.
    Proto,
    /// JSON, as protobuf defines it.
    Json,
}

/// The content type of a request: how its messages are written, and how the
/// response spells the same content type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ContentType {
    /// For unary calls.
    Unary(Codec, &'static str),
    /// For streams.
    Stream(Codec, &'static str),
}

impl ContentType {
    /// All content types that are accepted.
    const ALL: [Self; 6] = [
        Self::Unary(Codec::Json, "application/json"),
        Self::Unary(Codec::Json, "application/json; charset=utf-8"),
        Self::Unary(Codec::Proto, "application/proto"),
        Self::Stream(Codec::Json, "application/connect+json"),
        Self::Stream(Codec::Json, "application/connect+json; charset=utf-8"),
        Self::Stream(Codec::Proto, "application/connect+proto"),
    ];

    /// The content type in a header; none if it is not accepted. Case and spaces
    /// around the semicolon do not matter. The only parameter that is accepted is
    /// `charset=utf-8`, for JSON.
    pub(crate) fn of(header: &HeaderValue) -> Option<Self> {
        let parts = |text| {
            let (kind, parameter) = str::split_once(text, ';').unwrap_or((text, ""));
            (kind.trim(), parameter.trim())
        };
        let given = parts(header.to_str().ok()?);
        Self::ALL.into_iter().find(|known| {
            let (Self::Unary(_, name) | Self::Stream(_, name)) = known;
            let (kind, parameter) = parts(name);
            given.0.eq_ignore_ascii_case(kind) && given.1.eq_ignore_ascii_case(parameter)
        })
    }
}

/// Checks the headers of a request, and returns how long the client waits, if it
/// says so. `encoding` is the header of the encoding, in which unary calls and
/// streams differ.
///
/// # Errors
///
/// Returns `UNIMPLEMENTED` for a compressed request, and `INVALID_ARGUMENT` for
/// another version of the protocol or a malformed timeout. The header of the
/// version may be missing, as curl has it.
pub(crate) fn checked(
    headers: &HeaderMap,
    encoding: &HeaderName,
) -> Result<Option<Duration>, Status> {
    envelope::not_encoded(headers, encoding)?;
    match headers.get(VERSION) {
        Some(version) if !version.is_empty() && version != "1" => {
            let version = respond::quoted(version);
            let text = format!("Connect-Protocol-Version must be \"1\": got {version}");
            Err(Status::invalid_argument(text))
        }
        _ => headers.get(TIMEOUT).map_or(Ok(None), timeout),
    }
}

/// How long the client waits, in milliseconds of at most 10 characters; none if
/// the header is empty. A negative time has passed already and counts as zero.
fn timeout(header: &HeaderValue) -> Result<Option<Duration>, Status> {
    if header.is_empty() {
        return Ok(None);
    }
    let text = header.to_str().ok().filter(|text| text.len() <= 10);
    let millis = text.and_then(|text| text.parse::<i64>().ok()).ok_or_else(|| {
        let got = respond::quoted(header);
        let text = format!("Connect-Timeout-Ms must be milliseconds, 10 digits at most: got {got}");
        Status::invalid_argument(text)
    })?;
    Ok(Some(Duration::from_millis(u64::try_from(millis).unwrap_or_default())))
}

/// The [code](https://connectrpc.com/docs/protocol#error-codes) of a status, and
/// the HTTP status of a unary call that ends with it. A status that this server
/// does not use counts as unknown.
fn code(code: Code) -> (&'static str, u16) {
    match code {
        Code::InvalidArgument => ("invalid_argument", 400),
        Code::NotFound => ("not_found", 404),
        Code::DataLoss => ("data_loss", 500),
        Code::ResourceExhausted => ("resource_exhausted", 429),
        Code::Unimplemented => ("unimplemented", 501),
        Code::Cancelled => ("canceled", 499),
        Code::DeadlineExceeded => ("deadline_exceeded", 504),
        Code::Unavailable => ("unavailable", 503),
        Code::Internal => ("internal", 500),
        _ => ("unknown", 500),
    }
}

/// The HTTP status of a unary call that ends with this status.
pub(crate) fn http_status(status: Code) -> StatusCode {
    StatusCode::from_u16(code(status).1).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// An error as JSON, without details, which flagd never sends:
///
/// ```json
/// {"code": "not_found", "message": "Flag not found"}
/// ```
pub(crate) fn error(status: &Status) -> Value {
    json!({"code": code(status.code()).0, "message": status.message()})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types() {
        let of = |text: &'static str| ContentType::of(&HeaderValue::from_static(text));
        for (given, codec, name) in [
            ("application/json", Codec::Json, "application/json"),
            ("Application/JSON;charset=UTF-8", Codec::Json, "application/json; charset=utf-8"),
            ("application/proto", Codec::Proto, "application/proto"),
        ] {
            assert_eq!(of(given), Some(ContentType::Unary(codec, name)));
        }
        for (given, codec, name) in [
            ("Application/Connect+JSON", Codec::Json, "application/connect+json"),
            (
                "application/connect+json;charset=UTF-8",
                Codec::Json,
                "application/connect+json; charset=utf-8",
            ),
            ("application/connect+proto", Codec::Proto, "application/connect+proto"),
        ] {
            assert_eq!(of(given), Some(ContentType::Stream(codec, name)));
        }
        for text in [
            "",
            "text/plain",
            "application/json; charset=latin1",
            "application/jsonx",
            "application/connect",
            "application/connect+xml",
            "application/connect+json; x=y",
            "application/grpc-web",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn timeouts() {
        let of = |text: &'static str| timeout(&HeaderValue::from_static(text)).ok();
        let millis = |millis| Some(Some(Duration::from_millis(millis)));
        assert_eq!(of(""), Some(None));
        assert_eq!((of("0"), of("-1"), of("+5")), (millis(0), millis(0), millis(5)));
        assert_eq!(of("9999999999"), millis(9_999_999_999));
        for text in ["99999999999", "1.5", "abc", " ", "0x5"] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
