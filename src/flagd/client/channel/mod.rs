//! Connections to flagd: TCP or unix socket, with or without TLS, with the headers
//! of the options.
//!
//! A [`Connection`] is one lazy HTTP/2 connection of tonic: it connects on first
//! use, and connects again by itself when it is lost. It is replaced as a whole
//! after a lost stream, because tonic cannot know that a connection went silent,
//! and because certificates are only read when a connection is set up.
//!
//! What depends on the platform or on a feature has a stand-in here that returns
//! an error with the remedy, so that the rest is the same in every build.

#[cfg(feature = "tls")]
mod tls;
#[cfg(unix)]
mod unix;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use tonic::transport::{Channel, Endpoint};

#[cfg(unix)]
use self::unix::UnixConnector;
use super::transport::Transport;
use crate::{
    excerpt::excerpt,
    flagd::{
        error::FlagdError,
        options::{
            kind::OptionInfo,
            table::{FlagdOptions, row},
            target::{Address, Target},
        },
    },
};

/// The header that selects one flag set or source. flagd reads it on every call and
/// stream; see "Selectors" in `docs/flagd.md`.
const SELECTOR: HeaderName = HeaderName::from_static("flagd-selector");

/// One HTTP/2 connection to flagd, for the streams and the unary calls alike. It is
/// established by the first call.
pub(crate) struct Connection {
    pub(crate) transport: Transport,
    /// The address, for messages.
    pub(crate) target: String,
    /// Whether the server was seen not to have evaluation v2. A new connection
    /// begins with v2, because the server may have been updated.
    v1: AtomicBool,
}

impl Connection {
    /// Sets up a connection and reads the certificates. It does not use the network
    /// yet. `timeout` bounds the establishment of the connection, TLS included.
    ///
    /// # Errors
    ///
    /// [`FlagdError`] for the option that cannot be used: a file cannot be read or
    /// has something else in it, a path is not a socket, or the build has no TLS.
    pub(crate) fn new(
        options: &FlagdOptions,
        target: &Target,
        timeout: Duration,
    ) -> Result<Self, FlagdError> {
        let channel = channel(options, target, timeout)?;
        let transport = Transport::new(channel, headers(options)?);
        Ok(Self { transport, target: target.to_string(), v1: AtomicBool::new(false) })
    }

    /// Whether to call evaluation v1 first.
    pub(crate) fn speaks_v1_only(&self) -> bool {
        self.v1.load(Ordering::Relaxed)
    }

    /// Remembers whether to call evaluation v1 first. Concurrent calls may overwrite
    /// each other's value, which costs a call at most.
    pub(crate) fn speak_v1_only(&self, v1: bool) {
        self.v1.store(v1, Ordering::Relaxed);
    }
}

/// The channel of tonic for this target. The URI says where to connect to, and the
/// origin is what requests have as their `:scheme` and `:authority`.
fn channel(
    options: &FlagdOptions,
    target: &Target,
    timeout: Duration,
) -> Result<Channel, FlagdError> {
    let invalid = |error: http::Error| FlagdError::Transport {
        target: target.to_string(),
        source: error.into(),
    };
    let scheme = if options.tls() { "https" } else { "http" };
    let uri = |authority: &http::uri::Authority| {
        let parts = Uri::builder().scheme(scheme).authority(authority.clone());
        parts.path_and_query("/").build().map_err(invalid)
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
    match &target.address {
        #[cfg(feature = "tls")]
        Address::Tcp(_) if options.tls() => {
            tls::encrypted(endpoint, tls::tcp(timeout), timeout, options, target)
        }
        #[cfg(not(feature = "tls"))]
        _ if options.tls() => Err(row::tls().error(
            "this program was built without TLS; add the feature `tls-ring` or `tls-aws-lc`",
        )),
        Address::Tcp(_) => Ok(endpoint.connect_lazy()),
        #[cfg(unix)]
        Address::Unix(path) => {
            let connector = UnixConnector::new(path);
            let connector = connector.map_err(|reason| socket_option(options).error(reason))?;
            #[cfg(feature = "tls")]
            if options.tls() {
                return tls::encrypted(endpoint, connector, timeout, options, target);
            }
            Ok(endpoint.connect_with_connector_lazy(connector))
        }
        #[cfg(not(unix))]
        Address::Unix(_) => Err(socket_option(options)
            .error("this system has no unix sockets; set `host` and `port` instead")),
    }
}

/// The option that the path of the unix socket comes from, for errors.
fn socket_option(options: &FlagdOptions) -> OptionInfo {
    if options.target_uri().is_some() { row::target_uri() } else { row::socket_path() }
}

/// The headers that are sent with each request. Those of the option `headers` are
/// marked as sensitive, so that neither `Debug` nor HTTP/2's compression table
/// reveals them. The selector replaces a header with its name.
fn headers(options: &FlagdOptions) -> Result<HeaderMap, FlagdError> {
    let mut headers = HeaderMap::new();
    for (name, value) in options.headers().exposed() {
        let invalid = || row::headers().error(format!("`{}` is not a valid header", excerpt(name)));
        let name = HeaderName::try_from(name).map_err(|_| invalid())?;
        let mut value = HeaderValue::from_str(value).map_err(|_| invalid())?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    if let Some(selector) = options.selector() {
        let value = HeaderValue::from_str(selector)
            .map_err(|_| row::selector().error("it is not a valid header value"))?;
        headers.insert(SELECTOR, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel_of(options: &FlagdOptions) -> Result<Channel, FlagdError> {
        channel(options, &Target::new(options)?, Duration::from_secs(1))
    }

    #[test]
    fn a_path_that_is_no_socket_is_named_with_the_option_it_came_from() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        for (builder, option, variable) in [
            (FlagdOptions::builder().socket_path(file), "socketPath", "FLAGD_SOCKET_PATH"),
            (
                FlagdOptions::builder().target_uri(format!("unix://{file}")),
                "targetUri",
                "FLAGD_TARGET_URI",
            ),
        ] {
            let error = channel_of(&builder.without_env().build().unwrap()).unwrap_err();
            let error = error.to_string();
            assert!(error.contains(option) && error.contains(variable), "{error}");
            #[cfg(unix)]
            assert!(error.contains(file), "{error}");
        }
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_socket_that_is_not_there_yet_is_waited_for() {
        let options = FlagdOptions::builder().socket_path("/does/not/exist.sock");
        channel_of(&options.without_env().build().unwrap()).unwrap();
    }
}
