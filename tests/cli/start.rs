//! `flagstaff start`, always of this package.

use std::{fs, net::SocketAddr, process::Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::TcpStream,
    process::Command,
};

use crate::{
    one_flag,
    program::{self, Finished, finish, flagstaff, run},
    support::{
        flagd::{FlagdCommand, FlagdProcess, Signal},
        ports::{free_port, listen, local},
        wait::{becomes_true, bounded},
    },
};

/// A directory with `flags.json`.
fn directory() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("flags.json"), one_flag().to_string()).unwrap();
    directory
}

/// Options for ports that nobody listens on.
fn ports() -> Vec<String> {
    let options = ["--port", "--management-port", "--sync-port", "--ofrep-port"];
    options.into_iter().flat_map(|option| [option.to_owned(), free_port().to_string()]).collect()
}

pub(crate) fn start(directory: &TempDir, args: &[&str]) -> Command {
    let mut command = flagstaff(&["start"]);
    command.args(ports()).args(args).current_dir(directory.path());
    command
}

async fn ended(command: Command) -> (Option<i32>, String) {
    let Finished { code, out, err } = finish(command).await;
    assert_eq!(out, "", "what goes wrong is said on standard error");
    (code, err)
}

#[tokio::test]
async fn without_a_source_it_ends() {
    let (code, message) = ended(start(&directory(), &[])).await;
    assert_eq!(code, Some(1));
    assert!(message.contains("--uri"), "{message}");
}

#[tokio::test]
async fn a_source_that_cannot_be_is_named() {
    for (uri, code) in [
        ("file:absent.json", 1),
        ("file:.", 1),
        ("file:pipe", 1),
        ("flags.json", 2),
        ("http://", 2),
        ("grpc://host:99999999", 2),
        ("envoy://host:1", 2),
        ("s3://bucket/object", 2),
        ("core.openfeature.dev/default/flags", 2),
        ("gs://bucket/object", 2),
        ("azblob://container/object", 2),
    ] {
        let directory = directory();
        // Nobody writes to it: opening it blocks forever.
        let pipe = directory.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(pipe).status().unwrap().success());
        let (seen, message) = ended(start(&directory, &["--uri", uri])).await;
        assert_eq!(seen, Some(code), "{message}");
        assert!(message.contains(uri), "{message}");
        assert!(!message.contains("FLAGD_TARGET_URI"), "{message}");
    }
    let sources = r#"[{"uri": "host:99999999", "provider": "grpc"}]"#;
    let (code, message) = ended(start(&directory(), &["--sources", sources])).await;
    assert_eq!(code, Some(2), "{message}");
    assert!(message.contains("--sources, number 1 (`host:99999999`)"), "{message}");
}

#[tokio::test]
async fn options_without_an_effect_are_rejected() {
    for option in ["-t=otel", "-o=localhost:4317", "--otel-ca-path=x", "--config=x"] {
        let (code, message) = ended(start(&directory(), &["-f", "file:flags.json", option])).await;
        assert_eq!(code, Some(2), "{message}");
        assert!(message.contains("is not supported"), "{message}");
    }
    let directory = directory();
    let mut command = start(&directory, &["-f", "file:flags.json"]);
    command.env("FLAGD_OTEL_COLLECTOR_URI", "localhost:4317");
    let (code, message) = ended(command).await;
    assert_eq!(code, Some(2));
    assert!(message.contains("FLAGD_OTEL_COLLECTOR_URI"), "{message}");
}

#[tokio::test]
async fn an_option_without_an_effect_is_a_usage_error() {
    const NONE: (&str, &str) = ("FLAGD_URI", "");
    for (args, (variable, value), message) in [
        (&["-C", "*,https://shop.example/"][..], NONE, "write `https://shop.example`"),
        (&["-C", "https://a.example:0443"], NONE, "write `https://a.example`"),
        (&["-C", "http://a.example:08080"], NONE, "write `http://a.example:8080`"),
        (&["-C", "https://127.1"], NONE, "write `https://127.0.0.1`"),
        (&["-C", "https://[0:0:0:0:0:0:0:1]"], NONE, "write `https://[::1]`"),
        (&["-C", "https://*.*.example"], NONE, "at most one `*`"),
        (
            &[],
            ("FLAGD_CORS_ORIGIN", "https://a.example shop.example"),
            "write `https://shop.example`",
        ),
        (&["-H", "no header=name"], NONE, "`no header`"),
        (&["--host", "localhost"], NONE, "expected an IP address, such as `127.0.0.1` or `::`"),
        (&[], ("FLAGSTAFF_HOST", "localhost"), "for '--host <IP> (FLAGSTAFF_HOST)'"),
        (&[], ("FLAGD_STREAM_DEADLINE", "5"), "(FLAGD_STREAM_DEADLINE)': expected a duration"),
        (&[], ("FLAGD_LOG_FORMAT", "xml"), "(FLAGD_LOG_FORMAT)'"),
        (&["-z", "yaml"], ("FLAGD_LOG_FORMAT", "json"), "for '--log-format <FORMAT>'\n"),
    ] {
        let directory = directory();
        let mut command = start(&directory, &[&["-f", "file:flags.json"], args].concat());
        command.env(variable, value);
        let (code, error) = ended(command).await;
        assert_eq!(code, Some(2), "{error}");
        assert!(error.contains(message), "{error}");
    }
}

/// An error cuts the value that it quotes.
#[tokio::test]
async fn long_values_are_cut() {
    let directory = directory();
    let long = "x".repeat(3000);
    let field = format!(r#"[{{"uri": "a", "provider": "file", "{long}": 1}}]"#);
    let provider = format!(r#"[{{"uri": "a", "provider": "{long}"}}]"#);
    let path = format!(r#"[{{"uri": "{long}", "provider": "file"}}]"#);
    // A number with more digits exceeds the range of floats and is a string.
    let digits = "1".repeat(300);
    for args in [
        ["start", "-f", &format!("gopher://{long}")],
        ["start", "-f", &format!("file:{long}")],
        ["start", "-f", &format!("http://{long}:99999")],
        ["start", "-f", &format!("grpc://{long}:99999")],
        ["start", "-s", &field],
        ["start", "-s", &provider],
        ["start", "-s", &path],
        ["start", "-H", &format!("{long} x=a")],
        ["start", "-X", &long],
        ["start", "--host", &long],
        ["start", "--stream-deadline", &long],
        ["eval", "f", &format!("-c={long}")],
        ["eval", "f", &format!("-c={long} =1")],
        ["eval", "f", &format!("-c={long}:=x")],
        ["eval", "f", &format!("-c=a={digits}")],
        ["eval", "f", &format!("-c=targetingKey:=[\"{long}\"]")],
    ] {
        let mut command = flagstaff(&args);
        if args[0] == "start" {
            command.args(ports()).current_dir(directory.path());
            if args[1] != "-f" && args[1] != "-s" {
                command.args(["-f", "file:flags.json"]);
            }
        }
        let (code, message) = ended(command).await;
        assert!(matches!(code, Some(1 | 2)), "{message}");
        assert!(message.contains('…') && message.len() < 1500, "{message}");
    }
    for variable in ["FLAGD_CONTEXT_VALUE", "FLAGD_CONTEXT_FROM_HEADER"] {
        let mut command = start(&directory, &["-f", "file:flags.json"]);
        command.env(variable, format!("\"{long}\""));
        let (_, message) = ended(command).await;
        assert!(message.contains(variable) && message.len() < 1500, "{message}");
    }
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let taken = listen();
    let port = taken.local_addr().unwrap().port().to_string();
    let args = ["-f", "file:flags.json", "--ofrep-port", &port];
    let (code, message) = ended(start(&directory(), &args)).await;
    assert_eq!(code, Some(1));
    assert!(message.contains("ofrep") && message.contains(&port), "{message}");
}

/// A flagd that runs the program of this package.
async fn server(definition: &Value, args: &[&str]) -> FlagdProcess {
    let mut builder =
        FlagdProcess::with(definition).command(FlagdCommand::Binary(program::PATH.into()));
    for arg in args {
        builder = builder.arg(*arg);
    }
    builder.start().await.unwrap()
}

async fn eval(flagd: &FlagdProcess, args: &[&str]) -> Value {
    let port = flagd.port().to_string();
    let args = [&["eval", "--json", "--deadline-ms", "10000", "--port", &port], args].concat();
    run(&args).await.json()
}

#[tokio::test]
async fn context_comes_from_options_and_headers() {
    let definition = json!({ "flags": { "flag": {
        "state": "ENABLED",
        "variants": { "none": 0, "value": 1, "header": 2 },
        "defaultVariant": "none",
        "targeting": { "if": [
            { "==": [{ "var": "who" }, "ann"] }, "header", { "==": [{ "var": "stage" }, "test"] }, "value",
        ] },
    } } });
    let plain = server(&definition, &[]).await;
    assert_eq!(eval(&plain, &["flag"]).await["variant"], "none");
    let args = ["-X", "stage=test,region=eu", "-H", "X-Who=who"];
    let flagd = server(&definition, &args).await;
    assert_eq!(eval(&flagd, &["flag"]).await["variant"], "value");
    assert_eq!(eval(&flagd, &["flag", "--header", "X-Who=ann"]).await["variant"], "header");
}

/// In flagd they are strings, even if they look like numbers.
#[tokio::test]
async fn fields_that_the_server_adds_are_strings() {
    let definition = json!({ "flags": { "flag": {
        "state": "ENABLED",
        "variants": { "other": 0, "string": 1 },
        "defaultVariant": "other",
        "targeting": { "if": [{ "===": [{ "var": "targetingKey" }, "4"] }, "string"] },
    } } });
    let flagd = server(&definition, &["-X", "targetingKey=4"]).await;
    assert_eq!(eval(&flagd, &["flag", "-c", "targetingKey=5"]).await["variant"], "string");
    let flagd = server(&definition, &["-H", "X-User=targetingKey"]).await;
    assert_eq!(eval(&flagd, &["flag", "--header", "X-User=4"]).await["variant"], "string");
    assert_eq!(eval(&flagd, &["flag"]).await["variant"], "other");
}

#[tokio::test]
async fn the_default_flag_set_is_chosen() {
    let flag = |set: &str| {
        let metadata = json!({ "flagSetId": set });
        json!({ "variants": { "on": true }, "defaultVariant": "on", "metadata": metadata })
    };
    let definition = json!({ "flags": { "shop": flag("shop"), "billing": flag("billing") } });
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("flags.json"), definition.to_string()).unwrap();
    let mut command =
        start(&directory, &["--uri", "file:flags.json", "--default-flag-set", "shop"]);
    command.env("FLAGD_LOG_FORMAT", "json");
    let (child, addresses) = addresses(command).await;
    let (_, evaluation) = addresses.iter().find(|(service, _)| service == "evaluation").unwrap();
    let port = evaluation.port().to_string();
    for (args, err) in [
        (&["shop"][..], ""),
        (&["billing"], "FLAG_NOT_FOUND"),
        (&["billing", "--selector", "flagSetId=billing"], ""),
    ] {
        let options = ["eval", "--deadline-ms", "10000", "--port", &port];
        let finished = run(&[&options, args].concat()).await;
        assert_eq!(finished.err.is_empty(), err.is_empty(), "{args:?}: {}", finished.err);
        assert!(finished.err.contains(err), "{args:?}: {}", finished.err);
    }
    drop(child);
}

#[tokio::test]
async fn the_generation_of_fractional_is_chosen() {
    let definition = json!({ "flags": { "flag": {
        "state": "ENABLED",
        "variants": { "a": "a", "b": "b" },
        "defaultVariant": "a",
        "targeting": { "fractional": [["a", 50], ["b", 50]] },
    } } });
    let text = server(&definition, &["--bucketing", "string"]).await;
    let cbor = server(&definition, &["--bucketing", "cbor"]).await;
    let mut differences = 0;
    for user in 0..20 {
        let context = format!("targetingKey=user-{user}");
        let [text, cbor] = [
            eval(&text, &["flag", "-c", &context]).await,
            eval(&cbor, &["flag", "-c", &context]).await,
        ];
        assert_eq!(
            (&text["reason"], &cbor["reason"]),
            (&json!("TARGETING_MATCH"), &json!("TARGETING_MATCH"))
        );
        differences += u32::from(text["variant"] != cbor["variant"]);
    }
    assert!(differences > 0, "twenty users, and no difference");
}

/// The addresses that it logs, by service, as soon as it listens.
pub(crate) async fn addresses(
    mut command: Command,
) -> (tokio::process::Child, Vec<(String, SocketAddr)>) {
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut found = Vec::new();
    while found.len() < 4 {
        let line = bounded("a log line", lines.next_line()).await.unwrap();
        let line = line.expect("the program goes on");
        let entry: Value = serde_json::from_str(&line).expect("logs are JSON");
        if entry["message"] == "listening" {
            let address = entry["address"].as_str().unwrap().parse().unwrap();
            found.push((entry["service"].as_str().unwrap().to_owned(), address));
        }
    }
    (child, found)
}

#[tokio::test]
async fn the_environment_sets_options_and_loopback_is_the_default() {
    let (directory, mut command) = (directory(), flagstaff(&["start"]));
    command.current_dir(directory.path()).env("FLAGD_URI", "file:flags.json");
    command.env("FLAGD_LOG_FORMAT", "json").env("FLAGD_SOCKET_PATH", "");
    for service in ["MANAGEMENT", "SYNC", "OFREP"] {
        command.env(format!("FLAGD_{service}_PORT"), "0");
    }
    let port = free_port();
    command.env("FLAGD_PORT", port.to_string());
    let (child, addresses) = addresses(command).await;
    assert!(addresses.iter().all(|(_, address)| address.ip().is_loopback()), "{addresses:?}");
    assert!(addresses.contains(&("evaluation".to_owned(), local(port))), "{addresses:?}");
    drop(child);
}

#[tokio::test]
async fn a_signal_ends_it_gracefully() {
    for signal in [Signal::TERM, Signal::INT] {
        let directory = directory();
        let mut command = start(&directory, &["-f", "file:flags.json", "-z", "json"]);
        command.stdout(Stdio::null());
        let (mut child, addresses) = addresses(command).await;
        TcpStream::connect(addresses[0].1).await.unwrap();
        program::kill(&child, signal);
        let ended = bounded("the exit", child.wait()).await.unwrap();
        assert_eq!(ended.code(), Some(0), "{signal:?}");
    }
}

/// A flagstaff that reads its flags from another's sync service.
#[tokio::test]
async fn one_follows_another() {
    let first = server(&one_flag(), &[]).await;
    let uri = format!("grpc://127.0.0.1:{}", first.ports().sync);
    let second = server(&json!({ "flags": {} }), &["--uri", &uri]).await;
    let value = async || eval(&second, &["flag"]).await["value"].clone();
    becomes_true("the flag of the first", async || value().await == true).await;
    first.edit_flags(|definition| definition["flags"]["flag"]["defaultVariant"] = json!("off"));
    becomes_true("the change of the first", async || value().await == false).await;
}

#[tokio::test]
async fn a_url_is_a_source() {
    let files = axum::Router::new()
        .route("/flags.json", axum::routing::get(async || one_flag().to_string()));
    let listener = tokio::net::TcpListener::bind(local(0)).await.unwrap();
    let uri = format!("http://{}/flags.json", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, files).await });
    let flagd = server(&json!({ "flags": {} }), &["--uri", &uri]).await;
    let value = async || eval(&flagd, &["flag"]).await["value"].clone();
    becomes_true("the flag of the URL", async || value().await == true).await;
}
