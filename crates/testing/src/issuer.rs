//! An issuer of OpenID Connect: `oidc-provider`, which tests/clients/install installs.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use crate::{
    installed::installed,
    process::{Process, free_port},
};

/// A running issuer. Its client is `things`, and any account may sign in.
pub struct Issuer {
    _process: Process,
    port: u16,
}

impl Issuer {
    /// The secret of the client `things`.
    pub const SECRET: &str = "a secret of the client";

    /// Starts an issuer that sends browsers back to `callback`, if it is installed.
    ///
    /// # Panics
    ///
    /// The issuer does not start.
    #[must_use]
    pub fn start(callback: &str) -> Option<Self> {
        let folder = installed("oidc", "")?;
        let port = free_port();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("oidc/issuer.mjs");
        let mut process = Process::start(
            Command::new("node")
                .arg(script)
                .args([&port.to_string(), callback])
                .current_dir(folder)
                .stdout(Stdio::null())
                .stderr(Stdio::null()),
        );
        process.wait_for_port(port);
        Some(Self { _process: process, port })
    }

    /// Its name, which is its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}
