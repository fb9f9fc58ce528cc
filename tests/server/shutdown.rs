//! Shutdown: readiness first, `provider_shutdown` always, and an end within a bound.

use std::time::Duration;

use flagstaff::server::Server;
use serde_json::json;
use tokio::{io::AsyncReadExt, net::TcpStream};
use tonic::{
    Code,
    transport::{Certificate, ClientTlsConfig, Endpoint},
};

use super::{
    client::{event, events, get, serve, serve_with, sync, sync_v1, v1 as client_v1},
    support::{certs::Certificates, proto::v1, wait::bounded},
};

/// Issue: "`provider_shutdown` that is always delivered". flagd's arrived in 20 of 24 runs.
#[tokio::test]
async fn every_stream_is_told() {
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

/// A client that reads nothing holds up a shutdown for 5 s, no longer; probes tell meanwhile.
#[tokio::test]
async fn a_client_that_reads_nothing_is_left_behind() {
    let server = serve().await;
    let management = server.management_addr();
    let stuck = super::hostile::stuck_stream(&server).await;
    let watch = "/grpc.health.v1.Health/Watch";
    let stuck_probe = super::hostile::stuck_call(management, watch).await;
    let began = tokio::time::Instant::now();
    let stopping = tokio::spawn(server.shutdown());
    bounded("readiness to fail", async {
        while get(management, "/readyz").await.status.as_u16() != 412 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    bounded("the shutdown", stopping).await.unwrap();
    let took = began.elapsed();
    assert!(took > Duration::from_secs(4) && took < Duration::from_secs(7), "{took:?}");
    drop((stuck, stuck_probe));
}

/// A client that is connected and says nothing, not even how to encrypt, holds up nothing.
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

    let began = tokio::time::Instant::now();
    bounded("the shutdown", server.shutdown()).await;
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
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
async fn a_dropped_server_is_gone() {
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
