//! The program `flagstaff` as a process: what it prints, and how it ends.
//!
//! It calls the flagd of `FLAGD_BIN` or `FLAGD_IMAGE`, otherwise a `flagstaff start`.
// The names `flag`, `flags` and `flagd` are similar.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::similar_names)]

#[path = "../support/mod.rs"]
mod support;

mod argocd;
mod check;
#[path = "../flagops/double.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with tests that need more of it")]
mod double;
mod eval;
mod examples;
mod facts;
mod health;
mod options;
mod program;
mod render;
mod sources;
mod start;
mod watch;

use serde_json::{Value, json};
use support::flagd::{FlagdCommand, FlagdProcess};

/// A flagd with this definition.
async fn flagd(definition: &Value) -> FlagdProcess {
    let command = FlagdCommand::found_or(program::PATH).unwrap();
    FlagdProcess::with(definition).command(command).start().await.unwrap()
}

/// A definition with one flag, `flag`, that is true.
fn one_flag() -> Value {
    json!({ "flags": { "flag": {
        "state": "ENABLED", "variants": { "on": true, "off": false }, "defaultVariant": "on",
    } } })
}
