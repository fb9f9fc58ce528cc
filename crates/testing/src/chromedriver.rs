//! Chromium, as a program that a test drives.

use std::{path::PathBuf, process::Command};

use tempfile::TempDir;

use crate::process::{Process, find, free_port};

/// A running `chromedriver`, which starts a Chromium for each session.
pub struct Chromedriver {
    _process: Process,
    port: u16,
    browser: PathBuf,
    folder: TempDir,
}

impl Chromedriver {
    /// Starts it, if it and Chromium are installed.
    ///
    /// # Panics
    ///
    /// It does not start.
    #[must_use]
    pub fn start() -> Option<Self> {
        let program = find("chromedriver", &[])?;
        let browser = find("chromium", &[])?;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = free_port();
        let mut command = Command::new(program);
        command.arg(format!("--port={port}")).env("HOME", folder.path());
        let mut process = Process::start(&command);
        process.wait_for_port(port);
        Some(Self { _process: process, port, browser, folder })
    }

    /// The URL that a client of the `WebDriver` protocol connects to.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The file of the browser.
    #[must_use]
    pub fn browser(&self) -> String {
        self.browser.display().to_string()
    }

    /// The arguments with which the browser runs without a screen, and ends with its driver.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![format!("--user-data-dir={}", self.folder.path().display())];
        let fixed = [
            "--headless=new",
            // It shows pages of the test only, and root has no sandbox.
            "--no-sandbox",
            "--remote-debugging-pipe",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--no-first-run",
            "--no-proxy-server",
            "--lang=en-US",
        ];
        arguments.extend(fixed.map(str::to_owned));
        arguments
    }
}
