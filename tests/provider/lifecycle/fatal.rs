//! When the provider becomes fatal, and when it must not: docs/lifecycle.md, "States", and
//! OpenFeature specification 1.7.5.

use std::{fs, time::Duration};

use crate::support::{
    provider::{
        ALL_CHANGED, assert_contains, boolean, error, expect, expect_error, initialize, message,
        near, provider, started, swift, tasks, watched,
    },
    scripted::{ScriptedServer, StreamMode},
    servers::raw::{PlainHttp, closed_port},
    wait::{PATIENCE, eventually},
};
#[cfg(not(feature = "in-process"))]
use flagstaff::flagd::Resolver;
use flagstaff::{FlagdError, FlagdProvider, ProviderEvent, State, flagd::FlagdOptionsBuilder};
use open_feature::{
    EvaluationErrorCode,
    provider::{FeatureProvider, ProviderStatus},
};
use tonic::Status;

const NOT_READY: EvaluationErrorCode = EvaluationErrorCode::ProviderNotReady;

fn fatal_if(options: FlagdOptionsBuilder, codes: &[&str]) -> FlagdOptionsBuilder {
    options.fatal_status_codes(codes.iter().copied())
}

fn denied() -> Status {
    Status::permission_denied("no entry")
}

/// FATAL: `is_fatal()` is true, and evaluations are `PROVIDER_NOT_READY` with "fatal: ...".
async fn assert_fatal(provider: &FlagdProvider, cause: &[&str]) {
    assert_eq!((provider.state(), provider.is_fatal()), (State::Fatal, true));
    assert!(matches!(provider.status(), ProviderStatus::Error));
    let error = error(provider, "on").await;
    let text = message(&error, &NOT_READY);
    assert!(text.starts_with("fatal: "), "{text}");
    assert_contains(&text, cause);
}

/// No reconnection, and no call: nothing is left that could make one.
#[tokio::test]
async fn a_fatal_status_code_ends_all_attempts() {
    let before = tasks();
    let server = ScriptedServer::start();
    server.set("on", true);
    server.fail_all(denied());
    // Case does not matter, nor does the position in the list.
    let options = fatal_if(near(server.port()), &["UNAUTHENTICATED", "permission_denied"]);
    let provider = started(options).await;
    let mut events = provider.events();
    assert_fatal(&provider, &["PERMISSION_DENIED", "no entry", "127.0.0.1"]).await;
    let (text, fatal) = expect_error(&mut events).await;
    assert!(fatal && text.contains("no entry"), "{text}");

    eventually("the tasks to end", || tasks() == before).await;
    server.wait_until("the connection to end", |seen| seen.connections.open == 0).await;
    server.recover_all();
    initialize(&provider).await;
    assert_fatal(&provider, &["no entry"]).await;
    let seen = server.observed();
    assert_eq!((seen.streams_opened(), seen.unary(), seen.connections.accepted), (1, 0, 1));
    assert_eq!(tasks(), before);
}

/// The status may come in the headers, or in the trailers of a stream that opened.
#[tokio::test]
async fn a_fatal_status_code_counts_at_the_end_of_a_stream_that_was_never_ready() {
    let server = ScriptedServer::builder().streams(StreamMode::Silent).start();
    let provider = provider(fatal_if(near(server.port()), &["PERMISSION_DENIED"]));
    let ending = async {
        server.wait_for_streams(1).await;
        server.end_streams(denied());
    };
    tokio::join!(initialize(&provider), ending);
    assert_fatal(&provider, &["PERMISSION_DENIED: no entry"]).await;
}

/// What the transport makes of a closed port and of an HTTP error are status codes too.
#[tokio::test]
async fn fatal_status_codes_are_those_of_the_transport_too() {
    let provider = started(fatal_if(near(closed_port()), &["UNAVAILABLE"])).await;
    assert_fatal(&provider, &["refused"]).await;
    let missing = PlainHttp::start(404);
    let provider = started(fatal_if(near(missing.port()), &["UNIMPLEMENTED"])).await;
    assert_fatal(&provider, &["UNIMPLEMENTED", "404"]).await;
}

/// docs/lifecycle.md, "Transitions": only a status in `fatalStatusCodes` leads to FATAL.
#[tokio::test]
async fn other_status_codes_lead_to_error_and_reconnection() {
    for codes in [&[][..], &["UNAUTHENTICATED"]] {
        let server = ScriptedServer::start();
        server.fail_all(denied());
        let provider = started(fatal_if(near(server.port()), codes)).await;
        let mut events = provider.events();
        assert_eq!((provider.state(), provider.is_fatal()), (State::Error, false));
        let (text, fatal) = expect_error(&mut events).await;
        assert!(!fatal && text.contains("PERMISSION_DENIED: no entry"), "{text}");
        server.wait_until("attempts", |seen| seen.streams_opened() >= 4).await;
        server.recover_all();
        expect(&mut events, [ProviderEvent::Ready, ALL_CHANGED]).await;
    }
}

/// docs/lifecycle.md, "Transitions": a later attempt can be the fatal one.
#[tokio::test]
async fn a_provider_in_error_that_was_never_ready_can_become_fatal() {
    let server = ScriptedServer::start();
    server.next_streams([StreamMode::CloseAtOnce]);
    server.streams(StreamMode::Fail(denied()));
    let provider = provider(fatal_if(near(server.port()), &["PERMISSION_DENIED"]));
    let mut events = provider.events();
    initialize(&provider).await;
    assert!(!expect_error(&mut events).await.1, "a closed stream is not fatal");
    assert!(expect_error(&mut events).await.1, "the status is");
    assert_fatal(&provider, &["no entry"]).await;
    let error = provider.wait_ready(PATIENCE).await.unwrap_err();
    assert!(matches!(&error, FlagdError::Fatal { .. }), "{error:?}");
    assert_contains(&error.to_string(), &["fatal", "no entry"]);
    assert_eq!(server.observed().streams_opened(), 2);
}

/// docs/lifecycle.md, "Transitions": only one that was never ready does.
#[tokio::test]
async fn a_provider_that_was_ready_never_becomes_fatal() {
    let server = ScriptedServer::start();
    let options = fatal_if(near(server.port()), &["PERMISSION_DENIED"]);
    let (provider, mut events) = watched(options.retry_grace_period(Duration::ZERO)).await;
    server.fail_all(denied());
    server.end_streams(denied());
    assert!(!expect_error(&mut events).await.1);
    server.wait_until("attempts", |seen| seen.streams_opened() >= 4).await;
    assert_eq!((provider.state(), provider.is_fatal()), (State::Error, false));
    server.recover_all();
    expect(&mut events, [ProviderEvent::Ready, ALL_CHANGED]).await;
}

/// docs/options.md, "Invalid values": what can only be checked later makes the provider fatal when
/// it is initialized. The error names it.
#[tokio::test]
async fn what_only_makes_sense_later_is_fatal_at_initialization() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let text = path("text");
    fs::write(&text, "no certificate, no socket").unwrap();
    let near = || near(closed_port());
    #[allow(unused_mut)]
    let mut cases = vec![
        (
            fatal_if(near(), &["BOGUS"]),
            vec!["fatalStatusCodes", "FLAGD_FATAL_STATUS_CODES", "BOGUS"],
        ),
        (near().target_uri("http://flagd:8013"), vec!["targetUri", "http://flagd:8013"]),
        (near().target_uri("envoy://proxy:9"), vec!["FLAGD_TARGET_URI", "envoy://proxy:9"]),
        (swift().socket_path(&text), vec!["socketPath", "FLAGD_SOCKET_PATH", &text]),
        (swift().target_uri(format!("unix://{text}")), vec!["socket", &text]),
    ];
    #[cfg(not(feature = "in-process"))]
    cases.extend([
        (near().resolver(Resolver::InProcess), vec!["resolver", "FLAGD_RESOLVER", "`in-process`"]),
        (
            near().resolver(Resolver::File).offline_flag_source_path(&text),
            vec!["resolver", "FLAGD_RESOLVER", "`file`", "feature"],
        ),
    ]);
    #[cfg(not(feature = "tls"))]
    cases.push((near().tls(true), vec!["`tls`", "FLAGD_TLS", "built without TLS", "`tls-ring`"]));
    #[cfg(feature = "tls")]
    let missing = path("missing");
    #[cfg(feature = "tls")]
    cases.extend([
        (
            near().tls(true).cert_path(&missing),
            vec!["certPath", "FLAGD_SERVER_CERT_PATH", &missing],
        ),
        (near().tls(true).cert_path(&text), vec!["certPath", &text, "PEM"]),
        (
            near().tls(true).client_cert_path(&missing).client_key_path(&text),
            vec!["clientCertPath", "FLAGD_CLIENT_CERT_PATH", &missing],
        ),
    ]);
    for (options, named) in cases {
        let provider = started(options).await;
        assert_fatal(&provider, &named).await;
        assert!(expect_error(&mut provider.events()).await.1);
    }
}

/// A path that is not a socket is an error; one that does not exist yet is not.
#[tokio::test]
async fn a_socket_may_appear_later() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flagd.sock");
    let provider = started(swift().socket_path(&path)).await;
    assert_eq!((provider.state(), provider.is_fatal()), (State::Error, false));
    let error = error(&provider, "on").await;
    assert_contains(&message(&error, &NOT_READY), &[path.to_str().unwrap()]);
    let server = ScriptedServer::builder().socket(&path).start();
    server.set("on", true);
    provider.wait_ready(PATIENCE).await.unwrap();
    assert!(boolean(&provider, "on").await.unwrap().value);
}

/// docs/lifecycle.md, "Transitions": shutdown leads to NOT_READY from any state; so a program can
/// correct what was fatal and initialize again.
#[tokio::test]
async fn a_shutdown_ends_what_was_fatal() {
    let server = ScriptedServer::start();
    server.fail_all(denied());
    let provider = started(fatal_if(near(server.port()), &["PERMISSION_DENIED"])).await;
    assert!(provider.is_fatal());
    provider.shutdown().await;
    assert_eq!((provider.state(), provider.is_fatal()), (State::NotReady, false));
    let error = error(&provider, "on").await;
    assert_contains(&message(&error, &NOT_READY), &["shut down"]);
    server.recover_all();
    initialize(&provider).await;
    assert_eq!(provider.state(), State::Ready);
}
