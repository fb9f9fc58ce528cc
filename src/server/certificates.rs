//! The certificates of the listeners, read again when their files change.

use std::{
    hash::{BuildHasher, RandomState},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use tokio::{task::spawn_blocking, time::sleep};
use tokio_rustls::TlsAcceptor;

use super::{
    error::ServerError,
    tls::{self, Pem},
};

/// How often the files are read. Their content counts, so that it does not matter how they are
/// replaced: rewritten, renamed, or by the symbolic links of a volume of Kubernetes.
const INTERVAL: Duration = Duration::from_secs(1);

/// PEM files.
#[derive(Clone, Debug)]
pub(crate) struct TlsFiles {
    /// The chain of the server.
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// The authorities of clients, which must show a certificate then.
    pub(crate) clients: Option<PathBuf>,
}

/// What a reading of the files gave.
type Read = Result<Pem, ServerError>;

/// The encryption of the listeners.
pub(crate) struct Certificates {
    files: TlsFiles,
    /// For new connections; those that are open keep what they began with.
    config: ArcSwap<ServerConfig>,
    hasher: RandomState,
    /// What the files held at the start.
    initial: u64,
}

impl Certificates {
    /// Reads the files for the first time.
    pub(crate) fn load(files: TlsFiles) -> Result<Self, ServerError> {
        let pem = Pem::read(&files)?;
        let config = ArcSwap::new(tls::server(&files, &pem)?);
        let hasher = RandomState::new();
        let initial = digest(&hasher, &Ok(pem));
        Ok(Self { files, config, hasher, initial })
    }

    /// For one connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.load_full())
    }

    /// Takes what the files hold later, for as long as the server runs. Files that are no good change
    /// nothing, and are reported once.
    pub(crate) async fn follow(self: Arc<Self>) {
        let (mut last, mut tried) = (self.initial, self.initial);
        loop {
            sleep(INTERVAL).await;
            let files = self.files.clone();
            let Ok(read) = spawn_blocking(move || Pem::read(&files)).await else {
                return; // the runtime shuts down
            };
            let now = digest(&self.hasher, &read);
            // Files are replaced one after the other: what changes is read once more.
            let settled = std::mem::replace(&mut last, now) == now;
            if settled && tried != now {
                tried = now;
                self.replace(read);
            }
        }
    }

    fn replace(&self, read: Read) {
        match read.and_then(|pem| tls::server(&self.files, &pem)) {
            Ok(config) => {
                self.config.store(config);
                tracing::info!("the server certificates were reloaded");
            }
            Err(error) => {
                tracing::warn!(%error, "the server certificates are invalid: the current ones stay in use");
            }
        }
    }
}

fn digest(hasher: &RandomState, read: &Read) -> u64 {
    hasher.hash_one(read.as_ref().map_err(ToString::to_string))
}
