//! Programs in other languages with their official provider for flagd, which evaluate many ids at a
//! request.

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::json;

use crate::installed::installed;

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/flags");

/// Killed when it is dropped.
pub(crate) struct Peer {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    /// `None` if it is not installed.
    pub(crate) fn python(port: u16, selector: &str) -> Option<Self> {
        let program = found("Python's provider", installed("python/bin/python"))?;
        Some(Self::start(Command::new(program).arg(format!("{SOURCES}/bulk.py")), port, selector))
    }

    /// `None` if it is not installed.
    pub(crate) fn javascript(port: u16, selector: &str) -> Option<Self> {
        let packages = found("JavaScript's provider", installed("javascript/node_modules"))?;
        let mut command = Command::new("node");
        command.env("NODE_PATH", packages).arg(format!("{SOURCES}/bulk.cjs"));
        Some(Self::start(&mut command, port, selector))
    }

    fn start(command: &mut Command, port: u16, selector: &str) -> Self {
        let is_flagd = |name: &str| name.starts_with("FLAGD_");
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_flagd)) {
            command.env_remove(name);
        }
        command.args([&port.to_string(), selector]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let questions = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self { child, questions, answers }
    }

    /// Whether each of the features is on for each of the ids, in lines of 0 and 1; E is an error.
    pub(crate) fn ask(&mut self, features: &[String], ids: &[Option<String>]) -> Vec<String> {
        writeln!(self.questions, "{}", json!({"features": features, "ids": ids})).unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        serde_json::from_str(&line).expect("an answer of the peer")
    }
}

/// What was found; without it, the test says so and leaves it out.
fn found<T>(what: &str, installed: Result<T, String>) -> Option<T> {
    if let Err(reason) = &installed {
        eprintln!("{reason}");
        testing::skip(what);
    }
    installed.ok()
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
