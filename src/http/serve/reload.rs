//! The certificates of servers, read again when their files change.

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

/// How often the files are read. Their content counts, so that it does not matter how they are
/// replaced: rewritten, renamed, or by the symbolic links of a volume of Kubernetes.
const INTERVAL: Duration = Duration::from_secs(1);

/// The TLS of one or several servers, which follows the files it was made from.
///
/// The files are read every second. Once they have changed, and are the same twice, new connections
/// get the new certificate, while open connections keep what they began with. Invalid files change
/// nothing, and are logged once. Servers that share a clone share its certificates too; when the last
/// one is dropped, the files are no longer read.
#[derive(Clone, Debug)]
pub struct Certificates {
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
    /// # Errors
    ///
    /// When a file cannot be read or is invalid, or rustls has no cryptography.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, if any of it is in a file.
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

    /// For one connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.load_full())
    }
}

/// A configuration that the program made, which does not change. Unless it says otherwise, clients
/// can speak HTTP/2 and HTTP/1.1.
impl From<ServerConfig> for Certificates {
    fn from(mut config: ServerConfig) -> Self {
        if config.alpn_protocols.is_empty() {
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        }
        Self { config: Arc::new(ArcSwap::from_pointee(config)), _following: None }
    }
}

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
            // Files are replaced one after the other: what changes is read once more.
            let has_settled = now == last && now != tried;
            (now, has_settled.then(|| texts.and_then(|texts| tls.build(&texts))))
        });
        let Ok((now, built)) = read.await else {
            return; // the runtime shuts down
        };
        last = now;
        if let Some(built) = built {
            tried = now;
            replace(&config, built);
        }
    }
}

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

fn digest(hasher: &RandomState, read: &Result<Texts<'_>, TlsError>) -> u64 {
    hasher.hash_one(read.as_ref().map_err(ToString::to_string))
}
