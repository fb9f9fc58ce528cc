//! flagd's `JsonLogic` library, as a process, built from the Go program beside this file.

use std::{
    io::{BufRead, BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};

use serde_json::{Value, json};

use crate::{generate::Case, go};

/// Where the Go program is built.
const BINARY: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/jsonlogic-oracle");

/// The library's result for a case.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// The result as JSON.
    Result(String),
    /// There is no result.
    Fails,
    /// The rule evaluates itself without end, and the process overflowed its stack.
    Overflows,
}

/// Builds the program; the error says what is missing.
pub(crate) fn build() -> Result<PathBuf, String> {
    go::build("tests/differential", BINARY).map(|()| BINARY.into())
}

/// Evaluates all cases, with a new process after each one that overflows its stack.
pub(crate) fn ask(program: &Path, cases: &[Case]) -> Result<Vec<Answer>, String> {
    let mut answers = Vec::new();
    while answers.len() < cases.len() {
        let mut child = Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        let said = exchange(&mut child, &cases[answers.len()..], &mut answers)?;
        let status = child.wait().map_err(|error| error.to_string())?;
        if said.contains("stack overflow") {
            answers.push(Answer::Overflows);
        } else if answers.len() < cases.len() || !status.success() {
            return Err(format!("the oracle ended with {status} after {}: {said}", answers.len()));
        }
    }
    Ok(answers)
}

/// Collects the results until the process ends; returns its other output.
fn exchange(
    child: &mut Child,
    cases: &[Case],
    answers: &mut Vec<Answer>,
) -> Result<String, String> {
    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(input), Some(output), Some(mut errors)) = pipes else {
        return Err("the oracle has no pipes".to_owned());
    };
    thread::scope(|scope| {
        // A failed write shows as a missing result.
        scope.spawn(move || {
            let mut input = BufWriter::new(input);
            for case in cases {
                let line = json!({"rule": case.rule, "data": case.data_for_flagd()});
                if writeln!(input, "{line}").is_err() {
                    return;
                }
            }
        });
        let said = scope.spawn(move || {
            let mut said = String::new();
            errors.read_to_string(&mut said).map(|_| said)
        });
        for line in BufReader::new(output).lines() {
            answers.push(answer(&line.map_err(|error| error.to_string())?)?);
        }
        let said = said.join().map_err(|_| "the reader of the oracle panicked")?;
        said.map_err(|error| error.to_string())
    })
}

fn answer(line: &str) -> Result<Answer, String> {
    let fields: Value = serde_json::from_str(line).map_err(|error| format!("{line}: {error}"))?;
    match (fields["result"].as_str(), fields["error"].as_str()) {
        (Some(result), None) => Ok(Answer::Result(result.to_owned())),
        (None, Some(_)) => Ok(Answer::Fails),
        _ => Err(format!("an answer of another form: {line}")),
    }
}
