//! AWS Secrets Manager as moto speaks it, which tests/clients/install installs.

use std::{env, path::PathBuf, process::Command};

use crate::process::{Process, free_port};

/// A running server without secrets. Any credentials will do.
pub struct Moto {
    process: Process,
    port: u16,
}

impl Moto {
    /// Starts a server, if it is installed.
    ///
    /// # Panics
    ///
    /// The server does not start.
    #[must_use]
    pub fn start() -> Option<Self> {
        let folder = clients()?.join("moto");
        if !folder.join(".complete").is_file() {
            return None;
        }
        let port = free_port();
        let mut command = Command::new(folder.join("bin/moto_server"));
        command.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
        let mut process = Process::start(&command);
        process.wait_for_port(port);
        Some(Self { process, port })
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Kills it, as if AWS were down.
    pub fn kill(&mut self) {
        self.process.kill();
    }
}

/// Where tests/clients/install puts what it installs.
fn clients() -> Option<PathBuf> {
    let cache = || {
        let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache")));
        Some(cache?.join("flagstaff/clients"))
    };
    env::var_os("FLAGSTAFF_CLIENTS_DIR").map(PathBuf::from).or_else(cache)
}
