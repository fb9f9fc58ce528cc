//! Options and variables of `flagstaff start`, each seen in the responses of the running server.

use std::{fs, net::SocketAddr};

use serde_json::json;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::Child,
};

use crate::{
    program::{finish, flagstaff, run},
    start::addresses,
    support::{
        certs::Certificates,
        wait::{becomes_true, bounded},
    },
};

/// A running server and its addresses.
pub(crate) struct Started {
    addresses: Vec<(String, SocketAddr)>,
    _child: Child,
}

impl Started {
    /// On free ports, with the files of this directory; ready when this returns.
    pub(crate) async fn new(
        directory: &TempDir,
        args: &[impl AsRef<str>],
        environment: &[(&str, &str)],
    ) -> Self {
        let mut command = flagstaff(&["start", "-z", "json", "-p=0", "-m=0", "-g=0", "-r=0"]);
        command.current_dir(directory.path()).envs(environment.iter().copied());
        command.args(args.iter().map(AsRef::as_ref));
        let (child, addresses) = addresses(command).await;
        let started = Self { addresses, _child: child };
        becomes_true("the server to be ready", async || {
            started.ask("management", "GET /readyz", "", "").await.contains(" 200 ")
        })
        .await;
        started
    }

    pub(crate) fn port(&self, service: &str) -> u16 {
        let of = |(name, _): &&(String, SocketAddr)| name == service;
        self.addresses.iter().find(of).expect("a service").1.port()
    }

    /// Sends a request over HTTP/1.1; returns the whole response. `headers` end in line breaks.
    async fn ask(&self, service: &str, line: &str, headers: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port(service))).await.unwrap();
        let length = body.len();
        let head =
            format!("{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}");
        // The server may close before it has read all.
        let _ = stream.write_all(format!("{head}\r\n{headers}\r\n{body}").as_bytes()).await;
        let mut answer = Vec::new();
        let _ = bounded("an answer", stream.read_to_end(&mut answer)).await;
        String::from_utf8(answer).unwrap()
    }

    /// The OFREP response for a flag, in lower case.
    pub(crate) async fn ofrep(&self, flag: &str, headers: &str, body: &str) -> String {
        let line = format!("POST /ofrep/v1/evaluate/flags/{flag}");
        self.ask("ofrep", &line, headers, body).await.to_lowercase()
    }
}

/// `a.json` with `flag`, by the context's `who`, and `other`; `b.json` with `other` alone.
fn files() -> TempDir {
    let other =
        |value| json!({ "state": "ENABLED", "variants": { "v": value }, "defaultVariant": "v" });
    let by_context = json!({
        "state": "ENABLED",
        "variants": { "none": 0, "ann": 1, "bob": 2 },
        "defaultVariant": "none",
        "targeting": { "if": [{ "var": "who" }, { "var": "who" }] },
    });
    let directory = tempfile::tempdir().unwrap();
    let write = |name, definition: serde_json::Value| {
        fs::write(directory.path().join(name), definition.to_string()).unwrap();
    };
    write("a.json", json!({ "flags": { "flag": by_context, "other": other("a") } }));
    write("b.json", json!({ "flags": { "other": other("b") } }));
    directory
}

/// A request to OFREP: the flag, headers and body.
type Question = (&'static str, String, String);

/// Arguments, variables, a request, and what its response must contain.
type Row = (&'static [&'static str], Variables, Question, &'static str);
type Variables = &'static [(&'static str, &'static str)];

fn plain(flag: &'static str) -> Question {
    (flag, String::new(), String::new())
}

fn with_header(text: &str) -> Question {
    ("flag", format!("{text}\r\n"), String::new())
}

fn long_body(bytes: usize) -> Question {
    ("flag", String::new(), json!({ "context": { "x": "x".repeat(bytes) } }).to_string())
}

fn long_header(bytes: usize) -> Question {
    with_header(&format!("x: {}", "x".repeat(bytes)))
}

const A: &str = "-f=file:a.json";

/// docs/flagd.md, "Command line": every option has a variable.
#[tokio::test]
async fn each_option_has_its_effect() {
    const ALLOWED: &str = "access-control-allow-origin: https://a.example\r\n";
    let origin = || with_header("origin: https://a.example");
    let from_header = || with_header("x-who: bob");
    let files = files();
    let table: &[Row] = &[
        (&[A, "-B=1000"], &[], long_body(900), "http/1.1 200"),
        (&[A, "-B=1000"], &[], long_body(1000), "http/1.1 413"),
        (&[A], &[("FLAGD_MAX_REQUEST_BODY", "1000")], long_body(1000), "http/1.1 413"),
        (&[A], &[], long_body(1_000_000), "http/1.1 413"),
        (&[A, "-B=0"], &[], long_body(1_000_000), "http/1.1 200"),
        (&[A, "-R=10000"], &[], long_header(20_000), "http/1.1 431"),
        (&[A], &[("FLAGD_MAX_REQUEST_HEADER", "10000")], long_header(20_000), "http/1.1 431"),
        (&[A, "-R=0"], &[], long_header(500_000), "http/1.1 200"),
        (&[A, "-C=https://b.example,https://a.example"], &[], origin(), ALLOWED),
        (&[A], &[("FLAGD_CORS_ORIGIN", "https://b.example https://a.example")], origin(), ALLOWED),
        (&[A, "-X=stage=x,who=ann"], &[], plain("flag"), r#""variant":"ann""#),
        (
            &[A],
            &[("FLAGD_CONTEXT_VALUE", r#"{"who": "ann"}"#)],
            plain("flag"),
            r#""variant":"ann""#,
        ),
        (&[A, "-H=X-Who=who"], &[], from_header(), r#""variant":"bob""#),
        (
            &[A],
            &[("FLAGD_CONTEXT_FROM_HEADER", r#"{"X-Who": "who"}"#)],
            from_header(),
            r#""variant":"bob""#,
        ),
        (&[], &[("FLAGD_URI", "file:a.json file:b.json")], plain("other"), r#""value":"b""#),
        (&[], &[("FLAGD_URI", "file:a.json file:b.json")], plain("flag"), r#""variant":"none""#),
        (&["-f=file:b.json,file:a.json"], &[], plain("other"), r#""value":"a""#),
        (
            &[A],
            &[("FLAGD_SOURCES", r#"[{"uri": "b.json", "provider": "file"}]"#)],
            plain("other"),
            r#""value":"b""#,
        ),
    ];
    for (args, environment, (flag, headers, body), expected) in table {
        let server = Started::new(&files, args, environment).await;
        let answer = server.ofrep(flag, headers, body).await;
        assert!(answer.contains(expected), "{args:?} {environment:?}: {answer}");
    }
    // What the files would provide without the options.
    let server = Started::new(&files, &[A], &[]).await;
    let answer = server.ofrep("flag", "origin: https://a.example\r\nx-who: bob\r\n", "").await;
    assert!(answer.contains(r#""variant":"none""#), "{answer}");
    assert!(!answer.contains("access-control-allow-origin"), "{answer}");
}

/// Over its option and its variable, on the ports of evaluation and synchronization.
#[tokio::test]
async fn clients_show_a_certificate() {
    let (files, certificates) = (files(), Certificates::new());
    let [cert, key, ca, client_cert, client_key] = [
        certificates.server_cert(),
        certificates.server_key(),
        certificates.ca(),
        certificates.client_cert(),
        certificates.client_key(),
    ]
    .map(|path| path.to_str().unwrap().to_owned());
    let pair = [A, "-c", &cert, "-k", &key];
    for (args, environment) in [
        ([&pair[..], &["--client-ca-path", &ca]].concat(), &[][..]),
        (pair.to_vec(), &[("FLAGSTAFF_CLIENT_CA_PATH", &*ca)]),
    ] {
        let server = Started::new(&files, &args, environment).await;
        for (service, in_process) in [("evaluation", None), ("sync", Some("--in-process"))] {
            let port = server.port(service).to_string();
            let mut ask = vec!["eval", "other", "--port", &port, "--tls", "--cert-path", &ca];
            ask.extend(["--deadline-ms", "10000"]);
            ask.extend(in_process);
            let without = run(&ask).await;
            assert_eq!(without.code, Some(3), "{without:?}");
            ask.extend(["--client-cert-path", &client_cert, "--client-key-path", &client_key]);
            let with = run(&ask).await;
            assert!(with.code == Some(0) && with.out.starts_with("other = \"a\"\n"), "{with:?}");
        }
    }
    // An empty path, or missing TLS, does not admit clients.
    for (args, environment) in [
        (&[A, "--client-ca-path", &ca][..], &[][..]),
        (&[A, "-c", &cert, "-k", &key, "--client-ca-path", ""], &[]),
        (&[A, "-c", "", "-k", "", "--client-ca-path", &ca], &[]),
        (&[A, "-c", &cert, "-k", &key], &[("FLAGSTAFF_CLIENT_CA_PATH", "")]),
        (&[A], &[("FLAGSTAFF_CLIENT_CA_PATH", "")]),
    ] {
        let mut command = flagstaff(&[&["start", "-p=0", "-m=0", "-g=0", "-r=0"], args].concat());
        command.current_dir(files.path()).envs(environment.iter().copied());
        let finished = finish(command).await;
        assert!(finished.code.is_some_and(|code| code != 0), "{finished:?}");
        assert!(finished.err.contains("client"), "{finished:?}");
    }
}
