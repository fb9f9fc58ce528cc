//! Clients of the embedded server.

use std::net::SocketAddr;

use flagstaff::server::{Server, ServerBuilder};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tonic::{Streaming, transport::Channel};

use crate::support::{
    json::from_struct,
    proto::{V1, V2, connect, v1},
    wait::bounded,
};

/// The sync protocol, generated.
#[allow(clippy::all, clippy::pedantic, missing_docs, unreachable_pub)]
pub mod sync_v1 {
    include!(concat!(env!("OUT_DIR"), "/services/flagd.sync.v1.rs"));
}

pub type Sync = sync_v1::flag_sync_service_client::FlagSyncServiceClient<Channel>;

/// One flag of each type, and of each outcome.
pub const FLAGS: &str = r#"{
    "metadata": {"team": "x"},
    "flags": {
        "bool": {"variants": {"on": true, "off": false}, "defaultVariant": "on", "metadata": {"own": 1}},
        "false": {"variants": {"off": false}, "defaultVariant": "off"},
        "string": {"variants": {"v": "text"}, "defaultVariant": "v"},
        "int": {"variants": {"v": 42}, "defaultVariant": "v"},
        "float": {"variants": {"v": 0.5}, "defaultVariant": "v"},
        "object": {"variants": {"v": {"a": {"b": [1, null, "c"]}}}, "defaultVariant": "v"},
        "list": {"variants": {"v": [1, "a"]}, "defaultVariant": "v"},
        "targeted": {"variants": {"yes": "yes", "no": "no"}, "defaultVariant": "no",
            "targeting": {"if": [{"==": [{"var": "who"}, "me"]}, "yes"]}},
        "echo": {"variants": {"v": "v", "w": "w", "x": "x"}, "targeting": {"var": "who"}},
        "disabled": {"state": "DISABLED", "variants": {"on": true}, "defaultVariant": "on"},
        "no-default": {"variants": {"on": true}},
        "no-name": {"variants": {"": "x"}, "targeting": {"cat": [{"var": "who"}, ""]}},
        "unknown-variant": {"variants": {"on": true}, "defaultVariant": "on", "targeting": "nope"},
        "broken": {"variants": {"on": true}, "defaultVariant": "on", "targeting": {"nope": []}}
    }
}"#;

/// A server with [`FLAGS`].
pub async fn serve() -> Server {
    serve_with(Server::builder()).await
}

/// A server with these options and [`FLAGS`].
pub async fn serve_with(builder: ServerBuilder) -> Server {
    let server = builder.ephemeral().bind().await.unwrap();
    server.flags().replace(FLAGS).unwrap();
    server
}

pub async fn channel(address: Option<SocketAddr>) -> Channel {
    connect(format!("http://{}", address.unwrap())).await
}

pub async fn v1(server: &Server) -> V1 {
    V1::new(channel(server.evaluation_addr()).await)
}

pub async fn v2(server: &Server) -> V2 {
    V2::new(channel(server.evaluation_addr()).await)
}

pub async fn sync(server: &Server) -> Sync {
    Sync::new(channel(server.sync_addr()).await)
}

/// A request with a header.
pub fn with_header<T>(message: T, name: &'static str, value: &'static str) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert(name, value.parse().unwrap());
    request
}

/// An event stream that is ready.
pub async fn events(client: &mut V1, selector: &'static str) -> Streaming<v1::EventStreamResponse> {
    let request = with_header(v1::EventStreamRequest {}, "flagd-selector", selector);
    let mut stream = bounded("a stream", client.event_stream(request)).await.unwrap().into_inner();
    assert_eq!(event(&mut stream).await, ("provider_ready".to_owned(), json!({})));
    stream
}

/// The next event: its type and data, null where there are none.
pub async fn event(stream: &mut Streaming<v1::EventStreamResponse>) -> (String, Value) {
    let event = bounded("an event", stream.message()).await.unwrap().expect("the stream is open");
    (event.r#type, event.data.map_or(Value::Null, |data| from_struct(&data)))
}

/// A response over HTTP/1.1.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// Sends a request over a connection of its own.
pub async fn send(
    address: Option<SocketAddr>,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Answer {
    let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(body.into())).unwrap();
    bounded("an answer", async {
        let stream = TcpStream::connect(address.unwrap()).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let response = sender.send_request(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    })
    .await
}

pub async fn get(address: Option<SocketAddr>, path: &str) -> Answer {
    send(address, Method::GET, path, &[], "").await
}

pub async fn post(
    address: Option<SocketAddr>,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Answer {
    send(address, Method::POST, path, headers, body).await
}
