//! Unary calls over Connect: plain HTTP requests and responses, without envelopes,
//! and errors by HTTP status
//! ([protocol](https://connectrpc.com/docs/protocol#unary-request)).
//!
//! ```text
//! POST /flagd.evaluation.v1.Service/ResolveBoolean
//! Content-Type: application/json
//! {"flagKey": "new-checkout", "context": {"targetingKey": "user-1"}}
//!
//! 200 {"value":true,"reason":"STATIC","variant":"on","metadata":{}}
//! 404 {"code":"not_found","message":"Flag not found"}
//! ```
//!
//! JSON is read into a map and written by hand, not by generated code, because
//! contexts and values are JSON to the evaluator already.

use std::{sync::Arc, time::Duration};

use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode,
    header::{ACCEPT_ENCODING, CONTENT_ENCODING},
};
use hyper::body::Bytes;
use prost::{Message as _, bytes::BytesMut};
use serde_json::{Map, Value, json};
use tonic::{Code, Status};

use crate::server::{
    body::{self, Received, ResponseBody},
    core::Core,
    evaluation::{
        request::{self, EvaluationRequest},
        resolve::{Evaluation, Resolved, Typed},
        resolve_all,
    },
    protocol::{
        connect::{Codec, checked, error, http_status},
        envelope, grpc,
        procedure::Procedure,
        received::{ResolveAllRequest, ResolveRequest, Struct},
        respond,
    },
};

/// The context of a request, in the form in which it came. Neither form is
/// converted to the other: a rule reads both.
enum Message {
    Proto(Struct),
    Json(Map<String, Value>),
}

impl Message {
    /// The context for the evaluation.
    fn context(&self) -> &(dyn crate::evaluator::Context + Sync) {
        match self {
            Self::Proto(context) => context,
            Self::Json(context) => context,
        }
    }
}

/// Responds to a unary call. A timeout of zero or less fails at once, because the
/// client no longer waits.
pub(crate) async fn serve(
    core: &Arc<Core>,
    procedure: Procedure,
    codec: Codec,
    content_type: &'static str,
    request: Request<&mut Received>,
) -> Response<ResponseBody> {
    let (parts, body) = request.into_parts();
    let result = async {
        let timeout = checked(&parts.headers, &CONTENT_ENCODING)?;
        if timeout.is_some_and(|timeout| timeout.is_zero()) {
            return Err(Status::deadline_exceeded("the client's timeout has passed"));
        }
        let bytes = body::read(body, core.max_body).await;
        let bytes = bytes.map_err(|error| grpc::unread(&error, core.max_body))?;
        evaluate(core, procedure, codec, &parts.headers, timeout, &bytes).await
    };
    match result.await {
        Ok(bytes) => respond::content(StatusCode::OK, content_type, bytes),
        Err(status) => failed(&status),
    }
}

/// Evaluates the request in `bytes`, and writes the body of the response.
async fn evaluate(
    core: &Core,
    procedure: Procedure,
    codec: Codec,
    headers: &HeaderMap,
    timeout: Option<Duration>,
    bytes: &Bytes,
) -> Result<Bytes, Status> {
    let (key, message) = decode(procedure, codec, bytes)?;
    let request =
        EvaluationRequest { headers, context: message.context(), client_timeout: &|| timeout };
    let Procedure::Resolve(kind, version) = procedure else {
        let write = |evaluation: &Evaluation<'_>| match codec {
            Codec::Proto => proto(|out| resolve_all::write(evaluation, out)),
            Codec::Json => Bytes::from(resolve_all::json(evaluation).to_string()),
        };
        return request.evaluate(core, write).await;
    };
    let write = |resolved: &Resolved<'_>| match codec {
        Codec::Proto => proto(|out| request::write(resolved, version, out)),
        Codec::Json => Bytes::from(json(resolved)),
    };
    request.resolve(core, &key, kind, version, write).await
}

/// What `write` writes, without an envelope.
fn proto(write: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut out = BytesMut::with_capacity(128);
    write(&mut out);
    out.freeze()
}

/// Reads the key of the flag, which is empty for an evaluation of all, and the
/// context.
///
/// In JSON, as protobuf defines it, names are in camel case or as in the `.proto`
/// file, null counts as absent, and unknown fields are ignored.
///
/// # Errors
///
/// Returns `INVALID_ARGUMENT` for a message that cannot be read.
fn decode(procedure: Procedure, codec: Codec, bytes: &Bytes) -> Result<(String, Message), Status> {
    if codec == Codec::Proto {
        let (key, context) = if procedure == Procedure::ResolveAll {
            let request =
                ResolveAllRequest::decode(&**bytes).map_err(|error| grpc::malformed(&error))?;
            (String::new(), request.context)
        } else {
            let request =
                ResolveRequest::decode(&**bytes).map_err(|error| grpc::malformed(&error))?;
            (request.flag_key, request.context)
        };
        return Ok((key, Message::Proto(context.unwrap_or_default())));
    }
    if bytes.is_empty() {
        return Err(grpc::malformed(&"zero-length payload is not a valid JSON object"));
    }
    let mut fields: Map<String, Value> =
        serde_json::from_slice(bytes).map_err(|error| grpc::malformed(&error))?;
    let mut take = |name: &str, other: &str| {
        let value = fields.remove(name).or_else(|| fields.remove(other));
        value.filter(|value| !value.is_null())
    };
    let key = match take("flagKey", "flag_key") {
        None => String::new(),
        Some(Value::String(key)) => key,
        Some(other) => {
            return Err(grpc::malformed(&format!(
                "invalid value for string field flagKey: {other}"
            )));
        }
    };
    match take("context", "context") {
        None => Ok((key, Message::Json(Map::new()))),
        Some(Value::Object(context)) => Ok((key, Message::Json(context))),
        Some(other) => {
            Err(grpc::malformed(&format!("invalid value for object field context: {other}")))
        }
    }
}

/// A result in protobuf's JSON format, in the order of the fields. 64-bit integers
/// are strings there.
fn json(resolved: &Resolved<'_>) -> String {
    let value = resolved.value.map(|value| match value {
        Typed::Boolean(value) => json!(value),
        Typed::String(value) => json!(value),
        Typed::Integer(value) => json!(value.to_string()),
        // Whole numbers are written without a fraction.
        Typed::Float(value) => whole(value).map_or(json!(value), Value::from),
        Typed::Object(object) => json!(object.cloned().unwrap_or_default()),
    });
    let metadata = Value::from(resolve_all::object(resolved.metadata));
    let fields = [
        ("value", value),
        ("reason", Some(resolved.reason.into())),
        ("variant", resolved.variant.map(Value::from)),
        ("metadata", Some(metadata)),
    ];
    let given = fields.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let written: Vec<_> = given.map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", written.join(","))
}

/// The integer that equals this float, if there is one. Negative zero has none: it
/// would lose its sign.
#[allow(clippy::cast_possible_truncation)]
fn whole(value: f64) -> Option<i64> {
    const BEYOND: f64 = 9_223_372_036_854_775_808.0; // 2^63
    let negative_zero = value == 0.0 && value.is_sign_negative();
    (value.fract() == 0.0 && value.abs() < BEYOND && !negative_zero).then_some(value as i64)
}

/// The response to a call that failed, with the HTTP status that Connect has for
/// it.
fn failed(status: &Status) -> Response<ResponseBody> {
    let http = http_status(status.code());
    let mut response = respond::content(http, "application/json", error(status).to_string());
    if status.code() == Code::Unimplemented {
        let identity = HeaderValue::from_static(envelope::IDENTITY);
        response.headers_mut().insert(ACCEPT_ENCODING, identity);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::protocol::procedure::{Kind, Version};

    #[test]
    fn requests_in_json() {
        let procedure = Procedure::Resolve(Kind::Boolean, Version::V1);
        let decoded = |text: &'static str| {
            let (key, request) =
                decode(procedure, Codec::Json, &Bytes::from_static(text.as_bytes()))
                    .map_err(|status| status.message().to_owned())?;
            let Message::Json(context) = request else { panic!("no JSON") };
            Ok::<_, String>((key, Value::from(context)))
        };
        assert_eq!(decoded("{}"), Ok((String::new(), json!({}))));
        let request = r#"{"flag_key": "f", "context": {"a": [1]}, "unknown": {}}"#;
        assert_eq!(decoded(request), Ok(("f".to_owned(), json!({"a": [1]}))));
        assert_eq!(
            decoded(r#"{"flagKey": null, "context": null}"#),
            Ok((String::new(), json!({})))
        );
        for text in ["", "{", "[]", r#"{"flagKey": 1}"#, r#"{"context": []}"#] {
            assert!(decoded(text).unwrap_err().starts_with("unmarshal message: "), "{text}");
        }
    }

    #[test]
    fn floats_as_in_json() {
        for (value, expected) in
            [(10.0, Some(10)), (-3.0, Some(-3)), (0.5, None), (1e300, None), (-0.0, None)]
        {
            assert_eq!(whole(value), expected);
        }
        assert_eq!(whole(9_007_199_254_740_992.0), Some(1 << 53));
        assert_eq!(whole(9_223_372_036_854_774_784.0), Some(i64::MAX - 1023));
        assert_eq!(whole(9_223_372_036_854_775_808.0), None);
    }
}
