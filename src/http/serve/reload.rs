//! The certificates of servers, which are read again when their files change.
//!
//! The files are polled. Notifications of the operating system would have to follow
//! every symbolic link on the path and every way in which tools replace files, and
//! reading a few kilobytes a second costs nothing.
//!
//! A certificate and its key are replaced one after the other, so a read may see a new
//! certificate with an old key. A change is therefore applied only when two reads in a
//! row have the same content:
//!
//! ```text
//! read   content        digest
//! 1      cert A, key A  a
//! 2      cert B, key A  x        changed: read once more
//! 3      cert B, key B  b        changed: read once more
//! 4      cert B, key B  b        settled: build and replace
//! ```

use std::{
    error::Error,
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use tokio::{
    task::{AbortHandle, spawn_blocking},
    time::sleep,
};
use tokio_rustls::TlsAcceptor;

use crate::http::tls::{ServerTls, Texts, TlsError};

/// How often the files are read. Their content is compared, so it does not matter how
/// they are replaced: rewritten, renamed, or with the symbolic links of a volume of
/// Kubernetes.
const INTERVAL: Duration = Duration::from_secs(1);

/// The TLS configuration of one or more servers, which follows the files that it was
/// made from.
///
/// The files are read every second. Once they have changed, and have the same content
/// in two reads, new connections get the new certificate; open connections keep theirs.
/// Invalid files are logged once, and the current certificate stays in use.
///
/// Clones share the certificates, so several servers need only one. When the last clone
/// is dropped, the files are no longer read.
///
/// ```no_run
/// use std::path::Path;
///
/// use flagstaff::http::{Certificates, Server, tls::ServerTls};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let tls = ServerTls::new(Path::new("/run/tls/tls.crt"), Path::new("/run/tls/tls.key"));
/// let certificates = Certificates::load(tls)?;
/// let bound = Server::builder()
///     .listen(([0, 0, 0, 0], 8443))
///     .tls(certificates.clone())
///     .bind()
///     .await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Certificates {
    /// The configuration of new connections.
    config: Arc<ArcSwap<ServerConfig>>,
    _following: Option<Arc<Following>>,
}

/// The task that reads the files, which ends when this is dropped.
#[derive(Debug)]
struct Following(AbortHandle);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Certificates {
    /// Reads the files for the first time, and follows them from then on.
    ///
    /// It reads them synchronously, since a program does this once, when it starts.
    ///
    /// # Errors
    ///
    /// If a file cannot be read or is invalid, if the certificate and the key do not
    /// belong together, or if rustls has no cryptography.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime, if any of it is in a file.
    pub fn load(tls: ServerTls) -> Result<Self, TlsError> {
        let texts = tls.read()?;
        let config = Arc::new(ArcSwap::from_pointee(tls.build(&texts)?));
        let hasher = RandomState::new();
        let initial = digest(&hasher, &Ok(texts));
        let following = tls.is_in_files().then(|| {
            let task = tokio::spawn(follow(tls, config.clone(), hasher, initial));
            Arc::new(Following(task.abort_handle()))
        });
        Ok(Self { config, _following: following })
    }

    /// The configuration for one connection, which keeps it.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.load_full())
    }
}

/// Uses a configuration that the program made, which does not change. If it has no ALPN
/// protocols, HTTP/2 and HTTP/1.1 are set.
impl From<ServerConfig> for Certificates {
    fn from(mut config: ServerConfig) -> Self {
        if config.alpn_protocols.is_empty() {
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        }
        Self { config: Arc::new(ArcSwap::from_pointee(config)), _following: None }
    }
}

/// Reads the files again and again, and replaces the configuration.
///
/// `initial` is the digest of the first read. `tried` is that of the content that was
/// built last, so that invalid files are logged once and not every second.
async fn follow(
    tls: ServerTls,
    config: Arc<ArcSwap<ServerConfig>>,
    hasher: RandomState,
    initial: u64,
) {
    let (mut last, mut tried) = (initial, initial);
    let shared = Arc::new((tls, hasher));
    loop {
        sleep(INTERVAL).await;
        let reading = shared.clone();
        let read = spawn_blocking(move || {
            let (tls, hasher) = &*reading;
            let texts = tls.read();
            let now = digest(hasher, &texts);
            // The files are replaced one after the other, so a change must be seen twice.
            let has_settled = now == last && now != tried;
            (now, has_settled.then(|| texts.and_then(|texts| tls.build(&texts))))
        });
        let Ok((now, built)) = read.await else {
            return; // the runtime is shutting down
        };
        last = now;
        if let Some(built) = built {
            tried = now;
            replace(&config, built);
        }
    }
}

/// Replaces the configuration, or logs why it stays.
fn replace(config: &ArcSwap<ServerConfig>, built: Result<ServerConfig, TlsError>) {
    match built {
        Ok(new) => {
            config.store(Arc::new(new));
            tracing::info!("the server certificates were reloaded");
        }
        Err(error) => {
            let error: &dyn Error = &error;
            tracing::warn!(
                error,
                "the server certificates are invalid: the current ones stay in use"
            );
        }
    }
}

/// A hash of what was read: the content, or the message of the error. A file that is
/// missing is thus a content of its own.
fn digest(hasher: &RandomState, read: &Result<Texts<'_>, TlsError>) -> u64 {
    hasher.hash_one(read.as_ref().map_err(ToString::to_string))
}
