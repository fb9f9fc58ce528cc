//! The embedded server's answers to the cases: over both versions of the protocol, and over OFREP.
// A server or a client that fails is no answer: it panics.
#![allow(clippy::unwrap_used)]

use flagstaff::server::{RunningServer, Server};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use prost_types::Struct;
use serde_json::{Map, Value, json};
use tokio::{net::TcpStream, runtime::Runtime};
use tonic::{Code, Status};

use crate::support::{
    json::{from_struct, to_struct},
    proto::{V1, V2, connect, v1, v2},
};
use crate::{
    Verdict,
    answer::{same, tidy},
    case::{Case, Expected, Kind},
    evaluator::LOWEST,
};

/// A server in this process, and a client for each of its ways.
pub(crate) struct Served {
    runtime: Runtime,
    clients: Clients,
    /// The definition that it serves.
    definition: String,
}

struct Clients {
    server: RunningServer,
    v1: V1,
    v2: V2,
    ofrep: http1::SendRequest<Full<Bytes>>,
}

impl Served {
    pub(crate) fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let clients = runtime.block_on(Clients::connect());
        Self { runtime, clients, definition: String::new() }
    }

    /// Asks the server what the case asks.
    pub(crate) fn judge(&mut self, case: &Case) -> Verdict {
        let flags = self.clients.server.flags();
        if self.definition != case.definition {
            self.definition.clone_from(&case.definition);
            if let Err(error) = flags.replace(&case.definition) {
                self.definition.clear();
                return match case.expected {
                    Expected::Rejected(_) => Verdict::Agrees,
                    Expected::Answers { .. } => Verdict::Differs(format!("{}: {error}", case.key)),
                };
            }
        }
        self.runtime.block_on(self.clients.judge(case))
    }
}

impl Clients {
    async fn connect() -> Self {
        let server = Server::builder().ephemeral().bind().await.unwrap();
        let channel = connect(format!("http://{}", server.evaluation_addr().unwrap())).await;
        let stream = TcpStream::connect(server.ofrep_addr().unwrap()).await.unwrap();
        let (ofrep, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self { server, v1: V1::new(channel.clone()), v2: V2::new(channel), ofrep }
    }

    async fn judge(&mut self, case: &Case) -> Verdict {
        let Expected::Answers { v1, v2, ofrep } = &case.expected else {
            // The evaluator has judged whether the definition must be refused or the flag left out.
            return match self.v2(case).await["error"].as_str() {
                Some("NOT_FOUND") => Verdict::Agrees,
                _ => Verdict::Differs(format!("{}: neither refused nor left out", case.key)),
            };
        };
        let zero = case.kind.zero();
        let mut verdict = Verdict::Agrees;
        for (way, expected, given, zero) in [
            ("v1", v1, self.v1(case).await, Some(&zero)),
            ("v2", v2, self.v2(case).await, None),
            ("ofrep", ofrep, self.ofrep(case).await, None),
        ] {
            if same(&tidy(expected, zero), &tidy(&given, zero)) {
                continue;
            }
            if !by_rule(case, way, expected, &given) {
                let key = &case.key;
                return Verdict::Differs(format!(
                    "{key} over {way}: {given} in place of {expected}"
                ));
            }
            verdict = Verdict::ByRule;
        }
        verdict
    }

    async fn v1(&mut self, case: &Case) -> Value {
        let (flag_key, context) = question(case);
        macro_rules! ask {
            ($procedure:ident, $request:ident, $value:expr) => {{
                let request = v1::$request { flag_key, context };
                answer(self.v1.$procedure(request).await, |r| {
                    (Some($value(r.value)), r.reason, Some(r.variant), r.metadata)
                })
            }};
        }
        match case.kind {
            Kind::Boolean => ask!(resolve_boolean, ResolveBooleanRequest, Value::from),
            Kind::String => ask!(resolve_string, ResolveStringRequest, Value::from),
            Kind::Integer => ask!(resolve_int, ResolveIntRequest, Value::from),
            Kind::Float => ask!(resolve_float, ResolveFloatRequest, Value::from),
            Kind::Object => ask!(resolve_object, ResolveObjectRequest, |object: Option<Struct>| {
                from_struct(&object.unwrap_or_default())
            }),
        }
    }

    async fn v2(&mut self, case: &Case) -> Value {
        let (flag_key, context) = question(case);
        macro_rules! ask {
            ($procedure:ident, $request:ident, $value:expr) => {{
                let request = v2::$request { flag_key, context };
                answer(self.v2.$procedure(request).await, |r| {
                    (r.value.map($value), r.reason, r.variant, r.metadata)
                })
            }};
        }
        match case.kind {
            Kind::Boolean => ask!(resolve_boolean, ResolveBooleanRequest, Value::from),
            Kind::String => ask!(resolve_string, ResolveStringRequest, Value::from),
            Kind::Integer => ask!(resolve_int, ResolveIntRequest, Value::from),
            Kind::Float => ask!(resolve_float, ResolveFloatRequest, Value::from),
            Kind::Object => ask!(resolve_object, ResolveObjectRequest, |o| from_struct(&o)),
        }
    }

    async fn ofrep(&mut self, case: &Case) -> Value {
        let escape = |key: String, byte| key + &format!("%{byte:02X}");
        let key = case.key.bytes().fold(String::new(), escape);
        let body = json!({"context": case.context}).to_string();
        let request = Request::post(format!("/ofrep/v1/evaluate/flags/{key}"))
            .header("host", "localhost")
            .header("content-type", "application/json")
            .body(Full::from(body))
            .unwrap();
        self.ofrep.ready().await.unwrap();
        let response = self.ofrep.send_request(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let mut answer: Map<String, Value> = serde_json::from_slice(&body).unwrap();
        assert_eq!(answer.remove("key"), Some(case.key.as_str().into()));
        if status == StatusCode::OK {
            return answer.into();
        }
        json!({
            "status": status.as_u16(), "error": answer["errorCode"], "message": answer["errorDetails"],
        })
    }
}

fn question(case: &Case) -> (String, Option<Struct>) {
    (case.key.clone(), Some(to_struct(&case.context.clone().into())))
}

type Fields = (Option<Value>, String, Option<String>, Option<Struct>);

fn answer<M>(
    response: Result<tonic::Response<M>, Status>,
    fields: impl FnOnce(M) -> Fields,
) -> Value {
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

/// The ways in which the server differs from flagd on purpose.
fn by_rule(case: &Case, way: &str, expected: &Value, given: &Value) -> bool {
    if way == "ofrep" {
        // flagd finds no flag whose key has a slash, or means a folder: it answers with a page.
        let no_path = case.key.contains('/') || matches!(&*case.key, "." | "..");
        return no_path && expected["error"] == "UNREADABLE";
    }
    let as_flagd = expected["value"].as_f64() == Some(LOWEST);
    case.is_beyond_64_bits() && as_flagd && given["error"] == "INVALID_ARGUMENT"
}
