//! Requests to a server over both versions of the evaluation protocol and over OFREP, and its
//! responses as JSON.

use std::net::SocketAddr;

use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use prost_types::Struct;
use serde_json::{Map, Value, json};
use tokio::net::TcpStream;
use tonic::{Code, Response, Status};

use super::{
    json::{from_struct, to_struct},
    proto::{V1, V2, connect, v1, v2},
};

/// The requested type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Boolean,
    String,
    Integer,
    Float,
    Object,
}

/// A client for each protocol of a server.
#[derive(Debug)]
pub struct Asker {
    v1: V1,
    v2: V2,
    ofrep: http1::SendRequest<Full<Bytes>>,
}

impl Asker {
    pub async fn connect(evaluation: SocketAddr, ofrep: SocketAddr) -> Self {
        let channel = connect(format!("http://{evaluation}")).await;
        let stream = TcpStream::connect(ofrep).await.unwrap();
        let (ofrep, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self { v1: V1::new(channel.clone()), v2: V2::new(channel), ofrep }
    }

    /// The response over version 1, in which an absent value is zero.
    pub async fn v1(&mut self, key: &str, kind: Kind, context: &Value) -> Value {
        let (flag_key, context) = (key.to_owned(), Some(to_struct(context)));
        macro_rules! ask {
            ($procedure:ident, $request:ident, $value:expr) => {{
                let request = v1::$request { flag_key, context };
                answer(self.v1.$procedure(request).await, |r| {
                    (Some($value(r.value)), r.reason, Some(r.variant), r.metadata)
                })
            }};
        }
        match kind {
            Kind::Boolean => ask!(resolve_boolean, ResolveBooleanRequest, Value::from),
            Kind::String => ask!(resolve_string, ResolveStringRequest, Value::from),
            Kind::Integer => ask!(resolve_int, ResolveIntRequest, Value::from),
            Kind::Float => ask!(resolve_float, ResolveFloatRequest, Value::from),
            Kind::Object => ask!(resolve_object, ResolveObjectRequest, |object: Option<Struct>| {
                from_struct(&object.unwrap_or_default())
            }),
        }
    }

    /// The response over version 2.
    pub async fn v2(&mut self, key: &str, kind: Kind, context: &Value) -> Value {
        let (flag_key, context) = (key.to_owned(), Some(to_struct(context)));
        macro_rules! ask {
            ($procedure:ident, $request:ident, $value:expr) => {{
                let request = v2::$request { flag_key, context };
                answer(self.v2.$procedure(request).await, |r| {
                    (r.value.map($value), r.reason, r.variant, r.metadata)
                })
            }};
        }
        match kind {
            Kind::Boolean => ask!(resolve_boolean, ResolveBooleanRequest, Value::from),
            Kind::String => ask!(resolve_string, ResolveStringRequest, Value::from),
            Kind::Integer => ask!(resolve_int, ResolveIntRequest, Value::from),
            Kind::Float => ask!(resolve_float, ResolveFloatRequest, Value::from),
            Kind::Object => ask!(resolve_object, ResolveObjectRequest, |o| from_struct(&o)),
        }
    }

    /// The response over OFREP, which does not take a type.
    pub async fn ofrep(&mut self, key: &str, context: &Value) -> (StatusCode, Map<String, Value>) {
        let escape = |key: String, byte| key + &format!("%{byte:02X}");
        let path = key.bytes().fold(String::new(), escape);
        let request = Request::post(format!("/ofrep/v1/evaluate/flags/{path}"))
            .header("host", "localhost")
            .header("content-type", "application/json")
            .body(Full::from(json!({"context": context}).to_string()))
            .unwrap();
        self.ofrep.ready().await.unwrap();
        let response = self.ofrep.send_request(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }
}

type Fields = (Option<Value>, String, Option<String>, Option<Struct>);

fn answer<M>(response: Result<Response<M>, Status>, fields: impl FnOnce(M) -> Fields) -> Value {
    match response {
        Err(status) => json!({"error": name(status.code()), "message": status.message()}),
        Ok(response) => {
            let (value, reason, variant, metadata) = fields(response.into_inner());
            let mut answer = Map::new();
            answer.extend(value.map(|value| ("value".to_owned(), value)));
            answer.insert("reason".to_owned(), reason.into());
            answer.extend(variant.map(|variant| ("variant".to_owned(), variant.into())));
            let metadata = from_struct(&metadata.unwrap_or_default());
            answer.insert("metadata".to_owned(), metadata);
            answer.into()
        }
    }
}

fn name(code: Code) -> &'static str {
    match code {
        Code::NotFound => "NOT_FOUND",
        Code::DataLoss => "DATA_LOSS",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::Unknown => "UNKNOWN",
        _ => "another",
    }
}
