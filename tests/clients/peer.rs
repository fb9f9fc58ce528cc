//! Clients as processes: where they are installed, how they start, and how they are driven line by
//! line.

use std::{
    env,
    ffi::OsString,
    fs::File,
    io::Seek as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

/// Virtual machines start slowly on a busy machine; only a failing test takes this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// The sources of the clients.
pub(crate) const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");

/// A program on `PATH`.
pub(crate) fn on_path(name: &str) -> Result<PathBuf, String> {
    let paths = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&paths).map(|path| path.join(name)).find(|path| path.is_file());
    found.ok_or_else(|| format!("no {name} on PATH"))
}

/// A command without the variables that would affect a provider.
pub(crate) fn command(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    let is_flagd = |name: &OsString| name.to_str().is_some_and(|name| name.starts_with("FLAGD_"));
    for (name, _) in env::vars_os().filter(|(name, _)| is_flagd(name)) {
        command.env_remove(name);
    }
    command.kill_on_drop(true);
    command
}

/// The standard output of a command that must succeed.
pub(crate) async fn output(command: &mut Command) -> Result<String, String> {
    let output = timeout(PATIENCE, command.stdin(Stdio::null()).output()).await;
    let output = output.map_err(|_| format!("waited {PATIENCE:?} for {command:?}"))?;
    let output = output.map_err(|error| format!("cannot start {command:?}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        Ok(text)
    } else {
        Err(format!("{command:?}: {}\n{text}{errors}", output.status))
    }
}

/// A client that reads and writes lines of JSON. Killed when dropped.
pub(crate) struct Peer {
    child: Child,
    questions: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    /// Its standard error.
    errors: File,
    /// What was read but not awaited, for messages.
    events: Vec<Value>,
}

impl Peer {
    pub(crate) fn start(mut command: Command) -> Self {
        let errors = tempfile::tempfile().unwrap();
        let child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors.try_clone().unwrap())
            .spawn();
        let mut child = child.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let questions = child.stdin.take().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, questions, lines, errors, events: Vec::new() }
    }

    /// The response to a request; events that come before it are kept.
    pub(crate) async fn ask(&mut self, question: &Value) -> Result<Value, String> {
        self.questions.write_all(format!("{question}\n").as_bytes()).await.unwrap();
        loop {
            match self.line().await? {
                event if event.get("event").is_some() => self.events.push(event),
                answer => return Ok(answer),
            }
        }
    }

    /// Waits for a matching event; discards those before it.
    pub(crate) async fn event(
        &mut self,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value, String> {
        let mut seen = Vec::new();
        loop {
            let event = if self.events.is_empty() {
                self.line().await.map_err(|error| format!("{error}; events: {seen:?}"))?
            } else {
                self.events.remove(0)
            };
            if event.get("event").is_none() {
                return Err(format!("unexpected response {event} instead of {what}"));
            }
            if wanted(&event) {
                return Ok(event);
            }
            seen.push(event);
        }
    }

    async fn text(&mut self) -> Result<String, String> {
        let line = timeout(PATIENCE, self.lines.next_line()).await;
        let line = match line {
            Ok(line) => line.unwrap(),
            Err(_) => return Err(format!("waited {PATIENCE:?} for the client; {}", self.log())),
        };
        line.ok_or_else(|| format!("the client has ended; {}", self.log()))
    }

    /// The next of a stream of JSON objects that span several lines.
    pub(crate) async fn object(&mut self) -> Result<Value, String> {
        let mut text = String::new();
        loop {
            text.push_str(&self.text().await?);
            if let Ok(object) = serde_json::from_str(&text) {
                return Ok(object);
            }
        }
    }

    async fn line(&mut self) -> Result<Value, String> {
        let line = self.text().await?;
        serde_json::from_str(&line).map_err(|error| format!("{error} in {line:?}"))
    }

    fn log(&mut self) -> String {
        self.errors.rewind().unwrap();
        let text = std::io::read_to_string(&mut self.errors).unwrap_or_default();
        format!("it wrote:\n{text}")
    }

    /// Ends the requests, and waits until the client has shut down gracefully.
    pub(crate) async fn end(mut self) -> Result<(), String> {
        drop(self.questions);
        // Its remaining output must not fill the pipe.
        let drained = async { while let Ok(Some(_)) = self.lines.next_line().await {} };
        let ended = timeout(PATIENCE, async { tokio::join!(drained, self.child.wait()).1 }).await;
        match ended {
            Ok(Ok(status)) if status.success() => Ok(()),
            ended => Err(format!("the client's end: {ended:?}")),
        }
    }
}
