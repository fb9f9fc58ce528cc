//! Runs of the program.

use std::{
    env,
    process::{ExitStatus, Stdio},
};

use rustix::process::{Pid, kill_process};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

use crate::support::{flagd::Signal, wait::bounded};

/// The program under test.
pub(crate) const PATH: &str = env!("CARGO_BIN_EXE_flagstaff");

/// The outcome of a run.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Finished {
    /// The one line of JSON that it printed.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.out.lines().count(), 1, "{self:?}");
        serde_json::from_str(&self.out).unwrap()
    }
}

pub(crate) fn flagstaff(args: &[&str]) -> Command {
    let mut command = without_flagd(Command::new(PATH));
    command.args(args);
    command
}

/// Without flagd's variables, which may be set where the tests run.
pub(crate) fn without_flagd(mut command: Command) -> Command {
    for (name, _) in env::vars_os() {
        let is_ours = |name: &str| {
            let ours = ["FLAGD_", "FLAGSTAFF_", "FLAGOPS_", "ARGOCD_"];
            ours.iter().any(|prefix| name.starts_with(prefix)) || name == "RUST_LOG"
        };
        if name.to_str().is_some_and(is_ours) {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs it to its end.
pub(crate) async fn run(args: &[&str]) -> Finished {
    finish(flagstaff(args)).await
}

/// Runs it to its end, with this on its standard input.
pub(crate) async fn run_with_input(args: &[&str], input: &str) -> Finished {
    let mut command = flagstaff(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
    finished(bounded("the program's end", child.wait_with_output()).await.unwrap())
}

pub(crate) async fn finish(mut command: Command) -> Finished {
    finished(bounded("the program's end", command.output()).await.unwrap())
}

fn finished(output: std::process::Output) -> Finished {
    Finished {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A run in progress, read line by line.
pub(crate) struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    pub(crate) fn start(args: &[&str]) -> Self {
        let mut child = flagstaff(args).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    pub(crate) async fn line(&mut self) -> String {
        bounded("a line", self.lines.next_line()).await.unwrap().expect("the program goes on")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(&self.child, signal);
    }

    pub(crate) async fn end(&mut self) -> ExitStatus {
        bounded("the program's end", self.child.wait()).await.unwrap()
    }
}

/// Sends a signal to a program that runs.
pub(crate) fn kill(child: &Child, signal: Signal) {
    let id = child.id().expect("it runs");
    kill_process(Pid::from_raw(i32::try_from(id).unwrap()).unwrap(), signal).unwrap();
}
