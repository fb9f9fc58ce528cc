//! Certificates that are renewed while the server runs, and those of clients (mutual TLS).

use std::{
    fmt::{Debug, Write},
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use flagstaff::{
    State,
    flagd::{FlagdOptionsBuilder, Resolver, SyncSource},
    server::{Server, ServerBuilder, ServerError},
    source::FlagSource,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{
    client::TlsStream,
    rustls::pki_types::{CertificateDer, pem::PemObject},
};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context, prelude::*};

use crate::{
    client::{FLAGS, get, post},
    support::{
        certs::Certificates,
        provider::{ready, started, swift, value},
        tls,
        wait::{becomes_true, bounded, eventually},
    },
};

/// A directory with a pair, as the server reads it.
struct Pair(TempDir);

impl Pair {
    fn new(certificates: &Certificates) -> Self {
        let pair = Self(tempfile::tempdir().unwrap());
        pair.rename("tls.crt", &certificates.server_cert());
        pair.rename("tls.key", &certificates.server_key());
        pair.rename("ca.crt", &certificates.ca());
        pair
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Atomically replaces a file with a copy of another.
    fn rename(&self, name: &str, from: &Path) {
        let new = self.path("new");
        fs::copy(from, &new).unwrap();
        fs::rename(new, self.path(name)).unwrap();
    }

    fn builder(&self) -> ServerBuilder {
        Server::builder().tls(self.path("tls.crt"), self.path("tls.key"))
    }
}

async fn serve(builder: ServerBuilder) -> Server {
    let server = builder.ephemeral().bind().await.unwrap();
    server.flags().replace(FLAGS).unwrap();
    server
}

/// The ports with TLS.
fn ports(server: &Server) -> [SocketAddr; 2] {
    [server.evaluation_addr(), server.sync_addr()].map(Option::unwrap)
}

type Connection = TlsStream<TcpStream>;

/// A connection of a client that trusts both, and presents the certificate of the latter, if any.
async fn connect(
    address: SocketAddr,
    trusted: [&Certificates; 2],
    client: Option<&Certificates>,
) -> io::Result<Connection> {
    tls::connect(address, &trusted, client, "http/1.1").await
}

/// Whether a connection is usable: with TLS 1.3, a client learns only now that it was rejected.
async fn answers(connection: &mut Connection) -> bool {
    let asked = async {
        connection.write_all(b"GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n").await?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"404 page not found\n") {
            if connection.read_buf(&mut answer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok::<_, io::Error>(())
    };
    bounded("an answer", asked).await.is_ok()
}

/// Whether the server shows the certificate of the first to new connections, on both ports.
async fn shows(server: &Server, shown: &Certificates, other: &Certificates) -> bool {
    let expected = CertificateDer::from_pem_file(shown.server_cert()).unwrap();
    for address in ports(server) {
        let mut connection = connect(address, [shown, other], None).await.unwrap();
        assert!(answers(&mut connection).await);
        if connection.get_ref().1.peer_certificates().unwrap()[0] != expected {
            return false;
        }
    }
    true
}

#[tokio::test]
async fn a_renewed_pair_is_shown_to_new_connections() {
    let (first, second) = (Certificates::new(), Certificates::new());
    let pair = Pair::new(&first);
    let server = serve(pair.builder()).await;
    assert!(shows(&server, &first, &second).await);
    let mut old = Vec::new();
    for address in ports(&server) {
        old.push(connect(address, [&first, &second], None).await.unwrap());
    }
    let port = server.evaluation_addr().unwrap().port();
    let provider =
        ready(swift().host("localhost").port(port).tls(true).cert_path(first.ca())).await;

    pair.rename("tls.key", &second.server_key());
    pair.rename("tls.crt", &second.server_cert());
    becomes_true("the new certificate", async || shows(&server, &second, &first).await).await;
    for connection in &mut old {
        assert!(answers(connection).await, "a connection that was open lives on");
    }
    assert!(value(&provider, "bool").await.0);
    assert_eq!((provider.state(), provider.stats().reconnections), (State::Ready, 0));
    // Back again, which is a change like any other.
    pair.rename("tls.crt", &first.server_cert());
    pair.rename("tls.key", &first.server_key());
    becomes_true("the last valid one", async || shows(&server, &first, &second).await).await;
}

/// As Kubernetes updates a volume: the files are links through another link, and only that one is
/// replaced.
#[cfg(unix)]
#[tokio::test]
async fn a_pair_in_a_volume_of_kubernetes() {
    use std::os::unix::fs::symlink;

    let (first, second) = (Certificates::new(), Certificates::new());
    let volume = tempfile::tempdir().unwrap();
    let path = |name: &str| volume.path().join(name);
    let version = |name: &str, certificates: &Certificates| {
        fs::create_dir(path(name)).unwrap();
        fs::copy(certificates.server_cert(), path(name).join("tls.crt")).unwrap();
        fs::copy(certificates.server_key(), path(name).join("tls.key")).unwrap();
        symlink(name, path("..data_tmp")).unwrap();
        fs::rename(path("..data_tmp"), path("..data")).unwrap();
    };
    version("..1", &first);
    symlink("..data/tls.crt", path("tls.crt")).unwrap();
    symlink("..data/tls.key", path("tls.key")).unwrap();
    let server = serve(Server::builder().tls(path("tls.crt"), path("tls.key"))).await;
    assert!(shows(&server, &first, &second).await);
    version("..2", &second);
    fs::remove_dir_all(path("..1")).unwrap();
    becomes_true("the new certificate", async || shows(&server, &second, &first).await).await;
}

/// Warnings about certificates.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl Warnings {
    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

impl<S: Subscriber> Layer<S> for Warnings {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        if *event.metadata().level() == Level::WARN && text.0.contains("certificates") {
            self.0.lock().unwrap().push(text.0);
        }
    }
}

#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{field}={value:?} ").unwrap();
    }
}

/// docs/server.md, "TLS": an invalid pair is logged, and the current one stays in use.
#[tokio::test]
async fn a_broken_pair_leaves_the_one_in_use() {
    let (first, second) = (Certificates::new(), Certificates::new());
    let pair = Pair::new(&first);
    let warnings = Warnings::default();
    let _subscribed = tracing_subscriber::registry().with(warnings.clone()).set_default();
    let server = serve(pair.builder()).await;
    let breaks: [(&str, &dyn Fn()); 4] = [
        ("with the certificate", &|| pair.rename("tls.crt", &second.server_cert())),
        ("no PEM certificate", &|| fs::write(pair.path("tls.crt"), "").unwrap()),
        ("no PEM private key", &|| {
            pair.rename("tls.crt", &second.server_cert());
            fs::write(pair.path("tls.key"), "-----BEGIN PRIVATE KEY-----\nhush").unwrap();
        }),
        ("tls.key", &|| fs::remove_file(pair.path("tls.key")).unwrap()),
    ];
    for (index, (reason, breaks)) in breaks.into_iter().enumerate() {
        breaks();
        eventually(reason, || warnings.count() > index).await;
        assert!(shows(&server, &first, &second).await, "{reason}");
        let text = warnings.0.lock().unwrap()[index].clone();
        assert!(text.contains(reason) && !text.contains("hush"), "{text}");
        tokio::time::pause();
        // Once, however often the files are read: the clock is paused, so this takes no time.
        tokio::time::sleep(Duration::from_secs(10)).await;
        tokio::time::resume();
        assert_eq!(warnings.count(), index + 1, "{:?}", warnings.0.lock().unwrap());
    }
    pair.rename("tls.key", &second.server_key());
    becomes_true("the new certificate", async || shows(&server, &second, &first).await).await;
    assert_eq!(warnings.count(), 4);
}

fn with_certificate(
    server: SocketAddr,
    trusted: &Certificates,
    client: &Certificates,
) -> FlagdOptionsBuilder {
    let options = swift().host("localhost").port(server.port()).tls(true).cert_path(trusted.ca());
    options.client_cert_path(client.client_cert()).client_key_path(client.client_key())
}

/// docs/server.md, "TLS": mutual TLS.
#[tokio::test]
async fn clients_show_a_certificate() {
    let (ours, theirs) = (Certificates::new(), Certificates::new());
    let pair = Pair::new(&ours);
    let server = serve(pair.builder().client_authorities(pair.path("ca.crt"))).await;
    let is_accepted = async |address, client| {
        // With TLS 1.2 the handshake itself would fail.
        match connect(address, [&ours, &theirs], client).await {
            Ok(mut connection) => answers(&mut connection).await,
            Err(_) => false,
        }
    };
    for address in ports(&server) {
        assert!(is_accepted(address, Some(&ours)).await);
        assert!(!is_accepted(address, None).await, "without a certificate");
        assert!(!is_accepted(address, Some(&theirs)).await, "of another authority");
    }
    let [evaluation, sync] = ports(&server);
    let provider = ready(with_certificate(evaluation, &ours, &ours)).await;
    assert!(value(&provider, "bool").await.0);
    let options = swift().host("localhost").port(evaluation.port()).tls(true).cert_path(ours.ca());
    let refused = started(options.deadline(Duration::from_secs(2))).await;
    assert_eq!(refused.state(), State::Error);
    refused.shutdown().await;
    let options = with_certificate(sync, &ours, &ours).resolver(Resolver::InProcess);
    let mut source = SyncSource::new(options.build_with_env(|_| None).unwrap()).unwrap();
    bounded("a definition", source.next()).await.unwrap();
    // The other ports are plain.
    let answer = post(server.ofrep_addr(), "/ofrep/v1/evaluate/flags/bool", &[], "").await;
    assert_eq!(answer.json()["value"], true);
    assert_eq!(get(server.management_addr(), "/readyz").await.status.as_u16(), 200);

    // The authorities are renewed as well; existing connections stay.
    let mut old = connect(evaluation, [&ours, &theirs], Some(&ours)).await.unwrap();
    assert!(answers(&mut old).await);
    pair.rename("ca.crt", &theirs.ca());
    for address in ports(&server) {
        becomes_true("the other authority", async || is_accepted(address, Some(&theirs)).await)
            .await;
        assert!(!is_accepted(address, Some(&ours)).await, "of the former authority");
        assert!(!is_accepted(address, None).await, "without a certificate");
    }
    assert!(answers(&mut old).await);
    assert!(value(&provider, "bool").await.0);
}

#[tokio::test]
async fn authorities_of_clients_are_checked_at_the_start() {
    let certificates = Certificates::new();
    let pair = Pair::new(&certificates);
    for path in [certificates.client_key(), "/nowhere".into(), pair.path("")] {
        let error = pair.builder().ephemeral().client_authorities(&path).bind().await.unwrap_err();
        let shown = path.display().to_string();
        assert!(matches!(error, ServerError::Tls(_)), "{error}");
        assert!(error.to_string().contains(&shown), "{error}");
    }
    let builder = Server::builder().ephemeral().client_authorities(certificates.ca());
    let error = builder.bind().await.unwrap_err().to_string();
    assert!(error.contains("TLS"), "{error}");
}
