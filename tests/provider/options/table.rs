//! Every row of the table: default, variable, value set in the program, malformed values.

use std::fmt::Debug;
#[cfg(unix)]
use std::{ffi::OsString, os::unix::ffi::OsStringExt};

use flagstaff::{
    Bucketing, FlagdOptions,
    flagd::{CacheType, FlagdOptionsBuilder, OptionInfo, Resolver},
};
use std::time::Duration;

use super::{build, from_variables, invalid};

struct Case {
    name: &'static str,
    show: fn(&FlagdOptions) -> String,
    default: &'static str,
    /// Values of the variable, and the resulting options.
    given: &'static [(&'static str, &'static str)],
    /// Variables that this one needs beside it.
    beside: &'static [(&'static str, &'static str)],
    set: fn(FlagdOptionsBuilder) -> FlagdOptionsBuilder,
    set_value: &'static str,
    /// Empty where any string is accepted and checked only when it is used.
    malformed: &'static [&'static str],
}

fn show(value: impl Debug) -> String {
    format!("{value:?}")
}

/// Durations of a variable in milliseconds.
macro_rules! millis {
    ($name:literal, $option:ident, $default:literal, malformed $($more:literal),*) => {
        Case {
            name: $name,
            show: |o| show(o.$option()),
            default: $default,
            given: &[("250", "250ms"), (" 250 ", "250ms"), ("31536000000", "31536000s")],
            beside: &[],
            set: |b| b.$option(Duration::from_secs(7)),
            set_value: "7s",
            malformed: &["soon", "-1", "1.5", "10s", "99999999999999999999", "31536000001" $(, $more)*],
        }
    };
}

/// Strings without a default that are not checked when the options are built.
macro_rules! free {
    ($name:literal, $option:ident, beside $beside:expr, set $set:expr) => {
        Case {
            name: $name,
            show: |o| show(o.$option()),
            default: "None",
            given: &[("/there/is none", "Some(\"/there/is none\")")],
            beside: $beside,
            set: $set,
            set_value: "Some(\"/set\")",
            malformed: &[],
        }
    };
}

const CASES: &[Case] = &[
    Case {
        name: "resolver",
        show: |o| show(o.resolver()),
        default: "Rpc",
        given: &[
            ("rpc", "Rpc"),
            ("RPC", "Rpc"),
            ("in-process", "InProcess"),
            ("In-Process", "InProcess"),
        ],
        beside: &[],
        set: |b| b.resolver(Resolver::InProcess),
        set_value: "InProcess",
        malformed: &["remote", "in_process", "1"],
    },
    Case {
        name: "host",
        show: |o| show(o.host()),
        default: "\"localhost\"",
        given: &[("flags.internal", "\"flags.internal\""), ("::1", "\"::1\"")],
        beside: &[],
        set: |b| b.host("set"),
        set_value: "\"set\"",
        malformed: &["two words", "me@flags", "flags:8013", "http://flags"],
    },
    Case {
        name: "port",
        show: |o| show(o.port()),
        default: "8013",
        given: &[("1", "1"), ("65535", "65535")],
        beside: &[],
        set: |b| b.port(7),
        set_value: "7",
        malformed: &["0", "65536", "-1", "80.13", "http", "udp://10.0.0.1:8013"],
    },
    free!("targetUri", target_uri, beside & [], set | b | b.target_uri("/set")),
    Case {
        name: "tls",
        show: |o| show(o.tls()),
        default: "false",
        given: &[
            ("true", "true"),
            ("True", "true"),
            ("TRUE", "true"),
            ("1", "true"),
            ("false", "false"),
            ("False", "false"),
            ("0", "false"),
        ],
        beside: &[],
        set: |b| b.tls(false),
        set_value: "false",
        malformed: &["maybe", "2", "tru"],
    },
    free!("socketPath", socket_path, beside & [], set | b | b.socket_path("/set")),
    free!("certPath", cert_path, beside & [], set | b | b.cert_path("/set")),
    free!(
        "clientCertPath",
        client_cert_path,
        beside & [("FLAGD_CLIENT_KEY_PATH", "/key")],
        set | b | b.client_cert_path("/set")
    ),
    free!(
        "clientKeyPath",
        client_key_path,
        beside & [("FLAGD_CLIENT_CERT_PATH", "/cert")],
        set | b | b.client_key_path("/set")
    ),
    Case {
        name: "defaultAuthority",
        show: |o| show(o.authority()),
        default: "None",
        given: &[("flags", "Some(\"flags\")"), ("[::1]:9", "Some(\"[::1]:9\")")],
        beside: &[],
        set: |b| b.authority("set"),
        set_value: "Some(\"set\")",
        malformed: &["two words", "me@flags", "me@me:1", "flags:", "flags:65536", ":9", "a/b"],
    },
    Case {
        name: "headers",
        show: |o| show(o.headers().names().collect::<Vec<_>>()),
        default: "[]",
        given: &[
            ("authorization=Bearer a=b", r#"["authorization"]"#),
            (" a = 1 , b = , ", r#"["a", "b"]"#),
        ],
        beside: &[],
        set: |b| b.header("x", "1").header("y", "2"),
        set_value: r#"["x", "y"]"#,
        malformed: &[], // headers.rs: errors must not hold the value
    },
    Case {
        name: "selector",
        show: |o| show(o.selector()),
        default: "None",
        given: &[("flagSetId=a", "Some(\"flagSetId=a\")")],
        beside: &[],
        set: |b| b.selector("set"),
        set_value: "Some(\"set\")",
        malformed: &["flagSetId=früh", "a\nb"],
    },
    millis!("deadlineMs", deadline, "500ms", malformed),
    Case {
        name: "maxUnansweredCalls",
        show: |o| show(o.max_unanswered_calls()),
        default: "5",
        given: &[("0", "0"), ("12", "12")],
        beside: &[],
        set: |b| b.max_unanswered_calls(7),
        set_value: "7",
        malformed: &["-1", "1.5", "many", "99999999999"],
    },
    millis!("streamDeadlineMs", stream_deadline, "600s", malformed),
    millis!("streamIdleMs", stream_idle, "60s", malformed),
    millis!("keepAliveTime", keep_alive_time, "0ns", malformed),
    Case {
        name: "cache",
        show: |o| show(o.cache()),
        default: "Lru",
        given: &[("disabled", "Disabled"), ("Disabled", "Disabled"), ("LRU", "Lru")],
        beside: &[],
        set: |b| b.cache(CacheType::Disabled),
        set_value: "Disabled",
        malformed: &["mem", "true"],
    },
    Case {
        name: "maxCacheSize",
        show: |o| show(o.max_cache_size()),
        default: "1000",
        given: &[("0", "0"), ("5", "5")],
        beside: &[],
        set: |b| b.max_cache_size(7),
        set_value: "7",
        malformed: &["-1", "1.5", "many", "1k"],
    },
    Case {
        name: "maxEventStreamRetries",
        show: |o| show(o.max_event_stream_retries()),
        default: "Some(5)",
        given: &[
            ("0", "Some(0)"),
            ("7", "Some(7)"),
            ("-1", "None"),
            ("unlimited", "None"),
            ("Unlimited", "None"),
        ],
        beside: &[],
        set: |b| b.max_event_stream_retries(9),
        set_value: "Some(9)",
        malformed: &["-2", "1.5", "forever", "4294967296"],
    },
    millis!("retryBackoffMs", retry_backoff, "1s", malformed "0"),
    millis!("retryBackoffMaxMs", retry_backoff_max, "5s", malformed "0"),
    Case {
        name: "retryGracePeriod",
        show: |o| show(o.retry_grace_period()),
        default: "10s",
        given: &[("0", "0ns"), ("3", "3s"), ("31536000", "31536000s")],
        beside: &[],
        set: |b| b.retry_grace_period(Duration::from_secs(7)),
        set_value: "7s",
        malformed: &["soon", "-1", "1.5", "10s", "99999999999999999999", "31536001"],
    },
    Case {
        name: "providerId",
        show: |o| show(o.provider_id()),
        default: "None",
        given: &[("checkout", "Some(\"checkout\")")],
        beside: &[],
        set: |b| b.provider_id("set"),
        set_value: "Some(\"set\")",
        malformed: &[],
    },
    free!(
        "offlineFlagSourcePath",
        offline_flag_source_path,
        beside & [],
        set | b | b.offline_flag_source_path("/set")
    ),
    millis!("offlinePollIntervalMs", offline_poll_interval, "5s", malformed "0"),
    Case {
        name: "bucketing",
        show: |o| show(o.bucketing()),
        default: "String",
        given: &[("string", "String"), ("cbor", "Cbor"), ("CBOR", "Cbor")],
        beside: &[],
        set: |b| b.bucketing(Bucketing::Cbor),
        set_value: "Cbor",
        malformed: &["text", "percentages"],
    },
    Case {
        name: "fatalStatusCodes",
        show: |o| show(o.fatal_status_codes()),
        default: "[]",
        given: &[("UNAUTHENTICATED", "[\"UNAUTHENTICATED\"]"), ("A, B,", "[\"A\", \"B\"]")],
        beside: &[],
        set: |b| b.fatal_status_codes(["PERMISSION_DENIED"]),
        set_value: "[\"PERMISSION_DENIED\"]",
        malformed: &[],
    },
];

/// Each case beside its row.
fn rows() -> impl Iterator<Item = (&'static OptionInfo, &'static Case)> {
    FlagdOptions::TABLE.iter().zip(CASES)
}

#[test]
fn every_row_has_a_case() {
    let rows: Vec<_> = FlagdOptions::TABLE.iter().map(|row| row.name).collect();
    let cases: Vec<_> = CASES.iter().map(|case| case.name).collect();
    assert_eq!(rows, cases);
}

#[test]
fn names_and_variables_are_unique_and_rows_are_complete() {
    for (index, row) in FlagdOptions::TABLE.iter().enumerate() {
        for other in &FlagdOptions::TABLE[..index] {
            assert_ne!(row.name, other.name);
            assert_ne!(row.variable, other.variable);
        }
        assert!(row.variable.starts_with("FLAGD_"), "{}", row.name);
        assert!(!row.kind.is_empty(), "{}", row.name);
        assert!(row.meaning.ends_with('.') && !row.meaning.starts_with(' '), "{}", row.meaning);
    }
}

#[test]
fn without_anything_set_each_option_has_its_default() {
    let options = from_variables(&[]).unwrap();
    for (row, case) in rows() {
        assert_eq!((case.show)(&options), case.default, "{}", row.name);
    }
}

#[test]
fn the_default_in_the_table_is_the_default() {
    for (row, case) in rows().filter(|(row, _)| !row.default.is_empty()) {
        let options = from_variables(&[(row.variable, row.default)]).unwrap();
        assert_eq!((case.show)(&options), case.default, "{}", row.name);
    }
}

#[test]
fn a_variable_overrides_the_default() {
    for (row, case) in rows() {
        for (text, value) in case.given {
            let variables = [&[(row.variable, *text)], case.beside].concat();
            let options = from_variables(&variables).unwrap();
            assert_eq!((case.show)(&options), *value, "{}: `{text}`", row.variable);
        }
    }
}

#[test]
fn the_program_overrides_the_variable() {
    for (row, case) in rows() {
        let malformed = case.malformed.iter().copied();
        for text in malformed.chain(case.given.iter().map(|(text, _)| *text)) {
            let variables = [&[(row.variable, text)], case.beside].concat();
            let options = build((case.set)(FlagdOptions::builder()), &variables).unwrap();
            assert_eq!((case.show)(&options), case.set_value, "{}", row.name);
        }
    }
}

#[test]
fn an_empty_variable_is_not_set() {
    for (row, case) in rows() {
        for text in ["", " \t"] {
            let options = from_variables(&[(row.variable, text)]).unwrap();
            assert_eq!((case.show)(&options), case.default, "{}", row.variable);
        }
    }
}

#[test]
fn a_malformed_value_is_an_error_with_option_variable_and_value() {
    for (row, case) in rows() {
        for value in case.malformed {
            let text = invalid(from_variables(&[(row.variable, value)]), row.name, row.variable);
            let shown = value.replace('\n', r"\n");
            assert!(text.contains(&format!("`{shown}`")), "{text}");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_value_that_is_not_unicode_is_an_error() {
    for row in FlagdOptions::TABLE {
        let value =
            |name: &str| (name == row.variable).then(|| OsString::from_vec(b"a\xff".into()));
        let text = invalid(FlagdOptions::builder().build_with_env(value), row.name, row.variable);
        assert_eq!(text.contains("`a\u{fffd}`"), row.name != "headers", "{text}");
    }
}

#[test]
fn a_limit_of_retries_is_a_number_an_option_or_none() {
    let retries =
        |builder: FlagdOptionsBuilder| build(builder, &[]).unwrap().max_event_stream_retries();
    assert_eq!(retries(FlagdOptions::builder().max_event_stream_retries(5)), Some(5));
    assert_eq!(retries(FlagdOptions::builder().max_event_stream_retries(Some(5))), Some(5));
    assert_eq!(retries(FlagdOptions::builder().max_event_stream_retries(None)), None);
}
