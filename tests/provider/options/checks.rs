//! What is rejected when the options are built, and what is checked later.

use std::time::Duration;

use flagstaff::{FlagdOptions, flagd::FlagdOptionsBuilder};

use super::{build, from_variables, invalid};

const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

type Set = fn(FlagdOptionsBuilder, Duration) -> FlagdOptionsBuilder;

/// The shortest duration that each accepts, in its unit.
const DURATIONS: [(&str, Set, Duration); 8] = [
    ("deadlineMs", FlagdOptionsBuilder::deadline, Duration::ZERO),
    ("streamDeadlineMs", FlagdOptionsBuilder::stream_deadline, Duration::ZERO),
    ("streamIdleMs", FlagdOptionsBuilder::stream_idle, Duration::ZERO),
    ("keepAliveTime", FlagdOptionsBuilder::keep_alive_time, Duration::ZERO),
    ("retryBackoffMs", FlagdOptionsBuilder::retry_backoff, Duration::from_millis(1)),
    ("retryBackoffMaxMs", FlagdOptionsBuilder::retry_backoff_max, Duration::from_millis(1)),
    ("retryGracePeriod", FlagdOptionsBuilder::retry_grace_period, Duration::ZERO),
    ("offlinePollIntervalMs", FlagdOptionsBuilder::offline_poll_interval, Duration::from_millis(1)),
];

fn variable(option: &str) -> &'static str {
    FlagdOptions::TABLE.iter().find(|row| row.name == option).expect(option).variable
}

#[test]
fn durations_that_the_program_sets_are_in_range() {
    for (option, set, shortest) in DURATIONS {
        for good in [shortest, YEAR] {
            build(set(FlagdOptions::builder(), good), &[]).expect(option);
        }
        let too_short = shortest.checked_sub(Duration::from_nanos(1));
        for bad in too_short.into_iter().chain([YEAR + Duration::from_nanos(1), Duration::MAX]) {
            invalid(build(set(FlagdOptions::builder(), bad), &[]), option, variable(option));
        }
    }
}

#[test]
fn every_option_of_a_time_is_checked() {
    let timed = FlagdOptions::TABLE
        .iter()
        .filter(|row| row.kind == "s" || row.kind == "ms" || row.kind.starts_with("ms,"));
    assert!(timed.map(|row| row.name).eq(DURATIONS.map(|(option, ..)| option)));
}

#[test]
fn addresses_that_the_program_sets_are_checked() {
    let builder = FlagdOptions::builder;
    for (set, option, value) in [
        (builder().port(0), "port", "`0`"),
        (builder().host(""), "host", "``"),
        (builder().host("two words"), "host", "`two words`"),
        (builder().authority("me@flags"), "defaultAuthority", "`me@flags`"),
        (builder().selector("früh"), "selector", "`früh`"),
    ] {
        let text = invalid(build(set, &[]), option, variable(option));
        assert!(text.contains(value), "{text}");
    }
}

#[test]
fn a_client_certificate_and_its_key_come_together() {
    let only_cert = [("FLAGD_CLIENT_CERT_PATH", "/cert")];
    let text = invalid(from_variables(&only_cert), "clientKeyPath", "FLAGD_CLIENT_KEY_PATH");
    assert!(text.contains("clientCertPath"), "{text}");
    let only_key = [("FLAGD_CLIENT_KEY_PATH", "/key")];
    let text = invalid(from_variables(&only_key), "clientCertPath", "FLAGD_CLIENT_CERT_PATH");
    assert!(text.contains("clientKeyPath"), "{text}");
    build(FlagdOptions::builder().client_cert_path("/cert"), &only_key).unwrap();
}

#[test]
fn what_only_shows_later_is_accepted() {
    let options = FlagdOptions::builder()
        .tls(true)
        .target_uri("http://no scheme of ours")
        .socket_path("/does/not/exist.sock")
        .cert_path("/does/not/exist.pem")
        .client_cert_path("/does/not/exist.pem")
        .client_key_path("/does/not/exist.pem")
        .fatal_status_codes(["NO_SUCH_CODE"]);
    let options = build(options, &[("FLAGD_RESOLVER", "in-process")]).unwrap();
    assert_eq!(options.target_uri(), Some("http://no scheme of ours"));
    assert_eq!(options.fatal_status_codes(), ["NO_SUCH_CODE"]);
}
