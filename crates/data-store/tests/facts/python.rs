//! A program in Python with the official provider of flagd, driven line by line.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

use serde_json::Value;

const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/clients/python/client.py");

/// A virtual machine starts slowly on a busy machine; only a failing test takes this long.
const PATIENCE: Duration = Duration::from_mins(1);

/// Killed when it is dropped.
pub(crate) struct Python {
    child: Child,
    questions: ChildStdin,
    lines: Receiver<Value>,
    /// What was read but not awaited.
    events: Vec<Value>,
}

impl Python {
    /// With a provider that evaluates in the flagd at this port. `None` if it is not installed.
    pub(crate) fn start(port: u16) -> Option<Self> {
        let python = testing::installed("python", "bin/python")?;
        let mut command = Command::new(python);
        command.args([CLIENT, "rpc", &port.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let questions = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                // Nobody reads on if the test has ended.
                let _ = sender.send(serde_json::from_str(&line).unwrap());
            }
        });
        Some(Self { child, questions, lines, events: Vec::new() })
    }

    fn line(&self) -> Value {
        self.lines.recv_timeout(PATIENCE).expect("a line of the client")
    }

    /// The response to a request.
    pub(crate) fn ask(&mut self, question: &Value) -> Value {
        writeln!(self.questions, "{question}").unwrap();
        loop {
            match self.line() {
                event if event.get("event").is_some() => self.events.push(event),
                answer => return answer,
            }
        }
    }

    /// Waits for an event, and discards those before it.
    pub(crate) fn expect(&mut self, wanted: &Value) {
        while self.events.iter().all(|event| event != wanted) {
            self.events.push(self.line());
        }
        self.events.clear();
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
