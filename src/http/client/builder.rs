//! The options of a client.

use std::{fmt, time::Duration};

use reqwest::{Proxy, redirect::Policy};

use super::{error::ClientError, send::Client};
use crate::http::tls::ClientTls;

/// The options of a [`Client`], from [`Client::builder`].
///
/// ```no_run
/// use std::time::Duration;
///
/// use flagstaff::http::Client;
///
/// # fn main() -> Result<(), flagstaff::http::ClientError> {
/// let client = Client::builder()
///     .without_proxy()
///     .max_body(100_000)
///     .max_redirects(0)
///     .timeout(Duration::from_secs(2))
///     .build()?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct ClientBuilder {
    tls: Tls,
    proxies: Proxies,
    max_body: usize,
    max_redirects: usize,
    timeout: Duration,
}

/// The configuration of TLS.
#[derive(Clone, Debug)]
enum Tls {
    /// Files, which are read when the client is built.
    Files(ClientTls),
    /// A configuration that the program made.
    Config(Box<rustls::ClientConfig>),
}

/// Which requests are sent through a proxy.
#[derive(Clone)]
enum Proxies {
    /// Those for which the environment says so.
    Environment,
    /// None.
    None,
    /// All, through the proxy with this URL.
    One(String),
}

/// Does not show the URL, which may contain a password.
impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Environment => "Environment",
            Self::None => "None",
            Self::One(_) => "One",
        })
    }
}

impl Client {
    /// The options of a client, with their defaults.
    #[must_use]
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }
}

impl Default for ClientBuilder {
    fn default() -> Self {
        Self {
            tls: Tls::Files(ClientTls::new()),
            proxies: Proxies::Environment,
            max_body: 64 << 20,
            max_redirects: 10,
            timeout: Duration::from_secs(30),
        }
    }
}

impl ClientBuilder {
    /// Sets which servers to trust and which certificate to present. Default: the
    /// system's certificate authorities, and no certificate.
    ///
    /// The files are read once, when the client is built.
    #[must_use]
    pub fn tls(mut self, tls: ClientTls) -> Self {
        self.tls = Tls::Files(tls);
        self
    }

    /// Sets a configuration of rustls in place of [`tls`](Self::tls), for what
    /// [`ClientTls`] cannot express.
    #[must_use]
    pub fn tls_config(mut self, config: rustls::ClientConfig) -> Self {
        self.tls = Tls::Config(Box::new(config));
        self
    }

    /// Sends every request through this proxy. Default: the one that the environment
    /// names (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`).
    #[must_use]
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.proxies = Proxies::One(url.into());
        self
    }

    /// Sends no request through a proxy, whatever the environment says.
    #[must_use]
    pub fn without_proxy(mut self) -> Self {
        self.proxies = Proxies::None;
        self
    }

    /// Limits the body of a response, in bytes, before and after it is
    /// decompressed. Default: 64 MiB.
    #[must_use]
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Limits how many redirects one request follows. With 0, a redirect is an
    /// error. Default: 10.
    #[must_use]
    pub fn max_redirects(mut self, redirects: usize) -> Self {
        self.max_redirects = redirects;
        self
    }

    /// Limits how long a request may take, with its redirects and the body of the
    /// response. Default: 30 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Builds the client. It reads the TLS files, and connects to nothing.
    ///
    /// # Errors
    ///
    /// If the TLS configuration or the URL of the proxy is invalid.
    pub fn build(self) -> Result<Client, ClientError> {
        let (config, trusts) = match self.tls {
            Tls::Files(tls) => tls.load()?,
            Tls::Config(config) => (*config, true),
        };
        // Redirects are followed in this module: reqwest would send secret headers to other origins.
        let builder =
            reqwest::Client::builder().tls_backend_preconfigured(config).redirect(Policy::none());
        let builder = match &self.proxies {
            Proxies::Environment => builder,
            Proxies::None => builder.no_proxy(),
            Proxies::One(url) => builder.proxy(Proxy::all(url).map_err(setup)?),
        };
        Ok(Client {
            inner: builder.build().map_err(setup)?,
            trusts,
            max_body: self.max_body,
            max_redirects: self.max_redirects,
            timeout: self.timeout,
        })
    }
}

/// An error of the setup, without the URL of the proxy.
fn setup(error: reqwest::Error) -> ClientError {
    ClientError::Setup(Box::new(error.without_url()))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::testing::bring_cryptography;

    /// Nothing listens on this port: a client that trusts no authority does not even connect.
    #[tokio::test]
    async fn a_system_without_authorities_is_told_the_remedy() {
        bring_cryptography();
        let mut client = Client::builder().build().unwrap();
        client.trusts = false;
        let url = "https://127.0.0.1:1/flags.json";
        let error = client.send(Request::get(url).body("").unwrap()).await.unwrap_err().to_string();
        assert!(error.contains(url) && error.contains("ca-certificates"), "{error}");
    }
}
