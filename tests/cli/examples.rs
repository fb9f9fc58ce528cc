//! The examples that end by themselves.
//!
//! Cargo builds examples for `cargo test`, and not for `cargo test --test cli`.

use std::{fs, path::Path};

use serde_json::Value;
use tokio::process::Command;

use crate::{
    flagd,
    program::{Finished, PATH, finish, without_flagd},
};

/// What `quickstart`, with which the README begins, prints in every run, in this order.
const VALUES: [&str; 9] = [
    "the provider is ready",
    "new-checkout  = true, variant \"on\", reason STATIC",
    "greeting      = \"hi\", variant \"short\", reason STATIC",
    "page-size     = 10, variant \"small\", reason STATIC",
    "discount      = 0.15, variant \"winter\", reason STATIC",
    "banner        = StructValue",
    "beta            no value, reason DISABLED",
    "no-such-flag    no value, reason ERROR",
    "new-checkout  = true, variant \"on\", reason CACHED",
];

/// An example, as Cargo has built it.
fn example(name: &str) -> Command {
    let path = Path::new(PATH).with_file_name("examples").join(name);
    let build = format!("`cargo build --features full --example {name}` builds it");
    assert!(path.is_file(), "there is no {}: {build}", path.display());
    without_flagd(Command::new(path))
}

/// The lines of a run that ended well, after it printed all of these in this order.
async fn printed(command: Command, expected: &[&str]) {
    let Finished { code, out, err } = finish(command).await;
    assert_eq!(code, Some(0), "{out}{err}");
    let mut lines = out.lines();
    for expected in expected {
        assert!(
            lines.any(|line| line.starts_with(expected)),
            "no `{expected}` in its place:\n{out}"
        );
    }
}

#[tokio::test]
async fn quickstart_with_its_own_server() {
    let mut command = example("quickstart");
    // They are for a flagd that nobody named.
    command.env("FLAGD_RESOLVER", "in-process").env("FLAGD_TLS", "true");
    command.env("FLAGD_SOURCE_SELECTOR", "flagSetId=x").env("FLAGD_CACHE", "disabled");
    let change = [
        "event: changed Keys([\"greeting\"])",
        "greeting      = \"good morning\", variant \"long\"",
    ];
    printed(command, &[&VALUES[..], &change, &["1 evaluations from the cache"]].concat()).await;
}

#[tokio::test]
async fn quickstart_with_the_flagd_of_the_environment() {
    let mut command = example("quickstart");
    let flags = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/flags.json");
    let definition: Value = serde_json::from_slice(&fs::read(flags).unwrap()).unwrap();
    let flagd = flagd(&definition).await;
    let port = flagd.port().to_string();
    command.env("FLAGD_HOST", "127.0.0.1").env("FLAGD_PORT", &port);
    let target = format!("flagd at 127.0.0.1:{port} (FLAGD_HOST)");
    printed(command, &[&[&*target], &VALUES[..]].concat()).await;
}

#[tokio::test]
async fn custom_source() {
    let expected = [
        "beta for jane@partner.example: false",
        "The row changes ...",
        "event: ConfigurationChanged(Keys([\"beta\"]))",
        "beta for jane@partner.example: true",
    ];
    printed(example("custom_source"), &expected).await;
}
