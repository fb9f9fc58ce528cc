//! A program that runs beside a test, and what it writes.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use flagstaff::http::Client;
use http::Request;
use tokio::time::{sleep, timeout};

/// A program that is killed when this is dropped.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program, whose output goes to the file `log`.
    pub(crate) fn start(command: &mut Command, log: PathBuf) -> Self {
        let output = File::create(&log).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        Self { child, log }
    }

    /// Kills it, and waits until it has ended.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let text = fs::read_to_string(&self.log).unwrap_or_default();
            let start = text.len().saturating_sub(3000);
            let start = (start..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            eprintln!("== {}\n{}", self.log.display(), &text[start..]);
        }
    }
}

pub(crate) fn client() -> Client {
    Client::builder().without_proxy().timeout(Duration::from_secs(20)).build().unwrap()
}

/// Sends a request; returns the status and the body, or none without a response.
pub(crate) async fn send(request: Request<Vec<u8>>) -> Option<(u16, String)> {
    let response = client().send(request).await.ok()?;
    let status = response.status().as_u16();
    let body = response.into_body().bytes().await.ok()?;
    Some((status, String::from_utf8_lossy(&body).into_owned()))
}

/// The status of `GET`, if there is a response.
pub(crate) async fn status(url: &str) -> Option<u16> {
    send(Request::get(url).body(Vec::new()).unwrap()).await.map(|(status, _)| status)
}

/// Programs in Python start slowly where the machine is busy; only a failing test takes so long.
const STARTING: Duration = Duration::from_secs(90);

/// Waits until `GET` is answered with 200.
pub(crate) async fn answers(url: &str) {
    starts(&format!("{url} to answer"), async || status(url).await == Some(200)).await;
}

/// Waits until a program that was started has come so far.
pub(crate) async fn starts(what: &str, condition: impl AsyncFnMut() -> bool) {
    let started = timeout(STARTING, until(condition)).await;
    assert!(started.is_ok(), "waited {STARTING:?} for {what}");
}

async fn until(mut condition: impl AsyncFnMut() -> bool) {
    while !condition().await {
        // Nothing tells when.
        sleep(Duration::from_millis(20)).await;
    }
}
