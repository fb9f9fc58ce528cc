//! The ways to flagd: TCP, unix socket, target URIs, TLS and mutual TLS (docs/options.md).

use std::net::Ipv6Addr;

use crate::support::{
    background::Background,
    ports::local,
    provider::{
        assert_contains, changed, error, expect, message, near, ready, started, swift, value,
        watched,
    },
    proxy::authority_proxy::AuthorityProxy,
    scripted::ScriptedServer,
};
use flagstaff::{State, flagd::FlagdOptionsBuilder};
use open_feature::{EvaluationErrorCode as Code, EvaluationReason as Reason};
use tokio::net::{TcpListener, TcpStream};

/// A call, the stream and an event all work.
async fn all_works(server: &ScriptedServer, options: FlagdOptionsBuilder) {
    server.set("on", true);
    let (provider, mut events) = watched(options).await;
    assert_eq!(value(&provider, "on").await, (true, Reason::Static));
    server.update("on", false);
    expect(&mut events, [changed(&["on"])]).await;
    assert_eq!(value(&provider, "on").await, (false, Reason::Static));
}

/// docs/options.md, "Precedence": a target URI wins over host and port.
#[tokio::test]
async fn host_and_port_and_the_forms_of_a_target_uri() {
    let server = ScriptedServer::start();
    let port = server.port();
    for options in [
        near(port),
        near(port).host("localhost"),
        near(1).host("nowhere.invalid").target_uri(format!("127.0.0.1:{port}")),
        swift().target_uri(format!("localhost:{port}")),
        swift().target_uri(format!("dns:///localhost:{port}")),
        swift().target_uri(format!("dns:127.0.0.1:{port}")),
        // "A bare word as target URI is a DNS name with `port`."
        swift().port(port).target_uri("localhost"),
    ] {
        all_works(&server, options).await;
    }
}

/// `envoy://host:port/authority`, through a proxy that routes by authority.
#[tokio::test]
async fn an_envoy_target_reaches_the_service_of_its_authority() {
    let (server, other) = (ScriptedServer::start(), ScriptedServer::start());
    let routes = [("shop.flags", local(server.port())), ("other", local(other.port()))];
    let proxy = AuthorityProxy::start(routes);
    let envoy =
        |authority| swift().target_uri(format!("envoy://127.0.0.1:{}/{authority}", proxy.port()));
    all_works(&server, envoy("shop.flags")).await;
    assert_eq!(other.observed().streams_opened(), 0);
    all_works(&other, envoy("other")).await;

    let astray = started(envoy("nowhere")).await;
    assert_eq!(astray.state(), State::Error);
    let general = Code::General("GENERAL".to_owned());
    let text = message(&error(&astray, "on").await, &general);
    assert_contains(&text, &["UNIMPLEMENTED", "404"]);
}

/// docs/options.md, "Precedence": `socketPath` wins over host and port; `unix:` with and without
/// slashes.
#[tokio::test]
async fn a_unix_socket() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flagd.sock");
    let server = ScriptedServer::builder().socket(&path).start();
    let path = path.to_str().unwrap();
    for options in [
        near(1).socket_path(path),
        swift().target_uri(format!("unix://{path}")),
        swift().target_uri(format!("unix:{path}")),
    ] {
        all_works(&server, options).await;
        assert_eq!(
            server.calls().last().unwrap().authority.as_ref().unwrap().as_str(),
            "localhost"
        );
    }
}

/// An address with and without brackets.
#[tokio::test]
async fn an_ipv6_address() {
    let Ok(listener) = std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) else {
        println!("skipped: this machine has no IPv6 loopback");
        return;
    };
    let server = ScriptedServer::start();
    let (port, upstream) = (listener.local_addr().unwrap().port(), local(server.port()));
    let _pipe = Background::spawn("ipv6", move || async move {
        listener.set_nonblocking(true).unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut server = TcpStream::connect(upstream).await.unwrap();
                // It ends when either side ends, for whatever reason.
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    for options in [
        near(port).host("::1"),
        swift().target_uri(format!("[::1]:{port}")),
        swift().target_uri(format!("dns:///[::1]:{port}")),
        swift().port(port).target_uri("::1"),
    ] {
        all_works(&server, options).await;
    }
}

/// An unknown host is an error that names it, and it is retried.
#[tokio::test]
async fn an_unknown_host_is_named() {
    let provider = started(near(8013).host("nowhere.invalid")).await;
    assert_eq!((provider.state(), provider.is_fatal()), (State::Error, false));
    let text = message(&error(&provider, "on").await, &Code::ProviderNotReady);
    assert_contains(&text, &["nowhere.invalid:8013"]);
}

/// Whatever else is evaluated at the same time.
#[tokio::test]
async fn the_stream_and_all_calls_share_one_connection() {
    let server = ScriptedServer::start();
    let provider = ready(near(server.port())).await;
    let gate = server.gate("on");
    let asked: Vec<_> = (0..100)
        .map(|_| {
            let provider = provider.clone();
            tokio::spawn(async move { error(&provider, "on").await })
        })
        .collect();
    gate.wait_for(100).await;
    assert_eq!(server.observed().connections.accepted, 1);
    gate.release();
    for answer in asked {
        assert_eq!(answer.await.unwrap().code, Code::FlagNotFound);
    }
}

#[cfg(feature = "tls")]
mod tls {
    use std::{env, fs, process::Command, sync::Arc};

    use flagstaff::{
        FlagdProvider, ProviderEvent,
        http::tls::{ClientTls, Pem},
    };

    use super::*;
    use crate::support::{
        certs::Certificates,
        provider::{ALL_CHANGED, boolean, expect_error},
        wait::{PATIENCE, becomes_true},
    };

    fn secure(port: u16, certificates: &Certificates) -> FlagdOptionsBuilder {
        near(port).host("localhost").tls(true).cert_path(certificates.ca())
    }

    fn encrypted(certificates: &Certificates) -> ScriptedServer {
        ScriptedServer::builder().tls(certificates.server_config()).start()
    }

    /// The provider is in ERROR, with these words in its message.
    async fn refused(provider: &FlagdProvider, parts: &[&str]) {
        assert_eq!((provider.state(), provider.is_fatal()), (State::Error, false));
        let (text, _) = expect_error(&mut provider.events()).await;
        assert_contains(&text, parts);
        let text = message(&error(provider, "on").await, &Code::ProviderNotReady);
        assert_contains(&text, parts);
    }

    /// `certPath` is a PEM file of authorities; the name or address of the server is in its
    /// certificate.
    #[tokio::test]
    async fn a_server_of_a_trusted_authority() {
        let certificates = Certificates::new();
        let server = encrypted(&certificates);
        let port = server.port();
        all_works(&server, secure(port, &certificates)).await;
        all_works(&server, secure(port, &certificates).host("127.0.0.1")).await;
        all_works(&server, secure(1, &certificates).target_uri(format!("dns:///localhost:{port}")))
            .await;
        // The name in the certificate is that of the authority, where there is one.
        let envoy = format!("envoy://127.0.0.1:{port}/localhost");
        all_works(&server, secure(1, &certificates).target_uri(envoy)).await;
    }

    #[tokio::test]
    async fn tls_over_a_unix_socket() {
        let (certificates, directory) = (Certificates::new(), tempfile::tempdir().unwrap());
        let path = directory.path().join("flagd.sock");
        let tls = certificates.server_config();
        let server = ScriptedServer::builder().socket(&path).tls(tls).start();
        all_works(&server, secure(1, &certificates).socket_path(&path)).await;
    }

    /// The message of rustls alone does not help: the error says what to do.
    #[tokio::test]
    async fn an_untrusted_server_is_rejected_with_a_remedy() {
        let (certificates, other) = (Certificates::new(), Certificates::new());
        let server = encrypted(&certificates);
        let target = format!("localhost:{}", server.port());
        let provider = started(secure(server.port(), &other)).await;
        refused(
            &provider,
            &[&target, "certificate", "the PEM file of the right one", "`certPath`"],
        )
        .await;

        let provider =
            started(secure(server.port(), &certificates).authority("other.example")).await;
        refused(&provider, &[&target, "other.example"]).await;

        server.set_tls(certificates.self_signed_server_config());
        server.restart();
        let self_signed =
            secure(server.port(), &certificates).cert_path(certificates.self_signed_cert());
        let provider = started(self_signed).await;
        refused(&provider, &[&target, "CaUsedAsEndEntity", "openssl req -x509", "`certPath`"])
            .await;
        assert_eq!(server.observed().streams_opened(), 0);
    }

    /// Mutual TLS.
    #[tokio::test]
    async fn a_server_that_requests_a_certificate() {
        let certificates = Certificates::new();
        let tls = certificates.mutual_server_config();
        let server = ScriptedServer::builder().tls(tls).start();
        let with_certificate = secure(server.port(), &certificates)
            .client_cert_path(certificates.client_cert())
            .client_key_path(certificates.client_key());
        all_works(&server, with_certificate).await;

        let streams = server.observed().streams_opened();
        // The server reports this after the handshake; calls must not retry until a deadline as
        // long as this.
        let patient = secure(server.port(), &certificates).deadline(PATIENCE * 30);
        let stranger = started(patient).await;
        refused(&stranger, &["localhost:"]).await;
        assert_eq!(server.observed().streams_opened(), streams);
    }

    /// "TLS from memory", and the program's configuration before the files of the options.
    #[tokio::test]
    async fn certificates_in_memory() {
        let (certificates, other) = (Certificates::new(), Certificates::new());
        let tls = certificates.mutual_server_config();
        let server = ScriptedServer::builder().tls(tls).start();
        let memory = |path| Pem::Memory(fs::read(path).unwrap());
        let trusting = |authorities| {
            let tls = ClientTls::new()
                .authorities(memory(authorities))
                .identity(memory(certificates.client_cert()), memory(certificates.client_key()));
            let options = near(server.port()).host("localhost").cert_path("/does/not/exist");
            options.tls_config(tls.config().unwrap())
        };
        all_works(&server, trusting(certificates.ca())).await;
        let streams = server.observed().streams_opened();
        let provider = started(trusting(other.ca())).await;
        refused(&provider, &["localhost:", "certificate", "trust it in `tls_config`"]).await;
        assert_eq!(server.observed().streams_opened(), streams);
    }

    #[tokio::test]
    async fn a_server_without_http2_is_rejected() {
        let certificates = Certificates::new();
        let mut tls = Arc::unwrap_or_clone(certificates.server_config());
        tls.alpn_protocols.clear();
        let server = ScriptedServer::builder().tls(tls.into()).start();
        let provider = started(secure(server.port(), &certificates)).await;
        refused(&provider, &["localhost:", "does not offer HTTP/2"]).await;
        assert_eq!(server.observed().streams_opened(), 0);
    }

    /// Without `certPath` the roots of the system are trusted, and `SSL_CERT_FILE` names them. The
    /// environment cannot be changed safely from within, so the test runs itself again.
    #[test]
    fn the_roots_of_the_system_are_trusted() {
        const NAME: &str = "connection::tls::the_roots_of_the_system_are_trusted";
        const PORT: &str = "FLAGSTAFF_TEST_PORT_OF_THE_PARENT";
        const TRUSTS: &str = "FLAGSTAFF_TEST_TRUSTS_THE_PARENT";
        if let Ok(port) = env::var(PORT) {
            return with_system_roots(port.parse().unwrap(), &env::var(TRUSTS).unwrap());
        }
        let (certificates, other) = (Certificates::new(), Certificates::new());
        let server = encrypted(&certificates);
        server.set("on", true);
        let nobody = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        for (roots, trusts) in
            [(certificates.ca(), "it"), (other.ca(), "another"), (nobody.to_path_buf(), "nobody")]
        {
            let mut child = Command::new(env::current_exe().unwrap());
            child.args([NAME, "--exact", "--nocapture"]);
            child.env(PORT, server.port().to_string()).env(TRUSTS, trusts);
            child.env("SSL_CERT_FILE", roots).env_remove("SSL_CERT_DIR");
            let child = child.output().unwrap();
            let output = String::from_utf8_lossy(&child.stdout);
            assert!(child.status.success(), "{output}{}", String::from_utf8_lossy(&child.stderr));
            assert!(output.contains("1 passed"), "{output}");
            assert_eq!(server.observed().streams_opened(), 1, "the first child's alone");
        }
    }

    #[tokio::main(flavor = "current_thread")]
    async fn with_system_roots(port: u16, trusts: &str) {
        let provider = started(near(port).host("localhost").tls(true)).await;
        match trusts {
            "it" => assert_eq!(value(&provider, "on").await, (true, Reason::Static)),
            "another" => refused(&provider, &["localhost:", "certificate", "`certPath`"]).await,
            _ => {
                let text = message(&error(&provider, "on").await, &Code::ProviderNotReady);
                assert_contains(
                    &text,
                    &["certPath", "no certificate authorities", "ca-certificates"],
                );
                assert!(provider.is_fatal());
            }
        }
    }

    /// A mistake on either side is a timely error, not a panic.
    #[tokio::test]
    async fn tls_on_one_side_only_is_an_error() {
        let certificates = Certificates::new();
        let plain = ScriptedServer::start();
        refused(&started(secure(plain.port(), &certificates)).await, &["localhost:"]).await;
        let server = encrypted(&certificates);
        refused(&started(near(server.port())).await, &["127.0.0.1:"]).await;
    }

    /// Certificates are read again for each connection, whichever side renews first; and a file
    /// that is unusable for a while does not end a provider that was ready.
    #[tokio::test]
    async fn certificates_are_rotated() {
        let directory = tempfile::tempdir().unwrap();
        let trusted = directory.path().join("trusted.pem");
        let trust = |certificates: &Certificates| {
            fs::copy(certificates.ca(), &trusted).unwrap();
        };
        let rotate = |server: &ScriptedServer, certificates: &Certificates| {
            server.set_tls(certificates.server_config());
            server.restart();
        };
        let [first, second, third] = [(); 3].map(|()| Certificates::new());
        trust(&first);
        let server = encrypted(&first);
        let options = near(server.port()).host("localhost").tls(true).cert_path(&trusted);
        let (provider, mut events) = watched(options).await;
        let recovered = [ProviderEvent::Stale, ProviderEvent::Ready, ALL_CHANGED];

        trust(&second);
        rotate(&server, &second);
        expect(&mut events, recovered.clone()).await;

        let accepted = server.observed().connections.accepted;
        rotate(&server, &third);
        let attempts = "attempts with the old authority";
        server.wait_until(attempts, |seen| seen.connections.accepted >= accepted + 3).await;
        assert_eq!(provider.state(), State::Stale);
        trust(&third);
        expect(&mut events, recovered.clone()).await;

        fs::write(&trusted, "half a file").unwrap();
        server.restart();
        expect(&mut events, [ProviderEvent::Stale]).await;
        let path = trusted.display().to_string();
        becomes_true("a message that names the file", async || {
            let error = error(&provider, "on").await;
            message(&error, &Code::ProviderNotReady).contains(&path)
        })
        .await;
        assert_eq!((provider.state(), provider.is_fatal()), (State::Stale, false));
        trust(&third);
        provider.wait_ready(PATIENCE).await.unwrap();
    }

    /// A call that is lost while certificates are rotated is retried over the connection that has
    /// read the new ones: the old one would never trust the server.
    #[tokio::test]
    async fn a_lost_call_goes_on_with_rotated_certificates() {
        let directory = tempfile::tempdir().unwrap();
        let trusted = directory.path().join("trusted.pem");
        let [first, second] = [(); 2].map(|()| Certificates::new());
        fs::copy(first.ca(), &trusted).unwrap();
        let server = encrypted(&first);
        server.set("on", true);
        let options = near(server.port()).host("localhost").tls(true).cert_path(&trusted);
        let provider = ready(options).await;
        let gate = server.gate("on");
        let asked = tokio::spawn({
            let provider = provider.clone();
            async move { boolean(&provider, "on").await.map(|details| details.value) }
        });
        gate.wait_for(1).await;
        fs::copy(second.ca(), &trusted).unwrap();
        server.set_tls(second.server_config());
        server.restart();
        server.wait_until("the second attempt", |seen| seen.unary() == 2).await;
        gate.release();
        assert!(asked.await.unwrap().unwrap());
    }
}
