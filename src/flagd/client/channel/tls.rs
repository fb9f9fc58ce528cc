//! Connections with TLS, and what the options come to for it, with errors that name
//! the option and the file.
//!
//! rustls leaves out certificate authorities that it cannot read, and each handshake
//! would then fail without a name. The files are therefore read and checked here
//! first. Each error belongs to the option that has to change:
//!
//! | file | problem | option |
//! |---|---|---|
//! | `certPath` | cannot be read, has no certificate, or an invalid one | `certPath` |
//! | `clientCertPath` | the same | `clientCertPath` |
//! | `clientKeyPath` | cannot be read, has no key, or an encrypted one | `clientKeyPath` |
//! | both of the client | the key does not belong to the certificate | `clientKeyPath` |
//!
//! No error contains anything of what is in a file.

use std::{
    error::Error,
    future::Future,
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::{
    ConnectError,
    transport::{Channel, Endpoint},
};
use tower_service::Service;

use crate::{
    excerpt::chain,
    flagd::{
        error::FlagdError,
        options::{
            kind::OptionInfo,
            table::{FlagdOptions, row},
            target::Target,
        },
    },
    http::tls::{ClientTls, Pem, TlsError},
};

/// The only protocol of gRPC, as TLS calls it.
const HTTP2: &[u8] = b"h2";

/// Connections over TCP, as tonic makes them without TLS.
pub(crate) fn tcp(timeout: Duration) -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(timeout));
    tcp
}

/// A channel with TLS over these connections, the first of which is made at the first call. The
/// files of the options are read now, so that renewed certificates are picked up.
pub(crate) fn encrypted<C, S>(
    endpoint: Endpoint,
    connector: C,
    timeout: Duration,
    options: &FlagdOptions,
    target: &Target,
) -> Result<Channel, FlagdError>
where
    C: Service<Uri, Response = TokioIo<S>> + Send + 'static,
    C::Error: Into<Box<dyn Error + Send + Sync>>,
    C::Future: Send + 'static,
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    // An IPv6 address stands in brackets in an authority, and without them in a certificate.
    let host = target.authority.host().trim_matches(['[', ']']).to_owned();
    let name = ServerName::try_from(host).map_err(|error| FlagdError::Transport {
        target: target.to_string(),
        source: error.into(),
    })?;
    let mut config = configuration(options)?;
    config.alpn_protocols = vec![HTTP2.to_vec()];
    let tls = TlsConnector::from(Arc::new(config));
    Ok(Channel::new(Encrypted { connector, tls, name, timeout }, endpoint))
}

/// Trusts `certPath`, or the system's authorities without it, and presents the client's certificate if
/// there is one. If the program set a configuration of its own, that one is used as it is.
fn configuration(options: &FlagdOptions) -> Result<ClientConfig, FlagdError> {
    if let Some(config) = options.tls_config() {
        return Ok(config.clone());
    }
    // Each file is checked first, so that each error has its own option.
    let mut tls = ClientTls::new();
    if let Some(path) = options.cert_path() {
        let check = |pem: &Pem, text: &[u8]| pem.authorities(text).map(drop);
        tls = tls.authorities(checked(row::cert_path(), path, check)?);
    }
    if let (Some(cert), Some(key)) = (options.client_cert_path(), options.client_key_path()) {
        let check = |pem: &Pem, text: &[u8]| pem.certificates(text).map(drop);
        let cert = checked(row::client_cert_path(), cert, check)?;
        let check = |pem: &Pem, text: &[u8]| pem.private_key(text).map(drop);
        tls = tls.identity(cert, checked(row::client_key_path(), key, check)?);
    }
    match tls.load() {
        Ok((config, true)) => Ok(config),
        Ok((_, false)) => Err(row::cert_path().error(
            "it is not set, and the system has no certificate authorities: \
             install them (mostly the package `ca-certificates`), or set it",
        )),
        Err(error @ TlsError::Pair { .. }) => Err(invalid(row::client_key_path(), error)),
        Err(error) => Err(invalid(row::tls(), error)),
    }
}

/// The file, once its content was checked: rustls leaves out authorities that it cannot read, and each
/// handshake would then fail with `UnknownIssuer`.
fn checked(
    option: OptionInfo,
    path: &Path,
    check: impl FnOnce(&Pem, &[u8]) -> Result<(), TlsError>,
) -> Result<Pem, FlagdError> {
    let pem = Pem::from(path);
    let checked = pem.read().and_then(|text| check(&pem, &text));
    checked.map_err(|error| invalid(option, error))?;
    Ok(pem)
}

/// A TLS error as an error of an option.
fn invalid(option: OptionInfo, error: TlsError) -> FlagdError {
    match error {
        TlsError::File { path, source } => option.file_error(&path, source),
        error => option.error(chain(&error)),
    }
}

/// Makes connections, and encrypts them.
struct Encrypted<C> {
    connector: C,
    tls: TlsConnector,
    name: ServerName<'static>,
    /// For both together.
    timeout: Duration,
}

impl<C, S> Service<Uri> for Encrypted<C>
where
    C: Service<Uri, Response = TokioIo<S>>,
    C::Error: Into<Box<dyn Error + Send + Sync>>,
    C::Future: Send + 'static,
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Response = TokioIo<TlsStream<S>>;
    /// The one by which a call that found no connection is told from a lost one.
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ConnectError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        self.connector.poll_ready(cx).map_err(|error| ConnectError(error.into()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (tls, name, limit) = (self.tls.clone(), self.name.clone(), self.timeout);
        let connecting = self.connector.call(uri);
        let encrypted = async move {
            let stream = connecting.await.map_err(Into::into)?.into_inner();
            let stream = tls.connect(name, stream).await?;
            if stream.get_ref().1.alpn_protocol() != Some(HTTP2) {
                return Err("the server does not offer HTTP/2, which gRPC requires".into());
            }
            Ok(TokioIo::new(stream))
        };
        Box::pin(async move {
            match timeout(limit, encrypted).await {
                Ok(connected) => connected.map_err(ConnectError),
                Err(_) => Err(ConnectError(format!("not within {limit:?}").into())),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use tempfile::TempDir;

    use super::*;
    use crate::flagd::options::table::FlagdOptionsBuilder;

    /// A directory with a certificate, its key, and files that are neither.
    struct Files {
        dir: TempDir,
        key_pem: String,
    }

    impl Files {
        fn new() -> Self {
            crate::testing::bring_cryptography();
            let CertifiedKey { cert, signing_key } =
                generate_simple_self_signed(["flags.test".to_owned()]).unwrap();
            let key_pem = signing_key.serialize_pem();
            let files = Self { dir: tempfile::tempdir().unwrap(), key_pem };
            files.write("cert.pem", &cert.pem());
            files.write("key.pem", &files.key_pem);
            files.write("bundle.pem", &format!("{}{}", files.key_pem, cert.pem()));
            files.write("text", "no PEM at all");
            files.write("empty", "");
            files.write("cut.pem", &cert.pem()[..cert.pem().len() / 2]);
            // A PEM file whose line breaks were lost, as happens in an environment variable.
            files.write("line.pem", &files.key_pem.replace('\n', ""));
            files.write("cut-key.pem", &files.key_pem[..files.key_pem.len() / 2]);
            files.write("nonsense.pem", &pem_of("CERTIFICATE"));
            files.write("nonsense-key.pem", &pem_of("PRIVATE KEY"));
            files.write("locked-key.pem", &pem_of("ENCRYPTED PRIVATE KEY"));
            let other = generate_simple_self_signed(["other.test".to_owned()]).unwrap();
            files.write("other-key.pem", &other.signing_key.serialize_pem());
            files
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.path(name), text).unwrap();
        }

        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        fn client(&self, cert: &str, key: &str) -> FlagdOptionsBuilder {
            FlagdOptions::builder()
                .cert_path(self.path("cert.pem"))
                .client_cert_path(self.path(cert))
                .client_key_path(self.path(key))
        }
    }

    fn pem_of(label: &str) -> String {
        format!("-----BEGIN {label}-----\nbm9uc2Vuc2U=\n-----END {label}-----\n")
    }

    fn secured(builder: FlagdOptionsBuilder) -> Result<ClientConfig, FlagdError> {
        configuration(&builder.host("flags.test").tls(true).without_env().build().unwrap())
    }

    #[test]
    fn good_files_are_taken() {
        let files = Files::new();
        secured(FlagdOptions::builder().cert_path(files.path("cert.pem"))).unwrap();
        secured(FlagdOptions::builder().cert_path(files.path("bundle.pem"))).unwrap();
        secured(files.client("cert.pem", "key.pem")).unwrap();
        secured(files.client("bundle.pem", "bundle.pem")).unwrap();
    }

    #[tokio::test]
    async fn the_address_of_a_server_is_its_name_in_tls() {
        let files = Files::new();
        for host in ["::1", "[::1]", "127.0.0.1", "my_service"] {
            let builder = FlagdOptions::builder().host(host).cert_path(files.path("cert.pem"));
            let options = builder.without_env().build().unwrap();
            let target = Target::new(&options).unwrap();
            let endpoint = Endpoint::from_static("https://flags.test");
            let limit = Duration::from_secs(1);
            encrypted(endpoint, tcp(limit), limit, &options, &target).unwrap();
        }
    }

    #[tokio::test]
    async fn a_handshake_without_an_end_counts_as_no_connection() {
        let files = Files::new();
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("https://{}", silent.local_addr().unwrap());
        let limit = Duration::from_millis(50);
        let config = files.client("cert.pem", "key.pem").tls(true).without_env().build().unwrap();
        let mut connector = Encrypted {
            connector: tcp(limit),
            tls: Arc::new(configuration(&config).unwrap()).into(),
            name: ServerName::try_from("flags.test").unwrap(),
            timeout: limit,
        };
        let error = connector.call(uri.parse().unwrap()).await.map(drop).unwrap_err();
        assert_eq!(error.to_string(), "not within 50ms");
    }

    #[test]
    fn a_missing_file_is_named_with_its_option() {
        let files = Files::new();
        for (option, variable, builder) in [
            (
                "certPath",
                "FLAGD_SERVER_CERT_PATH",
                FlagdOptions::builder().cert_path(files.path("missing")),
            ),
            ("clientCertPath", "FLAGD_CLIENT_CERT_PATH", files.client("missing", "key.pem")),
            ("clientKeyPath", "FLAGD_CLIENT_KEY_PATH", files.client("cert.pem", "missing")),
        ] {
            let error = secured(builder).map(drop).unwrap_err();
            let text = error.to_string();
            assert!(text.contains(option) && text.contains(variable), "{text}");
            assert!(text.contains(&files.path("missing").display().to_string()), "{text}");
            let FlagdError::File { option: named, variable: of, path, source } = error else {
                panic!("not of a file: {text}")
            };
            assert_eq!((named, of, path), (option, variable, files.path("missing")));
            assert_eq!(source.kind(), std::io::ErrorKind::NotFound);
        }
    }

    #[test]
    fn a_file_of_something_else_is_named_with_its_option_and_never_quoted() {
        let files = Files::new();
        let server = |name: &str| FlagdOptions::builder().cert_path(files.path(name));
        for (option, file, reason, builder) in [
            ("certPath", "text", "contains no PEM certificate", server("text")),
            ("certPath", "empty", "contains no PEM certificate", server("empty")),
            ("certPath", "key.pem", "contains no PEM certificate", server("key.pem")),
            ("certPath", "cut.pem", "is not valid PEM", server("cut.pem")),
            ("certPath", "line.pem", "is not valid PEM", server("line.pem")),
            ("certPath", "nonsense.pem", "can be read", server("nonsense.pem")),
            ("clientCertPath", "text", "no PEM certificate", files.client("text", "key.pem")),
            ("clientCertPath", "key.pem", "no PEM certificate", files.client("key.pem", "key.pem")),
            ("clientCertPath", "line.pem", "not valid PEM", files.client("line.pem", "key.pem")),
            ("clientKeyPath", "text", "no PEM private key", files.client("cert.pem", "text")),
            ("clientKeyPath", "cert.pem", "no PEM private", files.client("cert.pem", "cert.pem")),
            ("clientKeyPath", "line.pem", "no PEM private", files.client("cert.pem", "line.pem")),
            (
                "clientKeyPath",
                "cut-key.pem",
                "no PEM private",
                files.client("cert.pem", "cut-key.pem"),
            ),
            (
                "clientKeyPath",
                "locked-key.pem",
                "without a password",
                files.client("cert.pem", "locked-key.pem"),
            ),
            (
                "clientKeyPath",
                "nonsense-key.pem",
                "private key",
                files.client("cert.pem", "nonsense-key.pem"),
            ),
            (
                "clientKeyPath",
                "other-key.pem",
                "KeyMismatch",
                files.client("cert.pem", "other-key.pem"),
            ),
        ] {
            let error = secured(builder).map(drop).unwrap_err();
            let text = error.to_string();
            assert!(text.contains(option), "{file}: {text}");
            assert!(text.contains(&files.path(file).display().to_string()), "{file}: {text}");
            assert!(text.contains(reason), "{file}: {text}");
            let shown = format!("{error:?} {text}");
            for line in files.key_pem.lines().filter(|line| !line.starts_with("-----")) {
                assert!(!shown.contains(line), "{file}: {text}");
                // `Debug` of the PEM parser's errors shows lines as lists of bytes.
                let bytes = format!("{:?}", &line.as_bytes()[..8]);
                assert!(!shown.contains(bytes.trim_matches(['[', ']'])), "{file}: {text}");
            }
        }
    }
}
