//! Shutdown: readiness first, `provider_shutdown` always, and an end within a bound.

use flagstaff::server::Server;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tonic::{
    Code,
    transport::{Certificate, ClientTlsConfig, Endpoint},
};

use super::{
    client::{event, events, get, serve, serve_with, sync, sync_v1, v1 as client_v1},
    support::{
        certs::Certificates,
        clock::Clock,
        proto::v1,
        wait::{becomes_true, bounded},
    },
};

/// It always arrives; flagd's arrived in 20 of 24 runs (docs/flagd.md, "Event stream").
#[tokio::test]
async fn every_stream_is_notified() {
    for _ in 0..10 {
        let server = serve().await;
        let mut clients = Vec::new();
        for _ in 0..4 {
            let mut client = client_v1(&server).await;
            for _ in 0..5 {
                clients.push(events(&mut client, "").await);
            }
        }
        let stopped = tokio::spawn(server.shutdown());
        for stream in &mut clients {
            assert_eq!(event(stream).await, ("provider_shutdown".to_owned(), json!({})));
            let status = bounded("the end", stream.message()).await.unwrap_err();
            assert_eq!(status.code(), Code::Unavailable, "{status:?}");
        }
        bounded("the shutdown", stopped).await.unwrap();
    }
}

#[tokio::test]
async fn sync_streams_end_too() {
    let server = serve().await;
    let mut client = sync(&server).await;
    let mut stream =
        client.sync_flags(sync_v1::SyncFlagsRequest::default()).await.unwrap().into_inner();
    bounded("flags", stream.message()).await.unwrap().unwrap();
    bounded("the shutdown", server.shutdown()).await;
    assert_eq!(stream.message().await.unwrap_err().code(), Code::Unavailable);
}

/// A request whose body is still arriving when the shutdown begins gets its response.
#[tokio::test]
async fn a_request_that_was_begun_is_finished() {
    let server = serve().await;
    let json = "content-type: application/json";
    let mut begun = Vec::new();
    for (address, path, body) in [
        (server.ofrep_addr(), "/ofrep/v1/evaluate/flags/bool", r#"{"context": {}}"#),
        (
            server.evaluation_addr(),
            "/flagd.evaluation.v1.Service/ResolveBoolean",
            r#"{"flagKey": "bool"}"#,
        ),
    ] {
        let (half, rest) = body.split_at(5);
        let mut stream = TcpStream::connect(address.unwrap()).await.unwrap();
        // The server sends `100 Continue` once it reads the body: then the request is in flight.
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\n{json}\r\nexpect: 100-continue\r\n\
            content-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut go_on = [0; 25];
        bounded("a go-ahead", stream.read_exact(&mut go_on)).await.unwrap();
        assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream.write_all(half.as_bytes()).await.unwrap();
        begun.push((stream, rest));
    }
    let management = server.management_addr();
    let ofrep = server.ofrep_addr().unwrap();
    let stopping = tokio::spawn(server.shutdown());
    becomes_true("readiness to fail", async || {
        get(management, "/readyz").await.status.as_u16() == 412
    })
    .await;
    becomes_true("the port to be closed", async || TcpStream::connect(ofrep).await.is_err()).await;
    assert!(!stopping.is_finished());
    for (mut stream, rest) in begun {
        stream.write_all(rest.as_bytes()).await.unwrap();
        let mut answer = String::new();
        bounded("the answer", stream.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains(r#""value":true"#), "{answer}");
    }
    bounded("the shutdown", stopping).await.unwrap();
}

/// A client that reads nothing delays a shutdown for 5 s and no longer; probes report it meanwhile.
#[tokio::test]
async fn a_client_that_reads_nothing_delays_shutdown_for_5_seconds() {
    let server = serve().await;
    let management = server.management_addr();
    let stuck = crate::limits::hostile::stuck_stream(&server).await;
    let watch = "/grpc.health.v1.Health/Watch";
    let stuck_probe = crate::limits::hostile::stuck_call(management, watch).await;
    tokio::time::pause();
    let clock = Clock::stopped();
    let began = tokio::time::Instant::now();
    let stopping = tokio::spawn(server.shutdown());
    let not_ready = async || get(management, "/readyz").await.status.as_u16() == 412;
    clock.becomes_true("readiness to fail", not_ready).await;
    // From here on the clock advances to the next timer.
    drop(clock);
    bounded("the shutdown", stopping).await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 5);
    drop((stuck, stuck_probe));
}

/// A client that is connected but sends nothing, not even a TLS handshake, does not delay a
/// shutdown.
#[tokio::test]
async fn a_client_that_says_nothing_is_not_waited_for() {
    let certificates = Certificates::new();
    let builder = Server::builder().tls(certificates.server_cert(), certificates.server_key());
    let server = serve_with(builder).await;
    let mut silent = TcpStream::connect(server.evaluation_addr().unwrap()).await.unwrap();
    // Its connection is accepted: another one, which came later, is served.
    let uri = format!("https://localhost:{}", server.evaluation_addr().unwrap().port());
    let pem = std::fs::read(certificates.ca()).unwrap();
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem));
    let endpoint = Endpoint::from_shared(uri).unwrap().tls_config(tls).unwrap();
    drop(bounded("a connection", endpoint.connect()).await.unwrap());

    Clock::in_no_time("the shutdown", server.shutdown()).await;
    assert_eq!(silent.read(&mut [0]).await.unwrap_or_default(), 0);
}

/// After a shutdown nothing listens, and the addresses are free again.
#[tokio::test]
async fn the_ports_are_free_again() {
    let server = serve().await;
    let address = server.evaluation_addr().unwrap();
    let mut client = client_v1(&server).await;
    server.shutdown().await;
    let request = v1::ResolveBooleanRequest { flag_key: "bool".to_owned(), context: None };
    client.resolve_boolean(request).await.unwrap_err();
    let again = Server::builder().ephemeral().evaluation(address).bind().await;
    assert_eq!(again.unwrap().evaluation_addr(), Some(address));
}

/// Dropping a server ends it without waiting; no task is left.
#[tokio::test]
async fn dropping_a_server_ends_it() {
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let server = serve().await;
    {
        let mut client = client_v1(&server).await;
        let _stream = events(&mut client, "").await;
        drop(server);
    }
    super::support::wait::eventually("the tasks to end", || tasks() <= before).await;
}
