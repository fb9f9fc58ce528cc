//! CPU time, latency and memory of `flagstaff start` under load, over gRPC (`ghz`) and OFREP (`wrk`)
//! with 16 connections and one targeting rule; beside it a bare hyper handler, which is the floor, the
//! same over gRPC in tonic's server, which shows what its framing would add, and flagd where there is
//! one. A load generator that is not on the `PATH` is skipped, which is printed.
//!
//! flagd listens on every interface: run this where there is only loopback.
//!
//! The clients never pause, so that the latencies are those of a machine at its limit, and whatever
//! else it does is in them: p99 says something only beside that of the bare handler in the same run.

// A benchmark that fails may panic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::{
    convert::Infallible,
    env, fs,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use prost::bytes::{Buf, BufMut};
use serde_json::{Value, json};
use tonic::{
    Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder, HEADER_SIZE},
    server::Grpc,
    transport::Server,
};
use tower::service_fn;

use support::{
    ports::{free_port, local},
    wait::block_until,
};

const CONNECTIONS: u32 = 16;
/// Of one load over gRPC; one over OFREP takes a second.
const REQUESTS: u32 = 15_000;
/// Many short loads, of which the median counts: who else runs on the machine decides the tail of
/// one. The first, which warms up, is not counted.
const ROUNDS: usize = 9;
const METHOD: &str = "flagd.evaluation.v1.Service.ResolveBoolean";

fn main() {
    let mut arguments = env::args().skip(1);
    match arguments.next().as_deref() {
        Some("--bare") => return bare(arguments.next().unwrap().parse().unwrap()),
        Some("--tonic") => return tonic(arguments.next().unwrap().parse().unwrap()),
        _ => {}
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("flags.json");
    fs::write(&file, definition().to_string()).unwrap();
    let script = directory.path().join("ofrep.lua");
    fs::write(&script, lua()).unwrap();

    let flagd = env::split_paths(&env::var_os("PATH").unwrap_or_default())
        .map(|path| path.join("flagd"))
        .find(|path| path.is_file());
    if flagd.is_none() {
        println!("no flagd on the PATH: it is left out");
    }
    println!(
        "{:10} {:10} {:>9} {:>9} {:>9} {:>9}",
        "", "", "CPU us/rq", "p50 us", "p99 us", "RSS MB"
    );
    for load in [Load::Grpc, Load::Ofrep] {
        if Command::new(load.tool()).arg("--version").output().is_err() {
            println!("no {} on the PATH: {load:?} is left out", load.tool());
            continue;
        }
        let flagstaff = PathBuf::from(env!("CARGO_BIN_EXE_flagstaff"));
        let mut peers = vec![Peer::bare("bare hyper", "--bare")];
        peers.extend(matches!(load, Load::Grpc).then(|| Peer::bare("tonic", "--tonic")));
        peers.push(Peer::start("flagstaff", &flagstaff, &file));
        peers.extend(flagd.as_deref().map(|flagd| Peer::start("flagd", flagd, &file)));
        // Turn by turn, so that a noisy moment meets all of them.
        let mut rows: Vec<Vec<Row>> = peers.iter().map(|_| Vec::new()).collect();
        for round in 0..=ROUNDS {
            for (peer, measured) in peers.iter().zip(&mut rows) {
                let row = peer.measure(load, &script);
                measured.extend((round > 0).then_some(row));
            }
        }
        for (peer, rows) in peers.iter().zip(&mut rows) {
            let [cpu, p50, p99] = [|r: &Row| r.cpu, |r: &Row| r.p50, |r: &Row| r.p99]
                .map(|field| median(rows.iter().map(field).collect()));
            let (load, rss) = (format!("{load:?}"), peer.memory());
            println!("{:10} {load:10} {cpu:9.1} {p50:9.0} {p99:9.0} {rss:9.1}", peer.name);
        }
    }
}

/// One flag with one rule.
fn definition() -> Value {
    json!({"flags": {"targeted": {
        "state": "ENABLED",
        "variants": {"on": true, "off": false},
        "defaultVariant": "off",
        "targeting": {"if": [{"ends_with": [{"var": "email"}, "@corp.example"]}, "on", "off"]},
    }}})
}

fn context() -> Value {
    json!({"targetingKey": "user-1", "email": "jane@corp.example"})
}

/// A request for `wrk`.
fn lua() -> String {
    let body = json!({ "context": context() });
    format!(
        "wrk.method = \"POST\"\nwrk.body = '{body}'\nwrk.headers[\"content-type\"] = \"application/json\"\n"
    )
}

/// What is measured of a load.
struct Row {
    /// Microseconds of CPU time that the server took for a request.
    cpu: f64,
    p50: f64,
    p99: f64,
}

#[derive(Clone, Copy, Debug)]
enum Load {
    Grpc,
    Ofrep,
}

impl Load {
    fn tool(self) -> &'static str {
        match self {
            Self::Grpc => "ghz",
            Self::Ofrep => "wrk",
        }
    }

    /// Runs the load: requests made, and two percentiles of their latency in microseconds.
    fn run(self, address: SocketAddr, script: &Path) -> (f64, f64, f64) {
        let mut command = Command::new(self.tool());
        match self {
            Self::Grpc => {
                let protos = concat!(env!("CARGO_MANIFEST_DIR"), "/proto");
                let data = json!({"flagKey": "targeted", "context": context()}).to_string();
                let proto = "flagd/evaluation/v1/evaluation.proto";
                let connections = CONNECTIONS.to_string();
                command.args(["--insecure", "-i", protos, "--proto", proto, "--call", METHOD]);
                command.args(["-d", &data, "-c", &connections, "--connections", &connections]);
                command.args(["-n", &REQUESTS.to_string(), "-O", "json", &address.to_string()]);
            }
            Self::Ofrep => {
                let url = format!("http://{address}/ofrep/v1/evaluate/flags/targeted");
                command.args(["-t", "1", "-d", "1s", "--latency", "-c", &CONNECTIONS.to_string()]);
                command.arg("-s").arg(script).arg(url);
            }
        }
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        match self {
            Self::Grpc => read_ghz(&text),
            Self::Ofrep => read_wrk(&text),
        }
    }
}

fn read_ghz(text: &str) -> (f64, f64, f64) {
    let report: Value = serde_json::from_str(text).unwrap();
    let count = report["count"].as_f64().unwrap();
    assert_eq!(report["statusCodeDistribution"]["OK"].as_f64(), Some(count), "{text}");
    let percentile = |wanted: u64| {
        let mut all = report["latencyDistribution"].as_array().unwrap().iter();
        let found = all.find(|entry| entry["percentage"] == wanted).unwrap();
        found["latency"].as_f64().unwrap() / 1000.0
    };
    (count, percentile(50), percentile(99))
}

fn read_wrk(text: &str) -> (f64, f64, f64) {
    assert!(!text.contains("Non-2xx"), "{text}");
    let line = |part: &str| text.lines().find(|line| line.contains(part)).unwrap().trim();
    let count = line("requests in").split(' ').next().unwrap().parse().unwrap();
    let percentile = |part| {
        let latency = line(part).split_whitespace().nth(1).unwrap();
        let unit = latency.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let number: f64 = latency.trim_end_matches(unit).parse().unwrap();
        number
            * match unit {
                "us" => 1.0,
                "ms" => 1e3,
                "s" => 1e6,
                other => panic!("{other} in {text}"),
            }
    };
    (count, percentile("50%"), percentile("99%"))
}

/// A server in a process of its own; killed when dropped.
struct Peer {
    name: &'static str,
    grpc: u16,
    ofrep: u16,
    process: Child,
}

impl Peer {
    /// This program as a server that does not evaluate.
    fn bare(name: &'static str, argument: &str) -> Self {
        let port = free_port();
        let mut command = Command::new(env::current_exe().unwrap());
        command.args([argument, &port.to_string()]);
        Self::spawn(name, command, port, port)
    }

    fn start(name: &'static str, program: &Path, flags: &Path) -> Self {
        let [grpc, management, sync, ofrep] = [(); 4].map(|()| free_port());
        let mut command = Command::new(program);
        command.arg("start").args(["--uri", &format!("file:{}", flags.display())]);
        for (option, port) in
            [("--port", grpc), ("-m", management), ("--sync-port", sync), ("--ofrep-port", ofrep)]
        {
            command.args([option, &port.to_string()]);
        }
        Self::spawn(name, command, grpc, ofrep)
    }

    fn spawn(name: &'static str, mut command: Command, grpc: u16, ofrep: u16) -> Self {
        let variables = env::vars_os().map(|(name, _)| name);
        for name in variables.filter(|name| name.to_string_lossy().starts_with("FLAGD_")) {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().unwrap();
        block_until(&format!("{name} to listen"), || {
            [grpc, ofrep].iter().all(|port| TcpStream::connect(local(*port)).is_ok())
        });
        Self { name, grpc, ofrep, process }
    }

    fn measure(&self, load: Load, script: &Path) -> Row {
        let port = match load {
            Load::Grpc => self.grpc,
            Load::Ofrep => self.ofrep,
        };
        let before = self.cpu();
        let (requests, p50, p99) = load.run(local(port), script);
        Row { cpu: (self.cpu() - before) * 1e6 / requests, p50, p99 }
    }

    /// CPU time so far, in seconds: `/proc` counts hundredths.
    fn cpu(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
        let ticks = |index: usize| fields[index].parse::<f64>().unwrap();
        (ticks(11) + ticks(12)) / 100.0
    }

    /// The most memory it had, in MB.
    fn memory(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A gRPC message: no compression, its length, and a `ResolveBooleanResponse`.
const MESSAGE: &[u8] = b"\0\0\0\0\x17\x08\x01\x12\x0fTARGETING_MATCH\x1a\x02on";
/// What OFREP answers.
const JSON: &str =
    r#"{"key":"targeted","reason":"TARGETING_MATCH","variant":"on","value":true,"metadata":{}}"#;

/// Reads each request and answers with what an evaluation would, without evaluating.
fn bare(port: u16) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(local(port)).await.unwrap();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            tokio::spawn(async {
                let server = auto::Builder::new(TokioExecutor::new());
                let _ = server
                    .serve_connection(TokioIo::new(stream), hyper::service::service_fn(answer))
                    .await;
            });
        }
    });
}

async fn answer(
    request: Request<Incoming>,
) -> Result<Response<impl hyper::body::Body<Data = Bytes, Error = Infallible>>, Infallible> {
    let grpc = request.uri().path().starts_with("/flagd.");
    let _ = request.into_body().collect().await;
    let body = Bytes::from_static(if grpc { MESSAGE } else { JSON.as_bytes() });
    let content_type = if grpc { "application/grpc" } else { "application/json" };
    let trailers = grpc.then(|| {
        Ok(HeaderMap::from_iter([(
            http::HeaderName::from_static("grpc-status"),
            HeaderValue::from_static("0"),
        )]))
    });
    let body = Full::new(body).with_trailers(std::future::ready(trailers));
    Ok(Response::builder().header("content-type", content_type).body(body).unwrap())
}

/// What [`bare`] does over gRPC, with the server and the framing of tonic.
fn tonic(port: u16) {
    let answer = |_: tonic::Request<Bytes>| async {
        Ok(tonic::Response::new(Bytes::from_static(&MESSAGE[HEADER_SIZE..])))
    };
    let service = service_fn(move |request: Request<axum::body::Body>| async move {
        Ok::<_, Infallible>(Grpc::new(Raw).unary(service_fn(answer), request).await)
    });
    let routes =
        axum::Router::new().route_service("/flagd.evaluation.v1.Service/{*method}", service);
    let server = Server::builder().add_routes(routes.into());
    tokio::runtime::Runtime::new().unwrap().block_on(server.serve(local(port))).unwrap();
}

/// Passes messages on as bytes.
#[derive(Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(bytes.copy_to_bytes(bytes.remaining())))
    }
}
