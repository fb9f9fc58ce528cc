//! Host, port, target URI and socket path are one choice.

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex},
};

use flagstaff::{
    FlagdOptions,
    flagd::{FlagdOptionsBuilder, Resolver},
};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use super::{build, from_variables, invalid};

const ALL: [(&str, &str); 5] = [
    ("FLAGD_HOST", "host.env"),
    ("FLAGD_PORT", "1"),
    ("FLAGD_SYNC_PORT", "2"),
    ("FLAGD_TARGET_URI", "target.env:3"),
    ("FLAGD_SOCKET_PATH", "/env.sock"),
];

fn address(options: &FlagdOptions) -> (&str, u16, Option<&str>, Option<&str>) {
    let socket = options.socket_path().and_then(|path| path.to_str());
    (options.host(), options.port(), options.target_uri(), socket)
}

#[test]
fn all_four_come_from_the_environment_together() {
    let options = from_variables(&ALL).unwrap();
    assert_eq!(address(&options), ("host.env", 1, Some("target.env:3"), Some("/env.sock")));
}

#[test]
fn a_program_that_sets_one_takes_none_of_the_others_from_the_environment() {
    let builder = FlagdOptions::builder;
    for (set, expected) in [
        (builder().host("set"), ("set", 8013, None, None)),
        (builder().port(9), ("localhost", 9, None, None)),
        (builder().target_uri("set:9"), ("localhost", 8013, Some("set:9"), None)),
        (builder().socket_path("/set"), ("localhost", 8013, None, Some("/set"))),
    ] {
        assert_eq!(address(&build(set, &ALL).unwrap()), expected);
    }
}

#[test]
fn overridden_variables_are_not_checked() {
    let variables = [("FLAGD_PORT", "no port"), ("FLAGD_HOST", "two words")];
    assert_eq!(build(FlagdOptions::builder().host("set"), &variables).unwrap().port(), 8013);
}

#[test]
fn other_options_come_from_the_environment_all_the_same() {
    let variables = [("FLAGD_TLS", "true"), ("FLAGD_DEFAULT_AUTHORITY", "name")];
    let options = build(FlagdOptions::builder().host("set"), &variables).unwrap();
    assert!(options.tls());
    assert_eq!(options.authority(), Some("name"));
}

fn in_process() -> FlagdOptionsBuilder {
    FlagdOptions::builder().resolver(Resolver::InProcess)
}

#[test]
fn evaluation_in_process_has_its_own_port() {
    let both = [("FLAGD_SYNC_PORT", "2"), ("FLAGD_PORT", "1")];
    for (variables, port) in [
        (&both[..0], 8015),
        (&both[..1], 2),
        (&both[1..], 1),
        (&both[..], 2),
        (&[("FLAGD_SYNC_PORT", ""), ("FLAGD_PORT", "1")], 1),
    ] {
        assert_eq!(build(in_process(), variables).unwrap().port(), port, "{variables:?}");
        let by_variable = [&[("FLAGD_RESOLVER", "In-Process")], variables].concat();
        assert_eq!(from_variables(&by_variable).unwrap().port(), port, "{variables:?}");
    }
    assert_eq!(build(in_process().port(9), &both).unwrap().port(), 9);
    assert_eq!(build(in_process().host("set"), &both).unwrap().port(), 8015);
}

#[test]
fn other_resolvers_do_not_read_the_port_of_evaluation_in_process() {
    for resolver in ["rpc", "file"] {
        let variables = [
            ("FLAGD_RESOLVER", resolver),
            ("FLAGD_SYNC_PORT", "no port"),
            ("FLAGD_OFFLINE_FLAG_SOURCE_PATH", "/flags.json"),
        ];
        assert_eq!(from_variables(&variables).unwrap().port(), 8013, "{resolver}");
    }
}

#[test]
fn a_malformed_port_is_an_error_of_the_variable_it_came_from() {
    let result = build(in_process(), &[("FLAGD_SYNC_PORT", "no port"), ("FLAGD_PORT", "1")]);
    assert!(invalid(result, "port", "FLAGD_SYNC_PORT").contains("`no port`"));
}

#[test]
fn what_kubernetes_injects_for_a_service_is_ignored_with_a_warning() {
    let injected = "tcp://10.0.0.1:8013";
    // Registers the warning with `tracing`: if another test did so while the subscriber is set, the
    // warning would be lost.
    build(FlagdOptions::builder(), &[("FLAGD_PORT", injected)]).unwrap();
    for (builder, variable, port) in [
        (FlagdOptions::builder(), "FLAGD_PORT", 8013),
        (in_process(), "FLAGD_PORT", 8015),
        (in_process(), "FLAGD_SYNC_PORT", 8015),
    ] {
        let warnings = Warnings::default();
        let options = tracing::subscriber::with_default(warnings.clone(), || {
            build(builder, &[(variable, injected)]).unwrap()
        });
        assert_eq!(options.port(), port, "{variable}");
        let warnings = warnings.0.lock().unwrap();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains(variable) && warnings[0].contains(injected), "{warnings:?}");
    }
}

#[test]
fn what_kubernetes_injects_for_one_port_leaves_the_other() {
    let variables = [("FLAGD_SYNC_PORT", "tcp://10.0.0.1:8015"), ("FLAGD_PORT", "1")];
    assert_eq!(build(in_process(), &variables).unwrap().port(), 1);
}

/// Keeps the message of each warning.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().unwrap().push(text.0);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0, "{field}={value:?} "); // writing to a String cannot fail
    }
}
