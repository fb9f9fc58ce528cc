//! Certificates of a server: from files, which are followed, from memory, and from the program.

use std::{fs, path::Path};

use axum::{Router, routing::get as on_get};
use flagstaff::http::{
    Certificates, Server,
    tls::{Pem, ServerTls, TlsError},
};
use http::StatusCode;
use tokio_rustls::rustls::pki_types::{CertificateDer, pem::PemObject};

use crate::{
    certs::Certificates as Pki,
    peer::{get, send_1, serve},
    tls,
    wait::becomes_true,
};

async fn encrypted(certificates: impl Into<Certificates>) -> Server {
    let router = Router::new().route("/", on_get(async || "hello"));
    serve(Server::builder().tls(certificates), router).await
}

/// The certificate that the server presents to a new connection, which it serves.
async fn presented(server: &Server, trusted: &[&Pki]) -> CertificateDer<'static> {
    let stream = tls::connect(server.addresses()[0], trusted, None, "http/1.1").await.unwrap();
    let certificate = stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned();
    assert_eq!(send_1(stream, get("/")).await, (StatusCode::OK, "hello".to_owned()));
    certificate
}

fn certificate_of(pki: &Pki) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(pki.server_cert()).unwrap()
}

/// Atomically replaces a file with a copy of another.
fn replace(path: &Path, from: &Path) {
    let new = path.with_extension("new");
    fs::copy(from, &new).unwrap();
    fs::rename(new, path).unwrap();
}

#[tokio::test]
async fn files_are_followed_by_all_servers_that_share_them() {
    let (first, second) = (Pki::new(), Pki::new());
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
    replace(&certificate, &first.server_cert());
    replace(&key, &first.server_key());
    let tls = ServerTls::new(&*certificate, &*key);
    let certificates = Certificates::load(tls).unwrap();
    let servers = [encrypted(certificates.clone()).await, encrypted(certificates).await];
    let both = [&first, &second];
    for server in &servers {
        assert_eq!(presented(server, &both).await, certificate_of(&first));
    }
    replace(&certificate, &second.server_cert());
    replace(&key, &second.server_key());
    for server in &servers {
        becomes_true("the new certificate", async || {
            presented(server, &both).await == certificate_of(&second)
        })
        .await;
    }
    // Nobody reads the files once the servers have been dropped.
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    drop(servers);
    becomes_true("the tasks to end", async || tasks() == 0).await;
}

#[tokio::test]
async fn from_memory_and_from_the_program() {
    let pki = Pki::new();
    let pem = |path| Pem::Memory(fs::read(path).unwrap());
    let tls = ServerTls::new(pem(pki.server_cert()), pem(pki.server_key()));
    let config = tls.config().unwrap();
    let shown = format!("{tls:?}");
    assert!(!shown.contains("45, 45"), "{shown}");
    let alone = encrypted(Certificates::load(tls).unwrap()).await;
    assert_eq!(presented(&alone, &[&pki]).await, certificate_of(&pki));
    let made = encrypted(config).await;
    assert_eq!(presented(&made, &[&pki]).await, certificate_of(&pki));
    // One without protocols.
    let mut silent = (*pki.server_config()).clone();
    silent.alpn_protocols.clear();
    let silent = encrypted(silent).await;
    for protocol in ["h2", "http/1.1"] {
        let stream = tls::connect(silent.addresses()[0], &[&pki], None, protocol).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol.as_bytes()));
    }
}

/// A pipe that nobody writes to must not block the loading of certificates forever.
#[cfg(unix)]
#[test]
fn what_is_not_a_regular_file_is_not_read() {
    let pki = Pki::new();
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for path in [&*pipe, directory.path()] {
        let error = ServerTls::new(path, &*pki.server_key()).config().unwrap_err();
        let TlsError::File { path: named, source } = error else { panic!("{error}") };
        assert_eq!((&*named, source.to_string()), (path, "not a regular file".to_owned()));
    }
}

/// Errors name the file and what is wrong with it, and never quote it.
#[test]
fn what_cannot_be_used_is_named() {
    let (pki, other) = (Pki::new(), Pki::new());
    let (certificate, key) = (pki.server_cert(), pki.server_key());
    let shown = |path: &Path| format!("`{}`", path.display());
    let garbage = Pem::Memory(b"-----BEGIN CERTIFICATE-----\nhush".to_vec());
    for (tls, place, reason) in [
        (ServerTls::new(&*key, &*key), shown(&key), "contains no PEM certificate"),
        (ServerTls::new(&*certificate, &*certificate), shown(&certificate), "no PEM private key"),
        (ServerTls::new(&*certificate, other.server_key()), shown(&certificate), "cannot use"),
        (ServerTls::new(Path::new("/nowhere"), &*key), "`/nowhere`".to_owned(), "cannot read"),
        (ServerTls::new(garbage.clone(), &*key), "in memory".to_owned(), "is not valid PEM"),
        (
            ServerTls::new(&*certificate, &*key).client_authorities(&*key),
            shown(&key),
            "contains no PEM certificate",
        ),
    ] {
        let error = tls.config().unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&place) && text.contains(reason), "{text}");
        let all = format!("{error:?} {text}");
        assert!(!all.contains("hush") && !all.contains("PRIVATE"), "{all}");
        let has_cause = matches!(error, TlsError::File { .. } | TlsError::Pair { .. });
        assert_eq!(std::error::Error::source(&error).is_some(), has_cause, "{text}");
    }
}
