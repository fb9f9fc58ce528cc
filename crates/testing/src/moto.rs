//! AWS Secrets Manager as moto speaks it, which tests/clients/install installs.

use std::process::Command;

use crate::{
    installed::installed,
    process::{Process, free_port},
};

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
        let server = installed("moto", "bin/moto_server")?;
        let port = free_port();
        let mut command = Command::new(server);
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
