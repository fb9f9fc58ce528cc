//! The evaluator against flagd's own `JsonLogic` library, on rules and data generated anew in each
//! run.
//!
//! The test compares how flagd interprets a result: its JSON without the quotes as the name of a
//! variant, null as the default variant, or an error. If a rule evaluates itself without end, flagd
//! crashes, and the evaluator must fail. The library lacks the operators that flagd adds to it; the
//! recorded responses prove those.
//!
//! `FLAGSTAFF_DIFFERENTIAL_SEED` repeats a run, `FLAGSTAFF_DIFFERENTIAL_CASES` sets the number of
//! cases. Without Go, or without the library, the test is reported as ignored; with
//! `FLAGSTAFF_REQUIRE_PEERS=1` it fails.
// A test that fails may panic.
#![allow(clippy::unwrap_used, clippy::needless_pass_by_value)]

mod generate;
#[path = "../support/go.rs"]
mod go;
mod oracle;

use std::{
    collections::HashSet,
    env,
    path::Path,
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use flagstaff::evaluator::{ErrorCode, FlagSet, Reason};
use generate::{Case, Generator};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use oracle::Answer;
use serde_json::{Map, json};

/// The key of the flag that is evaluated, and when: rules can read both.
const KEY: &str = "flag";
const NOW: i64 = 1_785_580_200;

const CASES: u64 = 40_000;

/// How many disagreements are shown.
const SHOWN: usize = 10;

/// How often a disagreement is evaluated again with flagd's library: it visits the fields of an
/// object in no particular order, so a few rules have more than one result.
const ASKED_AGAIN: usize = 64;

fn main() -> ExitCode {
    let trials = vec![Trial::ignorable_test("the_evaluator_agrees_with_flagds_library", || {
        match oracle::build() {
            Ok(program) => agree(&program).map(|()| Completion::Completed),
            Err(reason) if env::var_os("FLAGSTAFF_REQUIRE_PEERS").is_some_and(|v| v == "1") => {
                Err(reason.into())
            }
            Err(reason) => Ok(Completion::ignored_with(reason)),
        }
    })];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|e| panic!("{variable}: {e}")))
}

fn agree(program: &Path) -> Result<(), Failed> {
    let clock = || u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros());
    let seed = number("FLAGSTAFF_DIFFERENTIAL_SEED").unwrap_or_else(|| clock().unwrap());
    let count = number("FLAGSTAFF_DIFFERENTIAL_CASES").unwrap_or(CASES);
    println!("differential: FLAGSTAFF_DIFFERENTIAL_SEED={seed}");
    let mut generator = Generator::new(seed);
    let cases: Vec<Case> = (0..count).map(|_| generator.case()).collect();
    let answers = oracle::ask(program, &cases)?;

    let (mut failed, mut overflows, mut ambiguous, mut differ) = (0, 0, 0, Vec::new());
    let mut results = HashSet::new();
    for (case, answer) in cases.iter().zip(&answers) {
        match answer {
            Answer::Result(result) => drop(results.insert(result)),
            Answer::Fails => failed += 1,
            Answer::Overflows => overflows += 1,
        }
        if !agrees(case, answer) {
            let again = oracle::ask(program, &vec![case.clone(); ASKED_AGAIN])?;
            if again.iter().any(|answer| agrees(case, answer)) {
                ambiguous += 1;
            } else {
                differ.push(format!("{} on {}: {answer:?}", case.rule, json!(case.data)));
            }
        }
    }
    println!(
        "differential: {} agreed of {count} ({failed} fail, {overflows} without end, \
         {ambiguous} ambiguous, {} different results)",
        cases.len() - differ.len(),
        results.len()
    );
    if differ.is_empty() {
        return Ok(());
    }
    differ.sort_by_key(String::len);
    let shown: Vec<_> = differ.iter().take(SHOWN).map(String::as_str).collect();
    Err(format!("seed {seed}, {} differ, among them:\n{}", differ.len(), shown.join("\n")).into())
}

/// Whether the evaluator returns the variant that the library's result names.
fn agrees(case: &Case, answer: &Answer) -> bool {
    let name = match answer {
        Answer::Result(text) => Some(text.replace('"', "")),
        Answer::Fails | Answer::Overflows => None,
    };
    let mut variants = Map::from_iter([("the default".to_owned(), json!(0))]);
    variants.extend(name.iter().map(|name| (name.clone(), json!(1))));
    let flag =
        json!({"variants": variants, "defaultVariant": "the default", "targeting": case.rule});
    let set = FlagSet::parse(&json!({"flags": {KEY: flag}}).to_string()).unwrap();
    let outcome = set.evaluate_at(KEY, &case.data, NOW);
    match answer {
        Answer::Fails | Answer::Overflows => outcome.error == Some(ErrorCode::ParseError),
        Answer::Result(text) if text == "null" => {
            outcome.reason == Reason::Default && outcome.error.is_none()
        }
        Answer::Result(_) => {
            outcome.reason == Reason::TargetingMatch && outcome.variant == name.as_deref()
        }
    }
}
