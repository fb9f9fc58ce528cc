//! Makes a connection from the options: TCP or unix socket, with or without TLS, and its headers.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use hyper_util::rt::TokioIo;
use secrecy::ExposeSecret;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};

use super::{
    error::FlagdError,
    options::FlagdOptions,
    target::{Address, Target},
    transport::Transport,
};

/// The header that selects one flag set or source.
const SELECTOR: HeaderName = HeaderName::from_static("flagd-selector");

/// One HTTP/2 connection to flagd, made at the first call, for the stream and the unary calls alike.
pub(crate) struct Connection {
    pub(crate) transport: Transport,
    /// Where it leads, for messages.
    pub(crate) target: String,
    /// Set once the server has shown that it does not know evaluation v2.
    v1: AtomicBool,
}

impl Connection {
    /// Reads the certificates; no network is touched yet.
    ///
    /// `timeout` bounds the making of the connection, TLS included.
    pub(crate) fn new(
        options: &FlagdOptions,
        target: &Target,
        timeout: Duration,
    ) -> Result<Self, FlagdError> {
        let channel = channel(options, target, timeout)?;
        let transport = Transport::new(channel, headers(options)?);
        Ok(Self { transport, target: target.to_string(), v1: AtomicBool::new(false) })
    }

    pub(crate) fn speaks_v1_only(&self) -> bool {
        self.v1.load(Ordering::Relaxed)
    }

    pub(crate) fn speak_v1_only(&self, v1: bool) {
        self.v1.store(v1, Ordering::Relaxed);
    }
}

fn channel(
    options: &FlagdOptions,
    target: &Target,
    timeout: Duration,
) -> Result<Channel, FlagdError> {
    let transport = |source: Box<dyn std::error::Error + Send + Sync>| FlagdError::Transport {
        target: target.to_string(),
        source,
    };
    let scheme = if options.tls() { "https" } else { "http" };
    let uri = |authority: &http::uri::Authority| {
        let parts = Uri::builder().scheme(scheme).authority(authority.clone());
        parts.path_and_query("/").build().map_err(|error| transport(error.into()))
    };
    let origin = uri(&target.authority)?;
    let endpoint = match &target.address {
        Address::Tcp(address) => Endpoint::from(uri(address)?),
        Address::Unix(_) => Endpoint::from(origin.clone()),
    };
    let mut endpoint = endpoint.origin(origin).connect_timeout(timeout).tcp_nodelay(true);
    if !options.keep_alive_time().is_zero() {
        endpoint = endpoint.http2_keep_alive_interval(options.keep_alive_time());
    }
    if options.tls() {
        endpoint = with_tls(endpoint, options, target, &transport)?;
    }
    match &target.address {
        Address::Tcp(_) => Ok(endpoint.connect_lazy()),
        Address::Unix(path) => {
            check_socket(path)?;
            let connector = UnixConnector(path.clone());
            Ok(endpoint.connect_with_connector_lazy(connector))
        }
    }
}

#[cfg(feature = "tls")]
fn with_tls(
    endpoint: Endpoint,
    options: &FlagdOptions,
    target: &Target,
    error: &dyn Fn(Box<dyn std::error::Error + Send + Sync>) -> FlagdError,
) -> Result<Endpoint, FlagdError> {
    use super::tls;
    let config = tls::client_config(options, target.authority.host())?;
    endpoint.tls_config(config).map_err(|source| error(source.into()))
}

#[cfg(not(feature = "tls"))]
fn with_tls(
    _: Endpoint,
    _: &FlagdOptions,
    _: &Target,
    _: &dyn Fn(Box<dyn std::error::Error + Send + Sync>) -> FlagdError,
) -> Result<Endpoint, FlagdError> {
    let reason = "this program was built without TLS; add the feature `tls-ring` or `tls-aws-lc`";
    Err(FlagdOptions::error("tls", reason))
}

/// A socket that is not there yet may come; something else in its place never becomes one.
fn check_socket(path: &std::path::Path) -> Result<(), FlagdError> {
    use std::os::unix::fs::FileTypeExt;
    match std::fs::metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => Err(FlagdOptions::error(
            "socketPath",
            format!("`{}` is no unix socket", path.display()),
        )),
        _ => Ok(()),
    }
}

#[derive(Clone)]
struct UnixConnector(PathBuf);

impl tower_service::Service<Uri> for UnixConnector {
    type Response = TokioIo<UnixStream>;
    type Error = std::io::Error;
    type Future =
        std::pin::Pin<Box<dyn Future<Output = Result<TokioIo<UnixStream>, std::io::Error>> + Send>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), std::io::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let path = self.0.clone();
        Box::pin(async move { Ok(TokioIo::new(UnixStream::connect(path).await?)) })
    }
}

fn headers(options: &FlagdOptions) -> Result<HeaderMap, FlagdError> {
    let mut headers = HeaderMap::new();
    for (name, value) in options.headers() {
        let invalid = || FlagdOptions::error("headers", format!("`{name}` is no valid header"));
        let name = HeaderName::try_from(name).map_err(|_| invalid())?;
        let mut value = HeaderValue::from_str(value.expose_secret()).map_err(|_| invalid())?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    if let Some(selector) = options.selector() {
        let value = HeaderValue::from_str(selector)
            .map_err(|_| FlagdOptions::error("selector", "it is no valid header"))?;
        headers.insert(SELECTOR, value);
    }
    Ok(headers)
}
