//! The options of `start` against those of `flagd start`, one by one.

use clap::{Args as _, Command, FromArgMatches as _, builder::Resettable};
use flagstaff::server::Server;

use super::Args;
use crate::start::builder;

/// Long and short form, variable, default, and another value.
type Row = (&'static str, Option<char>, Option<&'static str>, Option<&'static str>, &'static str);

const OPTIONS: &[Row] = &[
    ("port", Some('p'), Some("FLAGD_PORT"), Some("8013"), "1"),
    ("management-port", Some('m'), Some("FLAGD_MANAGEMENT_PORT"), Some("8014"), "1"),
    ("sync-port", Some('g'), Some("FLAGD_SYNC_PORT"), Some("8015"), "1"),
    ("ofrep-port", Some('r'), Some("FLAGD_OFREP_PORT"), Some("8016"), "1"),
    ("socket-path", Some('d'), Some("FLAGD_SOCKET_PATH"), None, "a"),
    ("sync-socket-path", Some('e'), Some("FLAGD_SYNC_SOCKET_PATH"), None, "a"),
    ("sources", Some('s'), Some("FLAGD_SOURCES"), None, "[]"),
    ("server-cert-path", Some('c'), Some("FLAGD_SERVER_CERT_PATH"), None, "a"),
    ("server-key-path", Some('k'), Some("FLAGD_SERVER_KEY_PATH"), None, "a"),
    ("max-request-body", Some('B'), Some("FLAGD_MAX_REQUEST_BODY"), Some("1000000"), "1"),
    ("max-request-header", Some('R'), Some("FLAGD_MAX_REQUEST_HEADER"), Some("1000000"), "1"),
    ("stream-deadline", None, Some("FLAGD_STREAM_DEADLINE"), Some("0"), "1m"),
    ("disable-sync-metadata", None, Some("FLAGD_DISABLE_SYNC_METADATA"), Some("false"), "true"),
    // flagd's default is 30s.
    ("keep-alive-min-time", None, Some("FLAGD_KEEP_ALIVE_MIN_TIME"), None, "1s"),
    (
        "keep-alive-permit-without-stream",
        None,
        Some("FLAGD_KEEP_ALIVE_PERMIT_WITHOUT_STREAM"),
        Some("true"),
        "false",
    ),
    ("log-format", Some('z'), Some("FLAGD_LOG_FORMAT"), Some("console"), "json"),
    ("debug", Some('x'), Some("FLAGD_DEBUG"), Some("false"), "true"),
    // clap does not read their variables: see `with_environment`.
    ("uri", Some('f'), None, None, "file:a"),
    ("cors-origin", Some('C'), None, None, "*"),
    ("context-value", Some('X'), None, None, "a=b"),
    ("context-from-header", Some('H'), None, None, "a=b"),
    // Not supported, and rejected with a reason.
    ("metrics-exporter", Some('t'), Some("FLAGD_METRICS_EXPORTER"), None, "otel"),
    ("otel-collector-uri", Some('o'), Some("FLAGD_OTEL_COLLECTOR_URI"), None, "a"),
    ("otel-ca-path", Some('A'), Some("FLAGD_OTEL_CA_PATH"), None, "a"),
    ("otel-cert-path", Some('D'), Some("FLAGD_OTEL_CERT_PATH"), None, "a"),
    ("otel-key-path", Some('K'), Some("FLAGD_OTEL_KEY_PATH"), None, "a"),
    ("otel-reload-interval", Some('I'), Some("FLAGD_OTEL_RELOAD_INTERVAL"), None, "1h"),
    ("config", None, None, None, "a"),
    // Not in flagd.
    ("host", None, Some("FLAGSTAFF_HOST"), Some("127.0.0.1"), "0.0.0.0"),
    ("client-ca-path", None, Some("FLAGSTAFF_CLIENT_CA_PATH"), None, "a"),
    ("default-flag-set", None, Some("FLAGSTAFF_DEFAULT_FLAG_SET"), None, "shop"),
    ("bucketing", None, Some("FLAGD_BUCKETING"), Some("string"), "cbor"),
    ("facts", None, Some("FLAGSTAFF_FACTS"), None, "https://facts.internal"),
    ("facts-token-file", None, Some("FLAGSTAFF_FACTS_TOKEN_FILE"), None, "a"),
    ("facts-prefix", None, Some("FLAGSTAFF_FACTS_PREFIX"), None, "a"),
];

fn command() -> Command {
    Args::augment_args(Command::new("start"))
}

/// Parses options without the variables of the environment that the tests run in.
fn parse(args: &[&str]) -> Args {
    let command = command().mut_args(|arg| arg.env(Resettable::Reset));
    let args = ["start"].iter().chain(args);
    let matches = command.try_get_matches_from(args).expect("they are right");
    Args::from_arg_matches(&matches).expect("they are right")
}

#[test]
fn options_have_the_names_variables_and_defaults_of_flagd() {
    let command = command();
    let mut found: Vec<_> = command
        .get_arguments()
        .map(|arg| {
            let default = arg.get_default_values().first().and_then(|value| value.to_str());
            let variable = arg.get_env().and_then(|name| name.to_str());
            (arg.get_long().unwrap_or_default(), arg.get_short(), variable, default)
        })
        .collect();
    let mut expected: Vec<_> = OPTIONS
        .iter()
        .map(|&(long, short, variable, default, _)| (long, short, variable, default))
        .collect();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn each_form_of_an_option_takes_its_value() {
    let usual = format!("{:?}", parse(&[]));
    for (long, short, _, _, value) in OPTIONS {
        // Some options require others.
        let others: &[&str] = match *long {
            "server-cert-path" => &["--server-key-path=other"],
            "server-key-path" => &["--server-cert-path=other"],
            "facts-token-file" | "facts-prefix" => &["--facts=http://other"],
            "client-ca-path" => &["--server-cert-path=other", "--server-key-path=other"],
            _ => &[],
        };
        let parsed = |option: String| format!("{:?}", parse(&[others, &[&*option]].concat()));
        let usual =
            if others.is_empty() { usual.clone() } else { parsed(format!("--{long}=another")) };
        let by_long = parsed(format!("--{long}={value}"));
        assert_ne!(by_long, usual, "--{long}");
        if let Some(short) = short {
            assert_eq!(parsed(format!("-{short}={value}")), by_long, "-{short}");
        }
    }
}

#[test]
fn switches_need_no_value() {
    let args = parse(&["-x", "--disable-sync-metadata", "--keep-alive-permit-without-stream"]);
    assert!(args.debug && args.disable_sync_metadata && args.keep_alive_permit_without_stream);
}

#[test]
fn it_listens_where_the_library_does() {
    let ours = format!("{:?}", builder(&parse(&[])));
    assert_eq!(ours, format!("{:?}", Server::builder()));
    for port in ["127.0.0.1:8013", "127.0.0.1:8014", "127.0.0.1:8015", "127.0.0.1:8016"] {
        assert!(ours.contains(port), "no {port} in {ours}");
    }
}

#[test]
fn sockets_take_the_place_of_ports() {
    let shown = format!("{:?}", builder(&parse(&["-d=/a", "-e=/b"])));
    for (socket, port) in [("\"/a\"", "8013"), ("\"/b\"", "8015")] {
        assert!(shown.contains(socket) && !shown.contains(port), "{shown}");
    }
}

#[test]
fn origins_come_from_the_option_or_else_the_variable() {
    let origins = |args: &[&str]| {
        let lookup = |name: &str| (name == "FLAGD_CORS_ORIGIN").then(|| "https://a  b".to_owned());
        parse(args).with_environment(lookup).expect("they are right").cors_origins
    };
    assert_eq!(origins(&[]), ["https://a", "b"]);
    assert_eq!(origins(&["-C=c,d"]), ["c", "d"]);
    // A template may leave the option empty.
    assert!(origins(&["-C="]).is_empty());
}
