//! How a flagd is to be started.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};

use super::{Directory, FlagdCommand, FlagdProcess, Ports, find};
use crate::support::{certs::Certificates, ports::free_port};

/// Settings of a flagd that has not started yet.
#[derive(Debug)]
pub struct Builder {
    directory: Directory,
    command: Option<FlagdCommand>,
    args: Vec<String>,
    socket: Option<PathBuf>,
    ca: Option<PathBuf>,
    ready: Option<String>,
}

impl Builder {
    pub(super) fn new(directory: Directory) -> Self {
        let ready = first_answering(&directory.read());
        Self { directory, command: None, args: Vec::new(), socket: None, ca: None, ready }
    }

    /// This flagd, and not the one that [`find`] finds.
    #[must_use]
    pub fn command(self, command: FlagdCommand) -> Self {
        Self { command: Some(command), ..self }
    }

    /// One more argument of `flagd start`.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Uses these files of the working directory as the sources instead of the usual ones.
    #[must_use]
    pub fn sources(mut self, files: &[&str]) -> Self {
        self.directory.sources = files.iter().map(ToString::to_string).collect();
        self
    }

    /// One more source, after the others, with this definition.
    #[must_use]
    pub fn source(mut self, name: &str, definition: &Value) -> Self {
        let text = serde_json::to_vec_pretty(definition).unwrap();
        fs::write(self.directory.path().join(name), text).unwrap();
        self.directory.sources.push(name.to_owned());
        self
    }

    /// Watches the file of flags through the kernel instead of reading it every second.
    #[must_use]
    pub fn watching(mut self) -> Self {
        let sources = std::mem::take(&mut self.directory.sources);
        let sources = sources.iter().map(|uri| json!({ "uri": uri, "provider": "fsnotify" }));
        let sources = sources.collect::<Value>().to_string();
        self.arg("--sources").arg(sources)
    }

    /// The flag that must resolve before the flagd counts as started; by default, the first
    /// suitable one of a test's own definition.
    #[must_use]
    pub fn ready_when(self, key: &str) -> Self {
        Self { ready: Some(key.to_owned()), ..self }
    }

    /// Serves evaluations on a unix socket in the working directory instead of the port.
    #[must_use]
    pub fn on_socket(self) -> Self {
        let socket = self.directory.path().join("flagd.sock");
        let path = socket.display().to_string();
        Self { socket: Some(socket), ..self }.arg("--socket-path").arg(path)
    }

    /// Serves flag definitions on this unix socket in the working directory instead of the port.
    #[must_use]
    pub fn on_sync_socket(self, name: &str) -> Self {
        let path = self.directory.path().join(name).display().to_string();
        self.arg("--sync-socket-path").arg(path)
    }

    /// Uses TLS with the server's certificate of these.
    #[must_use]
    pub fn tls(self, certificates: &Certificates) -> Self {
        // In a container it sees its working directory only.
        let copy = |file: PathBuf| {
            let copy = self.directory.path().join(file.file_name().unwrap());
            fs::copy(file, &copy).unwrap();
            copy
        };
        let ca = copy(certificates.ca());
        let certificate = copy(certificates.server_cert()).display().to_string();
        let key = copy(certificates.server_key()).display().to_string();
        Self { ca: Some(ca), ..self }
            .arg("--server-cert-path")
            .arg(certificate)
            .arg("--server-key-path")
            .arg(key)
    }

    /// Starts it, on ports that are free, and waits until it is ready.
    pub async fn start(self) -> Result<FlagdProcess, String> {
        let mut flagd = FlagdProcess {
            command: self.command.map_or_else(find, Ok)?,
            args: Vec::new(),
            ports: Ports::free(),
            socket: self.socket,
            ca: self.ca,
            ready: self.ready,
            process: None,
            directory: self.directory,
        };
        for _ in 0..5 {
            flagd.args = flagd.ports.args();
            for source in &flagd.directory.sources {
                flagd.args.extend(["--uri".to_owned(), format!("file:{source}")]);
            }
            flagd.args.extend(self.args.iter().cloned());
            flagd.spawn();
            match flagd.until_ready().await {
                Err(error) if error.to_lowercase().contains("address already in use") => {
                    flagd.ports = Ports::free();
                }
                result => return result.map(|()| flagd),
            }
        }
        Err("five times, another program took the ports chosen for flagd".to_owned())
    }
}

impl Ports {
    fn free() -> Self {
        Self {
            evaluation: free_port(),
            management: free_port(),
            sync: free_port(),
            ofrep: free_port(),
        }
    }

    fn args(self) -> Vec<String> {
        let Self { evaluation, management, sync, ofrep } = self;
        let mut args = vec!["start".to_owned()];
        for (option, port) in [("-p", evaluation), ("-m", management), ("-g", sync), ("-r", ofrep)]
        {
            args.extend([option.to_owned(), port.to_string()]);
        }
        args
    }
}

/// A flag that returns something other than `NOT_FOUND` over v1 once it is loaded.
fn first_answering(definition: &Value) -> Option<String> {
    let answers = |flag: &Value| {
        let default = flag["defaultVariant"].as_str().is_some_and(|variant| !variant.is_empty());
        (default && flag.get("targeting").is_none()) || flag["state"] == "DISABLED"
    };
    let flags = definition["flags"].as_object()?;
    flags.iter().find(|(_, flag)| answers(flag)).map(|(key, _)| key.clone())
}
