//! A real flagd, which a test starts, edits, kills and restarts.

mod builder;
mod command;
mod directory;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::time::{sleep, timeout};
use tonic::{
    Code,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};

use self::command::Process;
pub use self::{
    builder::Builder,
    command::{FlagdCommand, Signal, find},
    directory::Directory,
};
use super::{
    proto::{V1, v1},
    wait::{PATIENCE, eventually},
};

const LOG: &str = "flagd.log";
/// flagd offers nothing to wait for: it is polled at this interval.
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// A running flagd with a working directory of its own. Dropping it kills flagd and removes the
/// directory.
#[derive(Debug)]
pub struct FlagdProcess {
    command: FlagdCommand,
    args: Vec<String>,
    ports: Ports,
    socket: Option<PathBuf>,
    /// The CA to trust, if flagd uses TLS.
    ca: Option<PathBuf>,
    /// The flag that resolves once the definition is loaded.
    ready: Option<String>,
    process: Option<Process>,
    /// Dropped after the process.
    directory: Directory,
}

/// The ports that flagd uses.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    pub evaluation: u16,
    pub management: u16,
    pub sync: u16,
    pub ofrep: u16,
}

impl FlagdProcess {
    /// A flagd with this definition, `{"flags": {...}}`.
    pub fn with(definition: &Value) -> Builder {
        Builder::new(Directory::of_definition(definition))
    }

    /// A flagd as the testbed requires it, from the testbed's directory of flags.
    pub fn testbed(flags: &Path) -> Builder {
        Builder::new(Directory::of_testbed(flags))
            .arg("--context-value")
            .arg("injectedmetadata=set")
            .ready_when("boolean-flag")
    }

    /// The evaluation port; unused with a socket.
    pub fn port(&self) -> u16 {
        self.ports.evaluation
    }

    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// The unix socket, when it listens on one.
    pub fn socket(&self) -> Option<&Path> {
        self.socket.as_deref()
    }

    /// `http://127.0.0.1:port`, `https://localhost:port` or `unix:///path`, for an `Endpoint`.
    pub fn uri(&self) -> String {
        match (&self.socket, &self.ca) {
            (Some(path), _) => format!("unix://{}", path.display()),
            (None, Some(_)) => format!("https://localhost:{}", self.port()),
            (None, None) => format!("http://127.0.0.1:{}", self.port()),
        }
    }

    /// The working directory.
    pub fn dir(&self) -> &Path {
        self.directory.path()
    }

    /// The file of flags that tests edit.
    pub fn flags_path(&self) -> PathBuf {
        self.directory.main()
    }

    /// The definition in that file.
    pub fn flags(&self) -> Value {
        self.directory.read()
    }

    /// Replaces the definition atomically; flagd reads it every second.
    pub fn write_flags(&self, definition: &Value) {
        self.directory.write(definition);
    }

    /// Edits the definition.
    pub fn edit_flags(&self, edit: impl FnOnce(&mut Value)) {
        let mut definition = self.flags();
        edit(&mut definition);
        self.write_flags(&definition);
    }

    /// Switches the testbed's `changing-flag` between foo and bar; returns the new variant.
    pub fn change_flag(&self) -> &'static str {
        self.directory.change_flag()
    }

    /// SIGKILL; its sockets are closed when this returns.
    pub fn kill(&mut self) {
        drop(self.process.take());
    }

    /// SIGTERM: it shuts down gracefully, see [`Self::ended`].
    pub fn terminate(&mut self) {
        self.signal(Signal::TERM);
    }

    /// SIGSTOP: it keeps its connections and does nothing.
    pub fn stop(&mut self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT after [`Self::stop`].
    pub fn cont(&mut self) {
        self.signal(Signal::CONT);
    }

    fn signal(&mut self, signal: Signal) {
        self.process.as_mut().expect("flagd runs").signal(signal);
    }

    /// Waits until it has ended after [`Self::terminate`].
    pub async fn ended(&mut self) {
        eventually("flagd to end", || self.process.as_mut().is_none_or(Process::has_ended)).await;
        self.process = None;
    }

    /// Kills it if it runs, and starts it on the same ports; ready when this returns.
    pub async fn restart(&mut self) -> Result<(), String> {
        self.spawn();
        self.until_ready().await
    }

    /// Like [`Self::restart`], without waiting for it to be ready.
    pub fn spawn(&mut self) {
        self.kill();
        if let Some(socket) = &self.socket {
            let _ = fs::remove_file(socket); // of the one that was killed
        }
        let log = File::create(self.dir().join(LOG)).unwrap();
        self.process = Some(self.command.spawn(self.dir(), &self.args, &log));
    }

    /// What it wrote since it started.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir().join(LOG)).unwrap_or_default()
    }

    /// Waits until it responds and has loaded its flags; the error shows its log.
    pub async fn until_ready(&mut self) -> Result<(), String> {
        let start = Instant::now();
        let channel = self.endpoint()?.connect_lazy();
        loop {
            let answer = timeout(Duration::from_secs(1), self.ask(&channel)).await;
            let failure = if answer == Ok(Ok(())) {
                return Ok(());
            } else if self.process.as_mut().is_none_or(Process::has_ended) {
                "flagd ended instead of getting ready".to_owned()
            } else if start.elapsed() > PATIENCE {
                format!("waited {PATIENCE:?} for flagd to be ready: {answer:?}")
            } else {
                sleep(ASK_AGAIN).await;
                continue;
            };
            return Err(format!("{failure}; arguments: {:?}; log:\n{}", self.args, self.log()));
        }
    }

    /// An endpoint for a raw client, with the TLS that this flagd needs.
    pub fn endpoint(&self) -> Result<Endpoint, String> {
        let endpoint = Endpoint::from_shared(self.uri()).map_err(|error| error.to_string())?;
        let Some(ca) = &self.ca else { return Ok(endpoint) };
        let ca = fs::read(ca).map_err(|error| format!("{}: {error}", ca.display()))?;
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca));
        endpoint.tls_config(tls).map_err(|error| format!("{error:?}"))
    }

    async fn ask(&self, channel: &Channel) -> Result<(), Code> {
        let mut client = V1::new(channel.clone());
        let answer = match &self.ready {
            None => client.resolve_all(v1::ResolveAllRequest::default()).await.map(drop),
            Some(key) => {
                let flag_key = key.clone();
                let request = v1::ResolveBooleanRequest { flag_key, context: None };
                client.resolve_boolean(request).await.map(drop)
            }
        };
        match answer {
            Ok(()) => Ok(()),
            // The flag exists, with another type.
            Err(status) if status.code() == Code::InvalidArgument => Ok(()),
            Err(status) => Err(status.code()),
        }
    }
}
