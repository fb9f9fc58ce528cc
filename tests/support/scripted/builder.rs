//! Where and how a scripted server listens.

use std::{
    fs,
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use tokio::sync::watch;
use tokio_rustls::rustls::ServerConfig;

use super::{Core, Missing, Script, ScriptedServer, StreamMode, Versions, service::handler};
use crate::support::{
    background::Background,
    ports,
    servers::http2::{Listener, Server},
};

/// Settings of a server that has not started yet.
#[derive(Debug, Default)]
pub struct Builder {
    port: Option<u16>,
    socket: Option<PathBuf>,
    tls: Option<Arc<ServerConfig>>,
    script: Script,
}

impl Builder {
    /// Listens on this port of 127.0.0.1 instead of a free one.
    #[must_use]
    pub fn port(self, port: u16) -> Self {
        Self { port: Some(port), ..self }
    }

    /// Listens on a unix socket at this path.
    #[must_use]
    pub fn socket(self, path: &Path) -> Self {
        Self { socket: Some(path.to_owned()), ..self }
    }

    /// Uses TLS; `Certificates::server_config` makes such a configuration.
    #[must_use]
    pub fn tls(self, tls: Arc<ServerConfig>) -> Self {
        Self { tls: Some(tls), ..self }
    }

    #[must_use]
    pub fn versions(mut self, versions: Versions) -> Self {
        self.script.versions = versions;
        self
    }

    /// How it reports a version that it does not have.
    #[must_use]
    pub fn missing(mut self, missing: Missing) -> Self {
        self.script.missing = missing;
        self
    }

    /// What happens to event streams.
    #[must_use]
    pub fn streams(mut self, mode: StreamMode) -> Self {
        self.script.stream_mode = mode;
        self
    }

    /// Counts calls without logging them, for benchmarks.
    #[must_use]
    pub fn without_log(mut self) -> Self {
        self.script.without_log = true;
        self
    }

    pub fn start(self) -> ScriptedServer {
        let server = self.stopped();
        server.restart();
        server
    }

    /// A server that has its address but does not listen until `restart`.
    pub fn stopped(self) -> ScriptedServer {
        let place = match self.socket {
            Some(path) => Place::Unix(path),
            None => Place::Tcp(self.port.unwrap_or_else(ports::free_port)),
        };
        let address = Address { place, tls: Mutex::new(self.tls) };
        let core = Arc::new(Core::new(self.script));
        ScriptedServer { core, address, running: Mutex::new(None) }
    }
}

#[derive(Debug)]
pub(super) struct Address {
    place: Place,
    pub(super) tls: Mutex<Option<Arc<ServerConfig>>>,
}

#[derive(Debug)]
enum Place {
    Tcp(u16),
    Unix(PathBuf),
}

impl Address {
    pub(super) fn port(&self) -> u16 {
        match &self.place {
            Place::Tcp(port) => *port,
            Place::Unix(path) => panic!("{} has no port", path.display()),
        }
    }

    pub(super) fn uri(&self) -> String {
        match &self.place {
            Place::Tcp(port) if self.tls.lock().unwrap().is_some() => {
                format!("https://localhost:{port}")
            }
            Place::Tcp(port) => format!("http://127.0.0.1:{port}"),
            Place::Unix(path) => format!("unix://{}", path.display()),
        }
    }

    fn listen(&self) -> Listener {
        match &self.place {
            Place::Tcp(port) => Listener::Tcp(ports::listen_on(*port)),
            Place::Unix(path) => {
                let _ = fs::remove_file(path); // of a server that stopped
                Listener::Unix(UnixListener::bind(path).unwrap())
            }
        }
    }

    pub(super) fn serve(&self, core: &Arc<Core>) -> Running {
        let (goaway, going_away) = watch::channel(false);
        let server = Server {
            listener: self.listen(),
            tls: self.tls.lock().unwrap().clone(),
            counts: Arc::clone(&core.observed),
            goaway: going_away,
        };
        let handler = handler(Arc::clone(core));
        let background = Background::spawn("scripted", move || server.run(handler));
        Running { goaway, _background: background }
    }
}

/// A server that listens; dropping it closes everything.
#[derive(Debug)]
pub(super) struct Running {
    goaway: watch::Sender<bool>,
    _background: Background,
}

impl Running {
    pub(super) fn goaway(&self) {
        self.goaway.send_replace(true);
    }
}
