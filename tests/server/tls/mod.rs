//! TLS, and unix sockets.

mod certificates;

use std::sync::Arc;

use flagstaff::{
    FlagdOptions,
    http::Listen,
    server::{Server, ServerError},
};

use crate::{
    client::{FLAGS, get, post},
    support::{
        certs::Certificates,
        proto::{V1, connect, v1},
        provider::{ready, swift, value},
    },
};

/// docs/flagd.md, "Command line": TLS covers evaluation and sync; OFREP and management stay plain.
#[tokio::test]
async fn evaluation_is_encrypted() {
    let certificates = Certificates::new();
    let builder = Server::builder().tls(certificates.server_cert(), certificates.server_key());
    let server = builder.ephemeral().bind().await.unwrap();
    server.flags().replace(FLAGS).unwrap();
    let port = server.evaluation_addr().unwrap().port();
    let options = swift().host("localhost").port(port).tls(true).cert_path(certificates.ca());
    let provider = ready(options).await;
    assert!(value(&provider, "bool").await.0);
    let answer = post(server.ofrep_addr(), "/ofrep/v1/evaluate/flags/bool", &[], "").await;
    assert_eq!(answer.json()["value"], true);
    assert_eq!(get(server.management_addr(), "/readyz").await.status.as_u16(), 200);
    // A client without TLS is not served and does no harm.
    let uri = format!("http://127.0.0.1:{port}");
    let plain = tonic::transport::Endpoint::from_shared(uri).unwrap().connect_lazy();
    let request = v1::ResolveBooleanRequest { flag_key: "bool".to_owned(), context: None };
    V1::new(plain).resolve_boolean(request).await.unwrap_err();
    assert!(value(&provider, "bool").await.0);
    server.shutdown().await;
}

/// "TLS from memory".
#[tokio::test]
async fn a_configuration_of_the_program() {
    let certificates = Certificates::new();
    let config = || Arc::unwrap_or_clone(certificates.server_config());
    let builder = || Server::builder().ephemeral().tls_config(config());
    let server = builder().bind().await.unwrap();
    server.flags().replace(FLAGS).unwrap();
    let port = server.evaluation_addr().unwrap().port();
    let options = swift().host("localhost").port(port).tls(true).cert_path(certificates.ca());
    let provider = ready(options).await;
    assert!(value(&provider, "bool").await.0);
    server.shutdown().await;
    // Which clients are accepted is part of the configuration.
    let error = builder().client_authorities(certificates.ca()).bind().await.unwrap_err();
    assert!(error.to_string().contains("certificate and key with `tls`"), "{error}");
}

#[tokio::test]
async fn files_that_are_not_certificates() {
    let certificates = Certificates::new();
    let (certificate, key) = (certificates.server_cert(), certificates.server_key());
    for (certificate, key) in [
        (key.clone(), key.clone()),
        (certificate.clone(), certificate.clone()),
        (certificate.clone(), certificates.client_key()),
        ("/nowhere".into(), key),
    ] {
        let error = Server::builder().ephemeral().tls(&certificate, &key).bind().await.unwrap_err();
        assert!(matches!(error, ServerError::Tls(_)), "{error}");
        assert!(!error.to_string().contains("PRIVATE"), "{error}");
    }
}

/// docs/flagd.md, "Command line": a socket replaces the TCP port of its service.
#[cfg(unix)]
#[tokio::test]
async fn unix_sockets() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flagd.sock");
    let listen = || Server::builder().ephemeral().evaluation(Listen::from(path.clone())).bind();
    let server = listen().await.unwrap();
    server.flags().replace(FLAGS).unwrap();
    assert_eq!(server.evaluation_addr(), None);
    let mut client = V1::new(connect(format!("unix://{}", path.display())).await);
    let request = v1::ResolveBooleanRequest { flag_key: "bool".to_owned(), context: None };
    assert!(client.resolve_boolean(request).await.unwrap().into_inner().value);
    let options = FlagdOptions::builder().socket_path(&path);
    let provider = ready(options).await;
    assert!(value(&provider, "bool").await.0);

    let error = listen().await.unwrap_err();
    assert!(error.to_string().contains("flagd.sock"), "{error}");
    assert!(path.exists(), "another server's socket stays");
    provider.shutdown().await;
    server.shutdown().await;
    assert!(!path.exists());
    // The socket that a killed server left behind is replaced.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    drop(listen().await.unwrap());
    std::fs::remove_file(&path).ok();
    std::fs::write(&path, "precious").unwrap();
    listen().await.unwrap_err();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

/// A server that is too busy to accept connections is still running.
#[cfg(unix)]
#[tokio::test]
async fn the_socket_of_a_busy_server_stays() {
    use tokio::net::{UnixSocket, UnixStream};

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flagd.sock");
    let socket = UnixSocket::new_stream().unwrap();
    socket.bind(&path).unwrap();
    let _busy = socket.listen(1).unwrap();
    let mut waiting = Vec::new();
    while let Ok(connected) = UnixStream::connect(&path).await {
        waiting.push(connected);
        assert!(waiting.len() < 10_000, "the backlog has no end");
    }
    let server = Server::builder().ephemeral().evaluation(Listen::from(path.clone())).bind();
    server.await.unwrap_err();
    assert!(path.exists());
}

#[tokio::test]
async fn an_address_in_use() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let error = Server::builder().ephemeral().ofrep(address).bind().await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("ofrep") && text.contains(&address.to_string()), "{text}");
    let error = Server::builder().ephemeral().context_from_header("no header", "x").bind().await;
    assert!(error.unwrap_err().to_string().contains("`no header`"));
}
