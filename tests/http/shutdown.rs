//! A shutdown: streams are notified and end, requests in flight are finished, and the rest are cut.

use std::{convert::Infallible, pin::pin, time::Duration};

use axum::{
    Extension, Router,
    response::sse::{Event, Sse},
    routing::{get as on_get, post as on_post},
};
use flagstaff::http::{Draining, Peer, Server};
use tokio::{net::TcpStream, sync::mpsc};
use tokio_stream::{Stream, wrappers::ReceiverStream};

use crate::{
    clock::Clock,
    peer::{Raw, connect_2, get, serve},
    wait::{becomes_true, bounded, no_sooner},
};

/// Longer than any of these tests takes.
const NEVER: Duration = Duration::from_secs(600);

type Events = Sse<ReceiverStream<Result<Event, Infallible>>>;

/// One event, and a last one on the signal.
fn until(signal: impl Future<Output = ()> + Send + 'static) -> Events {
    let (sender, events) = mpsc::channel(1);
    tokio::spawn(async move {
        let _ = sender.send(Ok(Event::default().data("first"))).await;
        signal.await;
        let _ = sender.send(Ok(Event::default().data("last"))).await;
    });
    Sse::new(ReceiverStream::new(events))
}

fn is_stream<S: Stream>(events: Sse<S>) -> Sse<S> {
    events
}

fn router() -> Router {
    Router::new()
        .route(
            "/events",
            on_get(async |Extension(draining): Extension<Draining>| {
                is_stream(until(draining.begun()))
            }),
        )
        .route(
            "/by-peer",
            on_get(async |Extension(peer): Extension<Peer>| until(peer.draining().begun())),
        )
        .route("/endless", on_get(async || until(std::future::pending())))
        .route("/echo", on_post(async |body: String| body))
}

#[tokio::test]
async fn event_streams_end_on_the_signal() {
    for path in ["/events", "/by-peer"] {
        let server = serve(Server::builder().shutdown_timeout(NEVER), router()).await;
        let mut stream = Raw::open(&server).await;
        stream.send(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")).await;
        stream.until("data: first").await;
        let stopping = tokio::spawn(server.shutdown());
        // The empty chunk ends the stream, as opposed to the connection.
        let rest = stream.end().await;
        assert!(rest.contains("data: last") && rest.ends_with("0\r\n\r\n"), "{rest}");
        bounded("the shutdown", stopping).await.unwrap();
    }
}

#[tokio::test]
async fn a_request_that_has_begun_is_finished() {
    let server = serve(Server::builder().shutdown_timeout(NEVER), router()).await;
    let address = server.addresses()[0];
    let mut begun = Raw::open(&server).await;
    begun
        .send("POST /echo HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 6\r\n\r\n")
        .await;
    // The handler reads the body: the request has begun.
    begun.until("100 Continue").await;
    begun.send("one").await;
    let mut idle = Raw::open(&server).await;
    idle.send("GET /absent HTTP/1.1\r\nhost: x\r\n\r\n").await;
    idle.until("404").await;
    let stopping = tokio::spawn(server.shutdown());
    idle.end().await;
    becomes_true("the port to be closed", async || TcpStream::connect(address).await.is_err())
        .await;
    assert!(!stopping.is_finished());
    begun.send("two").await;
    let answer = begun.end().await;
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("onetwo"), "{answer}");
    bounded("the shutdown", stopping).await.unwrap();
}

#[tokio::test]
async fn the_phases_one_by_one() {
    let mut server = serve(Server::builder(), router()).await;
    let mut stream = connect_2(TcpStream::connect(server.addresses()[0]).await.unwrap()).await;
    let response = bounded("a response", stream.send_request(get("/endless"))).await.unwrap();
    server.drain();
    // The second time changes nothing.
    server.drain();
    // A new request on the same connection is rejected.
    becomes_true("a refusal", async || stream.send_request(get("/echo")).await.is_err()).await;
    Clock::still_waits("the open stream", pin!(server.closed_within(NEVER))).await;
    bounded("the end", server.closed_within(Duration::ZERO)).await;
    let body = http_body_util::BodyExt::collect(response.into_body());
    bounded("the end of the stream", body).await.unwrap_err();
}

/// A stream that ignores the signal is cut after the timeout.
#[tokio::test]
async fn what_does_not_end_is_cut() {
    let timeout = Duration::from_millis(50);
    let server = serve(Server::builder().shutdown_timeout(timeout), router()).await;
    let mut endless = Raw::open(&server).await;
    endless.send("GET /endless HTTP/1.1\r\nhost: x\r\n\r\n").await;
    endless.until("data: first").await;
    no_sooner("the shutdown", timeout, server.shutdown()).await;
    let rest = endless.end().await;
    assert!(!rest.ends_with("0\r\n\r\n"), "{rest}");
}

/// Dropping a server ends it without waiting, and handlers are notified.
#[tokio::test]
async fn dropping_a_server_ends_it() {
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let server = serve(Server::builder(), router()).await;
    let address = server.addresses()[0];
    let mut stream = Raw::open(&server).await;
    stream.send("GET /events HTTP/1.1\r\nhost: x\r\n\r\n").await;
    stream.until("data: first").await;
    drop(server);
    stream.end().await;
    becomes_true("the tasks to end", async || tasks() <= before).await;
    TcpStream::connect(address).await.unwrap_err();
}
