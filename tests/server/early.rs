//! Requests before the first load: they wait for the flags instead of reporting that there are
//! none.

use std::{net::SocketAddr, time::Duration};

use flagstaff::{
    server::Server,
    source::{Definition, FileSource, HttpSource},
};
use futures_core::future::BoxFuture;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
    task::JoinSet,
};
use tonic::Status;

use super::{
    client::{
        Answer, get, post, sync, sync_v1::FetchAllFlagsRequest, v1 as client_v1, v2 as client_v2,
    },
    connect::envelopes::envelope,
    support::{
        clock::Clock,
        proto::{v1, v2},
        sent::Sent,
        wait::bounded,
    },
};

const FLAGS: &str = r#"{"flags": {"f": {"variants": {"v": "one"}, "defaultVariant": "v"}}}"#;
const NONE: &str = r#"{"flags": {}}"#;
const OFREP: &str = "/ofrep/v1/evaluate/flags";
const RESOLVE_ALL: &str = "/flagd.evaluation.v1.Service/ResolveAll";
const RESOLVE: &str = "/flagd.evaluation.v1.Service/ResolveString";
const FETCH: &str = "/flagd.sync.v1.FlagSyncService/FetchAllFlags";
const JSON: (&str, &str) = ("content-type", "application/json");

/// A server with one source, whose definitions the test sends.
async fn serve() -> (Server, mpsc::UnboundedSender<Definition>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let server = Server::builder().source(Sent(receiver)).ephemeral().bind().await.unwrap();
    (server, sender)
}

fn status(status: &Status) -> String {
    format!("{:?}", status.code())
}

/// The HTTP status, unless it is 200; otherwise what a client reads.
fn outcome(answer: &Answer, read: impl FnOnce(serde_json::Value) -> serde_json::Value) -> String {
    if answer.status.as_u16() == 200 {
        return read(answer.json()).as_str().unwrap_or("no value").to_owned();
    }
    let code = &answer.json()["code"];
    let after = answer.header("retry-after").map(|after| format!(", retry after {after}"));
    format!("{} {code}{}", answer.status.as_u16(), after.unwrap_or_default())
}

/// Requests the flag in every possible way, all at the same time.
async fn ask(server: &Server) -> JoinSet<(&'static str, String)> {
    let (evaluation, ofrep) = (server.evaluation_addr(), server.ofrep_addr());
    let (mut one, mut all) = (client_v1(server).await, client_v1(server).await);
    let (mut two, mut sync) = (client_v2(server).await, sync(server).await);
    let connect = |procedure: &str| {
        let path = format!("/flagd.evaluation.v1.Service/{procedure}");
        async move { post(evaluation, &path, &[JSON], r#"{"flagKey": "f"}"#).await }
    };
    let (resolve, resolve_all) = (connect("ResolveString"), connect("ResolveAll"));
    let asked: [(_, BoxFuture<'static, String>); 8] = [
        (
            "v1",
            Box::pin(async move {
                let request = v1::ResolveStringRequest { flag_key: "f".to_owned(), context: None };
                let answer = one.resolve_string(request).await;
                answer.map_or_else(|failed| status(&failed), |answer| answer.into_inner().value)
            }),
        ),
        (
            "v2",
            Box::pin(async move {
                let request = v2::ResolveStringRequest { flag_key: "f".to_owned(), context: None };
                let answer = two.resolve_string(request).await;
                answer.map_or_else(
                    |failed| status(&failed),
                    |answer| answer.into_inner().value.unwrap_or_default(),
                )
            }),
        ),
        (
            "v1, all",
            Box::pin(async move {
                let answer = all.resolve_all(v1::ResolveAllRequest { context: None }).await;
                answer.map_or_else(
                    |failed| status(&failed),
                    |answer| match answer.into_inner().flags.remove("f").and_then(|flag| flag.value)
                    {
                        Some(v1::any_flag::Value::StringValue(value)) => value,
                        _ => "no value".to_owned(),
                    },
                )
            }),
        ),
        (
            "sync",
            Box::pin(async move {
                let answer = sync.fetch_all_flags(FetchAllFlagsRequest::default()).await;
                answer.map_or_else(
                    |failed| status(&failed),
                    |answer| {
                        let text = answer.into_inner().flag_configuration;
                        if text.contains("\"one\"") { "one".to_owned() } else { text }
                    },
                )
            }),
        ),
        (
            "Connect",
            Box::pin(async move { outcome(&resolve.await, |mut answer| answer["value"].take()) }),
        ),
        (
            "Connect, all",
            Box::pin(async move {
                outcome(&resolve_all.await, |mut answer| answer["flags"]["f"]["stringValue"].take())
            }),
        ),
        (
            "OFREP",
            Box::pin(async move {
                let answer = post(ofrep, &format!("{OFREP}/f"), &[], "").await;
                outcome(&answer, |mut answer| answer["value"].take())
            }),
        ),
        (
            "OFREP, all",
            Box::pin(async move {
                let answer = post(ofrep, OFREP, &[], "").await;
                outcome(&answer, |mut answer| answer["flags"][0]["value"].take())
            }),
        ),
    ];
    asked.into_iter().map(|(name, asked)| async move { (name, asked.await) }).collect()
}

/// The requests have reached the server, each over its own connection, and none has a response.
async fn all_wait<T: std::fmt::Debug + 'static>(
    clock: Clock,
    server: &Server,
    asked: &mut JoinSet<T>,
) -> Clock {
    let connections = format!("\nflagstaff_connections {}\n", asked.len() + 1);
    let connected =
        async || get(server.management_addr(), "/metrics").await.text().contains(&connections);
    clock.becomes_true("the connections", connected).await;
    none_is_answered(clock, asked).await
}

async fn none_is_answered<T: std::fmt::Debug + 'static>(
    clock: Clock,
    asked: &mut JoinSet<T>,
) -> Clock {
    let clock = clock.settled().await;
    let early = asked.try_join_next();
    assert!(early.is_none(), "{early:?} before the flags");
    clock
}

/// The server waits for its sources for 5 s: shortly before, no request has a response.
async fn the_wait_is_over<T: std::fmt::Debug + 'static>(
    clock: Clock,
    asked: &mut JoinSet<T>,
) -> Clock {
    clock.pass(Duration::from_millis(4900)).await;
    let clock = none_is_answered(clock, asked).await;
    clock.pass(Duration::from_millis(100)).await;
    clock
}

async fn answers(asked: JoinSet<(&'static str, String)>) -> Vec<(&'static str, String)> {
    let mut answers = asked.join_all().await;
    answers.sort_unstable();
    answers
}

/// What each client receives when there are no flags.
fn unavailable() -> Vec<(&'static str, String)> {
    let connect = r#"503 "unavailable""#;
    let ofrep = "503 null, retry after 1";
    let expected = [
        ("Connect", connect),
        ("Connect, all", connect),
        ("OFREP", ofrep),
        ("OFREP, all", ofrep),
        ("sync", "Unavailable"),
        ("v1", "Unavailable"),
        ("v1, all", "Unavailable"),
        ("v2", "Unavailable"),
    ];
    expected.map(|(name, outcome)| (name, outcome.to_owned())).into()
}

fn all_are(answers: &[(&'static str, String)], expected: &str) {
    assert_eq!(answers.len(), 8);
    assert!(answers.iter().all(|(_, outcome)| outcome == expected), "{answers:?}");
}

#[tokio::test(start_paused = true)]
async fn requests_wait_for_the_flags() {
    let clock = Clock::stopped();
    let (server, sender) = serve().await;
    let mut asked = clock.still("the requests", ask(&server)).await;
    let clock = all_wait(clock, &server, &mut asked).await;
    sender.send(Definition::json(FLAGS)).unwrap();
    all_are(&clock.still("the answers", answers(asked)).await, "one");
}

/// docs/server.md, "Startup and shutdown": at most 5 s, and after that not at all.
#[tokio::test(start_paused = true)]
async fn without_flags_requests_fail_after_a_while() {
    let clock = Clock::stopped();
    let (server, sender) = serve().await;
    let mut asked = clock.still("the requests", ask(&server)).await;
    let clock = all_wait(clock, &server, &mut asked).await;
    let clock = the_wait_is_over(clock, &mut asked).await;
    assert_eq!(clock.still("the answers", answers(asked)).await, unavailable());

    let again = async || answers(ask(&server).await).await;
    assert_eq!(clock.still("the answers", again()).await, unavailable());
    sender.send(Definition::json(FLAGS)).unwrap();
    clock.still("the flags", server.ready()).await;
    all_are(&clock.still("the answers", again()).await, "one");
}

/// A rejected definition ends the wait but provides no flags, as for the event stream and
/// `/readyz`.
#[tokio::test]
async fn an_invalid_definition_counts_as_no_flags() {
    let (server, sender) = serve().await;
    let asked = ask(&server).await;
    sender.send(Definition::json("{")).unwrap();
    assert_eq!(Clock::in_no_time("the answers", answers(asked)).await, unavailable());
    assert_eq!(get(server.management_addr(), "/readyz").await.status.as_u16(), 412);
    sender.send(Definition::json(FLAGS)).unwrap();
    bounded("the flags", server.ready()).await;
    all_are(&answers(ask(&server).await).await, "one");
}

/// A source with an empty definition is loaded.
#[tokio::test]
async fn an_empty_definition_counts_as_loaded() {
    let (server, sender) = serve().await;
    let asked = tokio::spawn(post(server.ofrep_addr(), OFREP, &[], ""));
    sender.send(Definition::json(NONE)).unwrap();
    let answer = bounded("an answer", asked).await.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.json()["flags"]), (200, &json!([])));
}

/// A silent source holds back the flags of the others for 5 s and no longer.
#[tokio::test(start_paused = true)]
async fn a_silent_source_does_not_keep_the_flags_of_others() {
    let clock = Clock::stopped();
    let (server, _sender) = serve().await;
    server.flags().replace(FLAGS).unwrap();
    let mut asked = clock.still("the requests", ask(&server)).await;
    let clock = all_wait(clock, &server, &mut asked).await;
    let clock = the_wait_is_over(clock, &mut asked).await;
    all_are(&clock.still("the answers", answers(asked)).await, "one");
    drop(clock);
    tokio::time::resume();
    // Clients are notified when the flags are deleted later.
    server.flags().replace(NONE).unwrap();
    let answer = post(server.ofrep_addr(), &format!("{OFREP}/f"), &[], "").await;
    assert_eq!(answer.status.as_u16(), 404);
    let stream = client_v1(&server).await.event_stream(v1::EventStreamRequest {}).await.unwrap();
    let ready = bounded("an event", stream.into_inner().message()).await.unwrap().unwrap();
    assert_eq!(ready.r#type, "provider_ready");
}

/// A gRPC call with this header; the status and its message, in headers or trailers. tonic's client
/// would time out by itself.
async fn call(
    address: Option<SocketAddr>,
    path: &str,
    message: Vec<u8>,
    (name, value): (&str, &str),
) -> (String, String) {
    let request = Request::post(format!("http://localhost{path}"))
        .header("content-type", "application/grpc")
        .header(name, value)
        .body(Full::new(envelope(0, message)))
        .unwrap();
    let io = TokioIo::new(TcpStream::connect(address.unwrap()).await.unwrap());
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    let trailers = body.collect().await.unwrap().trailers().cloned().unwrap_or_default();
    let read = |name| {
        let value = head.headers.get(name).or(trailers.get(name)).unwrap();
        value.to_str().unwrap().to_owned()
    };
    (read("grpc-status"), read("grpc-message").replace("%20", " "))
}

fn resolve_message() -> Vec<u8> {
    v1::ResolveStringRequest { flag_key: "f".to_owned(), context: None }.encode_to_vec()
}

/// Until the client's deadline, and at most for as long as the server waits.
#[tokio::test(start_paused = true)]
async fn requests_wait_no_longer_than_their_clients() {
    // The message shows that the client's deadline was exceeded, not the server's.
    const NOT_YET: &str = "the flags are not loaded yet";
    let clock = Clock::stopped();
    let (server, _sender) = serve().await;
    let address = server.evaluation_addr();
    let resolve = |timeout| call(address, RESOLVE, resolve_message(), ("grpc-timeout", timeout));
    let fetch = call(server.sync_addr(), FETCH, Vec::new(), ("grpc-timeout", "50m"));
    let connect = async move {
        let headers = [JSON, ("connect-timeout-ms", "50")];
        let answer = post(address, RESOLVE, &headers, r#"{"flagKey": "f"}"#).await;
        (outcome(&answer, |answer| answer), answer.json()["message"].to_string())
    };
    // An empty header has no effect.
    let mut asked: JoinSet<_> = ["50m", "1H", ""].map(resolve).into_iter().collect();
    asked.spawn(fetch);
    asked.spawn(connect);
    let clock = all_wait(clock, &server, &mut asked).await;
    clock.pass(Duration::from_millis(50)).await;
    for _ in 0..3 {
        let (status, message) = clock.still("an answer", asked.join_next()).await.unwrap().unwrap();
        assert!(["14", r#"503 "unavailable""#].contains(&&*status), "{status}: {message}");
        assert!(message.contains(NOT_YET), "{message}");
    }
    let clock = the_wait_is_over(clock, &mut asked).await;
    for (status, message) in clock.still("the answers", asked.join_all()).await {
        assert!(status == "14" && !message.contains(NOT_YET), "{status}: {message}");
    }
}

/// The request is invalid whatever the flags: it fails at once, with an error that is not retried.
#[tokio::test]
async fn invalid_requests_do_not_wait() {
    const INVALID_ARGUMENT: &str = "3";
    let (server, _sender) = serve().await;
    let (evaluation, ofrep) = (server.evaluation_addr(), server.ofrep_addr());
    let selector = ("flagd-selector", "bogus=1");
    let rejected = async {
        for (address, path, message) in [
            (evaluation, RESOLVE, resolve_message()),
            (evaluation, "/flagd.evaluation.v2.Service/ResolveString", resolve_message()),
            (evaluation, RESOLVE_ALL, Vec::new()),
            (server.sync_addr(), FETCH, Vec::new()),
        ] {
            let (status, _) = bounded("a status", call(address, path, message, selector)).await;
            assert_eq!(status, INVALID_ARGUMENT, "{path}");
        }
        for (address, path, headers, body) in [
            (evaluation, RESOLVE, &[JSON, selector][..], r#"{"flagKey": "f"}"#),
            (evaluation, RESOLVE_ALL, &[JSON, selector], "{}"),
            (evaluation, RESOLVE, &[JSON], r#"{"flagKey": "f", "context": 5}"#),
            (evaluation, RESOLVE_ALL, &[JSON], r#"{"context": 5}"#),
            (evaluation, RESOLVE, &[JSON], "{"),
            (ofrep, OFREP, &[selector], "{}"),
            (ofrep, "/ofrep/v1/evaluate/flags/f", &[selector], "{}"),
            (ofrep, OFREP, &[], "{"),
            (ofrep, "/ofrep/v1/evaluate/flags/f", &[], "{"),
        ] {
            let answer = bounded("an answer", post(address, path, headers, body)).await;
            assert_eq!(answer.status.as_u16(), 400, "{path} {headers:?} {body}");
        }
    };
    Clock::in_no_time("the answers", rejected).await;
}

#[tokio::test]
async fn a_shutdown_ends_the_wait() {
    let (server, _sender) = serve().await;
    let mut waiting = Vec::new();
    for (address, path) in [(server.ofrep_addr(), OFREP), (server.evaluation_addr(), RESOLVE)] {
        let mut stream = TcpStream::connect(address.unwrap()).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
            expect: 100-continue\r\ncontent-length: 2\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        // The server reads the body: the request has begun.
        let mut go_on = [0; 25];
        bounded("a go-ahead", stream.read_exact(&mut go_on)).await.unwrap();
        stream.write_all(b"{}").await.unwrap();
        waiting.push(stream);
    }
    let shutdown = async {
        let stopping = tokio::spawn(server.shutdown());
        for mut stream in waiting {
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
            assert!(answer.contains("the server is shutting down"), "{answer}");
        }
        stopping.await.unwrap();
    };
    Clock::in_no_time("the shutdown", shutdown).await;
}

/// A file is read immediately, but only once the server listens.
#[tokio::test]
async fn a_file_is_loaded_before_the_first_request() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flags.json");
    std::fs::write(&path, FLAGS).unwrap();
    let source = FileSource::new(&path, Duration::from_secs(60));
    let server = Server::builder().source(source).ephemeral().bind().await.unwrap();
    let answer = post(server.ofrep_addr(), &format!("{OFREP}/f"), &[], "").await;
    assert_eq!(answer.json()["value"], "one");
}

/// A slow web server: it responds when the test says so.
#[tokio::test(start_paused = true)]
async fn a_slow_url_is_waited_for() {
    let clock = Clock::stopped();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/flags.json", listener.local_addr().unwrap());
    let (asked, seen) = oneshot::channel();
    let (go, gone) = oneshot::channel::<()>();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await;
        asked.send(()).unwrap();
        gone.await.unwrap();
        let length = FLAGS.len();
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{FLAGS}");
        stream.write_all(answer.as_bytes()).await.unwrap();
    });
    let source = HttpSource::new(&url, Duration::from_secs(60)).unwrap();
    let server = Server::builder().source(source).ephemeral().bind().await.unwrap();
    clock.still("a request for the definition", seen).await.unwrap();
    let mut asked = clock.still("the requests", ask(&server)).await;
    let clock = all_wait(clock, &server, &mut asked).await;
    go.send(()).unwrap();
    all_are(&clock.still("the answers", answers(asked)).await, "one");
}
