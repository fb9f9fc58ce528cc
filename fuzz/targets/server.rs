//! Any bytes as the body of a request to the server: by gRPC, Connect (JSON and protobuf, unary and the
//! event stream), OFREP and sync; with any selector, and any key in OFREP's path. It answers, and
//! goes on.
//!
//! The first byte of an input chooses: the low six bits a route, `SELECTOR` and `KEY` that a line
//! comes before the body, which is a selector, or a key.
#![no_main]

use std::{sync::LazyLock, time::Duration};

use flagstaff::server::Server;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Version, body::Bytes, client::conn::http2::SendRequest, header::HeaderValue};
use hyper_util::rt::{TokioExecutor, TokioIo};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use tokio::{net::TcpStream, runtime::Runtime, time::timeout};

const JSON: &str = "application/json";
const PROTO: &str = "application/proto";
const GRPC: &str = "application/grpc";
const STREAM_JSON: &str = "application/connect+json";
const STREAM_PROTO: &str = "application/connect+proto";
const V1: &str = "/flagd.evaluation.v1.Service";
const V2: &str = "/flagd.evaluation.v2.Service";
const OFREP: &str = "/ofrep/v1/evaluate/flags";
const SYNC: &str = "/flagd.sync.v1.FlagSyncService";

const SELECTOR: u8 = 0x80;
const KEY: u8 = 0x40;

/// Where bytes are decoded: service or path, procedure or key, type of the content.
const ROUTES: [(&str, &str, &str); 17] = [
    (V1, "/ResolveBoolean", JSON),
    (V1, "/ResolveString", PROTO),
    (V1, "/ResolveInt", GRPC),
    (V1, "/ResolveAll", JSON),
    (V1, "/ResolveAll", PROTO),
    (V1, "/ResolveAll", GRPC),
    (V2, "/ResolveFloat", JSON),
    (V2, "/ResolveObject", JSON),
    (V2, "/ResolveObject", PROTO),
    (V2, "/ResolveObject", GRPC),
    (OFREP, "", JSON),
    (OFREP, "/rule", JSON),
    (OFREP, "/object", JSON),
    (SYNC, "/FetchAllFlags", GRPC),
    (V1, "/EventStream", STREAM_JSON),
    (V2, "/EventStream", STREAM_PROTO),
    (V2, "/EventStream", GRPC),
];

/// One thread for the server and its client, so that an input always does the same.
struct World {
    runtime: Runtime,
    evaluation: SendRequest<Full<Bytes>>,
    ofrep: SendRequest<Full<Bytes>>,
    sync: SendRequest<Full<Bytes>>,
    _server: Server,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (server, evaluation, ofrep, sync) = runtime.block_on(async {
        let server = Server::builder().ephemeral().bind().await.unwrap();
        server.flags().replace(&definition().to_string()).unwrap();
        let evaluation = connect(server.evaluation_addr().unwrap()).await;
        let ofrep = connect(server.ofrep_addr().unwrap()).await;
        let sync = connect(server.sync_addr().unwrap()).await;
        (server, evaluation, ofrep, sync)
    });
    World { runtime, evaluation, ofrep, sync, _server: server }
});

fn definition() -> Value {
    json!({ "metadata": { "flagSetId": "one" }, "flags": {
        "rule": {
            "state": "ENABLED",
            "variants": { "on": true, "text": "t", "int": 1, "float": 0.5 },
            "defaultVariant": "on",
            "targeting": { "fractional": [{ "cat": [{ "var": "targetingKey" }, { "var": "a" }] }, ["on", 1], ["text", 1], ["int", 1], ["float", 1]] },
        },
        "object": { "state": "ENABLED", "variants": { "v": { "a": [1, null, "x"] } }, "defaultVariant": "v" },
        "off": { "state": "DISABLED", "variants": { "v": 1 }, "defaultVariant": "v" },
    } })
}

async fn connect(address: std::net::SocketAddr) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    client
}

fuzz_target!(|input: &[u8]| {
    let Some((choice, mut body)) = input.split_first() else { return };
    let (path, procedure, content) = ROUTES[usize::from(choice & !(SELECTOR | KEY)) % ROUTES.len()];
    let selector = (choice & SELECTOR != 0).then(|| line(&mut body));
    let procedure = match choice & KEY {
        KEY if path == OFREP => format!("/{}", escaped(line(&mut body))),
        _ => procedure.to_owned(),
    };
    let body = if content == GRPC { framed(body) } else { body.to_vec() };
    let mut request = Request::post(format!("http://server{path}{procedure}"))
        .version(Version::HTTP_2)
        .header("content-type", content)
        .header("te", "trailers")
        .body(Full::new(Bytes::from(body)))
        .unwrap();
    // Some bytes are in no header.
    if let Some(selector) = selector.and_then(|text| HeaderValue::from_bytes(text).ok()) {
        request.headers_mut().insert("flagd-selector", selector);
    }
    let world = &*WORLD;
    let mut client = match path {
        OFREP => world.ofrep.clone(),
        SYNC => world.sync.clone(),
        _ => world.evaluation.clone(),
    };
    let answer = world.runtime.block_on(async {
        timeout(Duration::from_secs(10), async {
            client.ready().await.expect("the connection is open");
            let response = client.send_request(request).await.expect("an answer");
            let mut body = response.into_body();
            if procedure == "/EventStream" {
                // A good one has no end. One of gRPC that fails has no message.
                let first = body.frame().await.map(|frame| frame.expect("a message").into_data());
                return first.and_then(Result::ok).unwrap_or_default();
            }
            body.collect().await.expect("a whole answer").to_bytes()
        })
        .await
        .expect("an answer in time")
    });
    // Any status may be right: a rule that fails is 500, as in flagd.
    let json = match content {
        JSON => &*answer,
        STREAM_JSON => answer.get(5..).expect("an envelope"),
        _ => return,
    };
    serde_json::from_slice::<Value>(json).expect("JSON");
});

/// Takes the first line.
fn line<'a>(input: &mut &'a [u8]) -> &'a [u8] {
    let mut parts = input.splitn(2, |byte| *byte == b'\n');
    let line = parts.next().unwrap_or_default();
    *input = parts.next().unwrap_or_default();
    line
}

/// A key in a path. Percent signs stay, so that anything may follow them.
fn escaped(key: &[u8]) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'%';
    let escape = |byte: &u8| match plain(byte) {
        true => char::from(*byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    key.iter().map(escape).collect()
}

/// An envelope of gRPC; every eighth is broken.
fn framed(message: &[u8]) -> Vec<u8> {
    if message.first().is_some_and(|first| first % 8 == 7) {
        return message.to_vec();
    }
    let length = u32::try_from(message.len()).expect("a short input");
    [&[0][..], &length.to_be_bytes(), message].concat()
}
