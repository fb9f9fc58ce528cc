//! The examples that run to their end.
//!
//! Cargo builds examples for `cargo test --workspace`, and not for one test program alone.

use std::{fs, net::SocketAddr, path::Path, process::Stdio};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::Command,
};

use crate::{
    flagd,
    program::{Finished, PATH, finish, without_flagd},
    support::{
        provider::{boolean, near, ready},
        wait::bounded,
    },
};

/// What `quickstart`, the first command of the README, prints in every run, in this order.
const VALUES: [&str; 9] = [
    "the provider is ready",
    "new-checkout  true (variant on, STATIC)",
    "greeting      hi (variant short, STATIC)",
    "page-size     10 (variant small, STATIC)",
    "discount      0.15 (variant winter, STATIC)",
    "banner        Welcome in red and blue (variant default, STATIC)",
    "beta          your default value (DISABLED)",
    "no-such-flag  error: flag `no-such-flag`",
    "new-checkout  true (variant on, CACHED)",
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
    // They apply to a flagd that the environment does not name.
    command.env("FLAGD_RESOLVER", "in-process").env("FLAGD_TLS", "true");
    command.env("FLAGD_SOURCE_SELECTOR", "flagSetId=x").env("FLAGD_CACHE", "disabled");
    let change =
        ["event: greeting has changed", "greeting      good morning (variant long, STATIC)"];
    printed(
        command,
        &[&VALUES[..], &change, &["evaluations: 1 from the cache, 8 by flagd"]].concat(),
    )
    .await;
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
        "the row changes ...",
        "event: beta has changed",
        "beta for jane@partner.example: true",
    ];
    printed(example("custom_source"), &expected).await;
}

#[tokio::test]
async fn optoggles() {
    let expected = [
        "alice: us-only is on",
        "bob: us-only is off",
        "Bob moves to the United States.",
        "alice: us-only is on",
        "bob: us-only is on",
    ];
    printed(example("optoggles"), &expected).await;
}

#[tokio::test]
async fn embedded_server() {
    let mut command = example("embedded_server");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut line_with = async |start: &str| loop {
        let line = bounded("a line of the example", lines.next_line()).await.unwrap();
        let line = line.unwrap_or_else(|| panic!("no line begins with `{start}`"));
        if let Some(rest) = line.strip_prefix(start) {
            break rest.trim().to_owned();
        }
    };
    let address: SocketAddr = line_with("evaluation").await.parse().unwrap();
    let provider = ready(near(address.port())).await;
    assert!(!boolean(&provider, "maintenance").await.unwrap().value);
    assert!(boolean(&provider, "new-checkout").await.unwrap().value, "from the file");
    input.write_all(b"on\n").await.unwrap();
    assert_eq!(line_with("maintenance is ").await, "on");
    let uncached = ready(near(address.port())).await;
    assert!(boolean(&uncached, "maintenance").await.unwrap().value);
    drop(input);
    line_with("shutting down").await;
    assert_eq!(bounded("the example's end", child.wait()).await.unwrap().code(), Some(0));
}
