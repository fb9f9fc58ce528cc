//! Any bytes as what the provider receives from flagd: responses to its calls (in both versions, of
//! each type), events, flag definitions over sync with their context, statuses and their messages. It
//! returns a value or an error, in time, and can be used again.
//!
//! The first byte of an input chooses what the bytes are, the second how they are sent ([`Reply`]), the
//! third is the status; then follows a line with its message, and then the body, where each 0xff ends
//! a message of the stream.
#![no_main]

use std::{
    collections::VecDeque,
    convert::Infallible,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{LazyLock, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use flagstaff::{FlagdOptions, FlagdProvider, flagd::Resolver};
use hyper::{
    HeaderMap, Request, Response,
    body::{Body, Bytes, Frame, Incoming},
    header::{CONTENT_TYPE, HeaderName, HeaderValue},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use libfuzzer_sys::fuzz_target;
use open_feature::{EvaluationContext, provider::FeatureProvider as _};
use tokio::{net::UnixListener, runtime::Runtime, time::timeout};

const V2: &str = "/flagd.evaluation.v2.Service/";
const EVENTS: &str = "EventStream";
const SYNC: &str = "/flagd.sync.v1.FlagSyncService/SyncFlags";
const METADATA: &str = "/flagd.sync.v1.FlagSyncService/GetMetadata";

const DEADLINE: Duration = Duration::from_secs(5);

/// What the bytes are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fuzzed {
    /// The response of `Resolve*`, in version 2 or 1.
    Answer {
        v1: bool,
    },
    Events,
    /// Messages of `SyncFlags`.
    Sync,
    /// The definition in such a message.
    Definition,
    Metadata,
}

const CHOICES: [Fuzzed; 6] = [
    Fuzzed::Answer { v1: false },
    Fuzzed::Answer { v1: true },
    Fuzzed::Events,
    Fuzzed::Sync,
    Fuzzed::Definition,
    Fuzzed::Metadata,
];

/// A response of gRPC, or what a proxy makes of it.
#[derive(Clone)]
struct Reply {
    http_status: u16,
    headers: HeaderMap,
    frames: VecDeque<Bytes>,
    trailers: Option<HeaderMap>,
    /// A stream that goes on.
    endless: bool,
}

impl Reply {
    fn good(messages: &[&[u8]]) -> Self {
        Self {
            http_status: 200,
            headers: HeaderMap::from_iter([(
                CONTENT_TYPE,
                HeaderValue::from_static("application/grpc"),
            )]),
            frames: messages.iter().map(|message| framed(message)).collect(),
            trailers: Some(status(0, b"")),
            endless: false,
        }
    }

    /// As an input says.
    fn fuzzed(how: u8, code: u8, text: &[u8], messages: Vec<Vec<u8>>) -> Self {
        let is = |bit: u8| how & (1 << bit) != 0;
        let mut reply = Self::good(&[]);
        // Not 503: after it a call is made again until its deadline.
        reply.http_status = [200, 200, 404, 500][usize::from(how & 3)];
        if is(2) {
            reply.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
        }
        let body = match is(3) {
            true => messages.concat(),
            false => messages.iter().flat_map(|message| framed(message)).collect(),
        };
        let size = if is(4) { 3 } else { 1 << 14 };
        reply.frames = body.chunks(size).map(Bytes::copy_from_slice).collect();
        let status = status(code, text);
        reply.trailers = match (is(5), is(6)) {
            (true, _) => {
                reply.headers.extend(status);
                None
            }
            (_, true) => None,
            _ => Some(status),
        };
        reply
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(bytes) = self.frames.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        if self.endless {
            return Poll::Pending;
        }
        Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty() && self.trailers.is_none() && !self.endless
    }
}

/// The headers of a status, without a message that is not a valid header.
fn status(code: u8, text: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(HeaderName::from_static("grpc-status"), HeaderValue::from(u16::from(code)));
    if let Ok(text) = HeaderValue::from_bytes(text) {
        headers.insert(HeaderName::from_static("grpc-message"), text);
    }
    headers
}

fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).expect("a short input");
    [&[0][..], &length.to_be_bytes(), message].concat().into()
}

/// A field of protobuf that holds a string or a message.
fn field(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag << 3 | 2];
    let mut length = content.len();
    while length >= 0x80 {
        out.push(u8::try_from(length & 0x7f).expect("seven bits") | 0x80);
        length >>= 7;
    }
    out.push(u8::try_from(length).expect("seven bits"));
    out.extend(content);
    out
}

fn ready() -> Vec<u8> {
    field(1, b"provider_ready")
}

/// What a server answers to each kind of call.
struct Script {
    answer: Reply,
    events: Reply,
    sync: Reply,
    metadata: Reply,
}

impl Script {
    fn new() -> Self {
        let answer = [&[8, 1][..], &field(2, b"STATIC"), &field(3, b"on")].concat();
        let events = Reply { endless: true, ..Reply::good(&[&ready()]) };
        let flags =
            br#"{"flags":{"f":{"state":"ENABLED","variants":{"on":true},"defaultVariant":"on"}}}"#;
        let sync = Reply { endless: true, ..Reply::good(&[&field(1, flags)]) };
        Self { answer: Reply::good(&[&answer]), events, sync, metadata: Reply::good(&[b""]) }
    }

    fn reply(&self, path: &str) -> Reply {
        match path {
            SYNC => self.sync.clone(),
            METADATA => self.metadata.clone(),
            path if path.ends_with(EVENTS) => self.events.clone(),
            _ => self.answer.clone(),
        }
    }
}

static SCRIPT: LazyLock<Mutex<Script>> = LazyLock::new(|| Mutex::new(Script::new()));

/// One thread for the servers and the providers, so that an input always does the same. A provider
/// of each version lives on; for what comes over streams there is a new one.
struct World {
    runtime: Runtime,
    v1: FlagdProvider,
    v2: FlagdProvider,
    socket: PathBuf,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = std::env::temp_dir().join(format!("flagstaff-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let [old, new] = ["v1", "v2"].map(|name| folder.join(name));
    let (v1, v2) = runtime.block_on(async {
        serve(&old, false);
        serve(&new, true);
        (started(&old, Resolver::Rpc).await, started(&new, Resolver::Rpc).await)
    });
    World { runtime, v1, v2, socket: new }
});

/// Answers by the script, and knows version 2, or not.
fn serve(socket: &Path, knows_v2: bool) {
    let _ = std::fs::remove_file(socket);
    let listener = UnixListener::bind(socket).unwrap();
    let service = service_fn(move |request: Request<Incoming>| async move {
        let path = request.uri().path();
        let mut reply = SCRIPT.lock().unwrap().reply(path);
        if !knows_v2 && path.starts_with(V2) {
            reply = Reply::fuzzed(2, 0, b"", Vec::new());
            reply.headers.clear();
        }
        let mut response = Response::builder().status(reply.http_status);
        *response.headers_mut().unwrap() = reply.headers.clone();
        Ok::<_, Infallible>(response.body(reply).unwrap())
    });
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let connection = http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection);
        }
    });
}

async fn started(socket: &Path, resolver: Resolver) -> FlagdProvider {
    let options = FlagdOptions::builder()
        .resolver(resolver)
        .socket_path(socket)
        .deadline(DEADLINE)
        .max_cache_size(0)
        .without_env()
        .build()
        .unwrap();
    let mut provider = FlagdProvider::new(options);
    provider.initialize(&EvaluationContext::default()).await;
    provider
}

/// Evaluates a flag as one of five types.
async fn evaluate(provider: &FlagdProvider, kind: usize) {
    let context = EvaluationContext::default().with_targeting_key("user");
    match kind % 5 {
        0 => drop(provider.resolve_bool_value("f", &context).await),
        1 => drop(provider.resolve_string_value("f", &context).await),
        2 => drop(provider.resolve_int_value("f", &context).await),
        3 => drop(provider.resolve_float_value("f", &context).await),
        _ => drop(provider.resolve_struct_value("f", &context).await),
    }
}

/// What must be there before its deadline: all that it waits for is sent at once.
async fn soon<T>(what: &str, outcome: impl Future<Output = T>) -> T {
    match timeout(DEADLINE * 4 / 5, outcome).await {
        Ok(outcome) => outcome,
        Err(_) => panic!("{what} has not ended in time"),
    }
}

fuzz_target!(|input: &[u8]| {
    let [choice, how, code, rest @ ..] = input else { return };
    let (fuzzed, kind) =
        (CHOICES[usize::from(*choice) % CHOICES.len()], usize::from(*choice) / CHOICES.len());
    let mut rest = rest.splitn(2, |byte| *byte == b'\n');
    let (text, body) = (rest.next().unwrap_or_default(), rest.next().unwrap_or_default());
    let mut messages: Vec<_> = body.split(|byte| *byte == 0xff).map(<[u8]>::to_vec).collect();
    match fuzzed {
        Fuzzed::Definition => messages.iter_mut().for_each(|message| *message = field(1, message)),
        // Most events say nothing to a provider that is not ready.
        Fuzzed::Events if how & 0x80 == 0 => messages.insert(0, ready()),
        _ => {}
    }
    let reply = Reply::fuzzed(*how, *code, text, messages);
    let world = &*WORLD;
    *SCRIPT.lock().unwrap() = {
        let mut script = Script::new();
        match fuzzed {
            Fuzzed::Answer { .. } => script.answer = reply,
            Fuzzed::Events => script.events = reply,
            Fuzzed::Sync | Fuzzed::Definition => script.sync = reply,
            Fuzzed::Metadata => script.metadata = reply,
        }
        script
    };
    world.runtime.block_on(async {
        match fuzzed {
            Fuzzed::Answer { v1: true } => soon("a call", evaluate(&world.v1, kind)).await,
            Fuzzed::Answer { v1: false } => soon("a call", evaluate(&world.v2, kind)).await,
            _ => {
                let is_rpc = fuzzed == Fuzzed::Events;
                let resolver = if is_rpc { Resolver::Rpc } else { Resolver::InProcess };
                let started = started(&world.socket, resolver);
                let provider = soon("initialization", started).await;
                soon("an evaluation", evaluate(&provider, kind)).await;
                soon("shutdown", provider.shutdown()).await;
            }
        }
    });
});
