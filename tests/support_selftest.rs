//! Proves that `support` and the reader of conformance features do what the other tests rely on.
// Helpers may panic like tests.
#![allow(clippy::unwrap_used)]

#[path = "conformance/gherkin.rs"]
mod gherkin;
mod support;

use std::{error::Error, fs, pin::pin, time::Duration};

use serde_json::json;
use support::{
    certs::Certificates,
    clock::Clock,
    json::from_struct,
    ports::local,
    proto::{V1, V2, connect, v1, v2},
    proxy::authority_proxy::AuthorityProxy,
    proxy::gate::TcpGate,
    scripted::{Flag, Method, ScriptedServer, StreamMode, Version, Versions},
    servers::raw::{PlainHttp, SilentPeer, closed_port},
    wait::{bounded, no_sooner},
};
use tonic::{
    Code, Status,
    transport::{Certificate, ClientTlsConfig, Endpoint, Identity, Uri},
};

fn boolean(key: &str) -> v2::ResolveBooleanRequest {
    v2::ResolveBooleanRequest { flag_key: key.to_owned(), context: None }
}

fn int(key: &str) -> v2::ResolveIntRequest {
    v2::ResolveIntRequest { flag_key: key.to_owned(), context: None }
}

#[tokio::test]
async fn the_scripted_server_responds_as_flagd_does() {
    let server = ScriptedServer::start();
    server.set("on", Flag::new(true).variant("yes").metadata(json!({ "a": 1 })));
    server.set("half", 1.5);
    server.set("off", Flag::disabled());
    server.set("none", Flag::no_default());
    let channel = connect(server.uri()).await;
    let (mut one, mut two) = (V1::new(channel.clone()), V2::new(channel));

    let answer = two.resolve_boolean(boolean("on")).await.unwrap().into_inner();
    assert_eq!((answer.value, answer.variant.as_deref()), (Some(true), Some("yes")));
    assert_eq!(answer.reason, "STATIC");
    assert_eq!(from_struct(&answer.metadata.unwrap()), json!({ "a": 1 }));

    let answer = two.resolve_int(int("half")).await.unwrap().into_inner();
    assert_eq!(answer.value, Some(1));
    for key in ["off", "none"] {
        let answer = two.resolve_boolean(boolean(key)).await.unwrap().into_inner();
        assert_eq!((answer.value, answer.variant), (None, None));
    }

    let status = two.resolve_int(int("on")).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::InvalidArgument, "Type mismatch error"));
    let status = two.resolve_int(int("missing")).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::NotFound, "Flag not found"));

    let request = |key: &str| v1::ResolveBooleanRequest { flag_key: key.to_owned(), context: None };
    let answer = one.resolve_boolean(request("off")).await.unwrap().into_inner();
    assert_eq!((answer.value, answer.reason.as_str()), (false, "DISABLED"));
    let status = one.resolve_boolean(request("none")).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    let all = one.resolve_all(v1::ResolveAllRequest { context: None }).await.unwrap().into_inner();
    let value = all.flags["half"].value.clone();
    assert_eq!(value, Some(v1::any_flag::Value::DoubleValue(1.5)));

    let seen = server.observed();
    assert_eq!(seen.count(Version::V2, Method::Boolean), 3);
    assert_eq!(seen.unary(), 9);
    assert_eq!(seen.connections.open, 1);
}

#[tokio::test]
async fn the_log_has_headers_authority_and_context() {
    let server = ScriptedServer::start();
    server.set("on", true);
    let context =
        support::json::to_struct(&json!({ "targetingKey": "u", "n": { "a": [1, true] } }));
    let message = v2::ResolveBooleanRequest { flag_key: "on".to_owned(), context: Some(context) };
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert("flagd-selector", "flagSetId=a".parse().unwrap());
    request.set_timeout(Duration::from_secs(9));
    V2::new(connect(server.uri()).await).resolve_boolean(request).await.unwrap();

    let call = &server.calls()[0];
    assert_eq!(call.header("flagd-selector"), Some("flagSetId=a"));
    assert_eq!(call.header("grpc-timeout"), Some("9000000u"));
    assert_eq!(call.authority.as_ref().unwrap().port_u16(), Some(server.port()));
    assert_eq!(call.context_json(), json!({ "targetingKey": "u", "n": { "a": [1, true] } }));
}

#[tokio::test]
async fn a_gated_response_is_computed_on_arrival() {
    let server = ScriptedServer::start();
    server.set("on", true);
    let gate = server.gate("on");
    let mut client = V2::new(connect(server.uri()).await);
    let call = tokio::spawn(async move { client.resolve_boolean(boolean("on")).await });
    gate.wait_for(1).await;
    server.set("on", false);
    gate.release_one();
    let answer = bounded("the answer", call).await.unwrap().unwrap();
    assert_eq!(answer.into_inner().value, Some(true));
    assert_eq!(gate.waiting(), 0);
}

#[tokio::test]
async fn streams_follow_the_script() {
    let server = ScriptedServer::start();
    let mut client = V2::new(connect(server.uri()).await);
    let open = async |client: &mut V2| client.event_stream(v2::EventStreamRequest {}).await;

    let mut stream = open(&mut client).await.unwrap().into_inner();
    let ready = bounded("ready", stream.message()).await.unwrap().unwrap();
    assert_eq!(ready.r#type, "provider_ready");
    assert_eq!(server.change(&["a"]), 1);
    let change = bounded("the change", stream.message()).await.unwrap().unwrap();
    let data = from_struct(&change.data.unwrap());
    assert_eq!(data, json!({ "flags": { "a": { "type": "update" } } }));

    server.end_streams(Status::unavailable("gone"));
    let status = bounded("the end", stream.message()).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "gone"));

    let stream = open(&mut client).await.unwrap();
    server.wait_for_streams(1).await;
    drop(stream);
    server.wait_for_streams(0).await;

    let modes = [StreamMode::Fail(Status::permission_denied("no")), StreamMode::ReadyThenClose];
    server.next_streams(modes);
    assert_eq!(open(&mut client).await.unwrap_err().code(), Code::PermissionDenied);
    let mut stream = open(&mut client).await.unwrap().into_inner();
    assert!(bounded("ready", stream.message()).await.unwrap().is_some());
    assert!(bounded("the end", stream.message()).await.unwrap().is_none());
    assert_eq!(server.observed().streams_opened(), 4);
}

#[tokio::test]
async fn a_server_stops_hard_or_gently_and_starts_again() {
    let server = ScriptedServer::start();
    server.set("on", true);
    let mut client = V2::new(connect(server.uri()).await);
    let mut stream = client.event_stream(v2::EventStreamRequest {}).await.unwrap().into_inner();
    bounded("ready", stream.message()).await.unwrap().unwrap();
    server.stop();
    bounded("the end", stream.message()).await.unwrap_err();
    assert_eq!(client.resolve_boolean(boolean("on")).await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(server.observed().connections.open, 0);

    server.restart();
    client.resolve_boolean(boolean("on")).await.unwrap();
    let mut stream = client.event_stream(v2::EventStreamRequest {}).await.unwrap().into_inner();
    bounded("ready", stream.message()).await.unwrap().unwrap();
    server.shutdown().await;
    assert!(bounded("the end", stream.message()).await.unwrap().is_none());
    assert_eq!(server.observed().connections.accepted, 2);
}

#[tokio::test]
async fn a_missing_version_is_a_plain_404() {
    let server = ScriptedServer::builder().versions(Versions::V1).start();
    let status = V2::new(connect(server.uri()).await).resolve_boolean(boolean("on")).await;
    assert!(status.unwrap_err().message().contains("404"));
    assert_eq!(server.observed().unary(), 0);
}

#[tokio::test]
async fn a_server_listens_on_a_unix_socket() {
    let directory = tempfile::tempdir().unwrap();
    let server = ScriptedServer::builder().socket(&directory.path().join("flagd.sock")).start();
    server.set("on", true);
    let mut client = V2::new(connect(server.uri()).await);
    client.resolve_boolean(boolean("on")).await.unwrap();
    server.restart();
    let mut client = V2::new(connect(server.uri()).await);
    client.resolve_boolean(boolean("on")).await.unwrap();
}

async fn ready(client: &mut V2) -> tonic::Streaming<v2::EventStreamResponse> {
    let stream = bounded("a stream", client.event_stream(v2::EventStreamRequest {})).await;
    let mut stream = stream.unwrap().into_inner();
    let first = bounded("ready", stream.message()).await.unwrap().unwrap();
    assert_eq!(first.r#type, "provider_ready");
    stream
}

#[tokio::test]
async fn a_gate_cuts_closes_and_opens() {
    let server = ScriptedServer::start();
    server.set("on", true);
    let gate = TcpGate::to_port(server.port());
    let mut client = V2::new(connect(gate.uri()).await);
    let mut stream = ready(&mut client).await;
    assert_eq!(gate.connections().open, 1);

    gate.cut();
    bounded("the end", stream.message()).await.unwrap_err();
    let mut stream = ready(&mut client).await;
    assert_eq!(gate.connections().accepted, 2);

    gate.close();
    assert_eq!(gate.connections().open, 0);
    bounded("the end", stream.message()).await.unwrap_err();
    let status = client.resolve_boolean(boolean("on")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);

    gate.open();
    client.resolve_boolean(boolean("on")).await.unwrap();
    gate.delay(Duration::from_millis(50));
    let delayed = client.resolve_boolean(boolean("on"));
    no_sooner("both delays", Duration::from_millis(100), delayed).await.unwrap();
}

#[tokio::test]
async fn a_gate_swallows() {
    let server = ScriptedServer::start();
    server.set("on", true);
    let gate = TcpGate::to_port(server.port());
    let mut client = V2::new(connect(gate.uri()).await);
    let mut stream = ready(&mut client).await;

    gate.swallow();
    let mut request = tonic::Request::new(boolean("on"));
    request.set_timeout(Duration::from_millis(200));
    client.resolve_boolean(request).await.unwrap_err();
    server.send("keep_alive", None);
    server.stop();
    Clock::still_waits("the gate", pin!(stream.message())).await;
    assert_eq!(gate.connections().open, 1);

    server.restart();
    gate.open();
    V2::new(connect(gate.uri()).await).resolve_boolean(boolean("on")).await.unwrap();
    Clock::still_waits("another connection", pin!(stream.message())).await;
    drop((stream, client));
    gate.wait_until("the deaf connection to go", |seen| seen.open == 0).await;
}

#[tokio::test]
async fn the_proxy_routes_on_the_authority() {
    let server = ScriptedServer::start();
    server.set("on", true);
    let proxy = AuthorityProxy::start([("rpc.service", local(server.port()))]);
    let through = async |authority: &'static str| {
        let uri = format!("http://127.0.0.1:{}", proxy.port());
        let endpoint = Endpoint::from_shared(uri).unwrap();
        let endpoint = endpoint.origin(Uri::from_static(authority));
        V2::new(endpoint.connect().await.unwrap())
    };

    let mut client = through("http://rpc.service").await;
    client.resolve_boolean(boolean("on")).await.unwrap();
    let status = client.resolve_boolean(boolean("missing")).await.unwrap_err();
    assert_eq!(status.message(), "Flag not found");
    let mut stream = ready(&mut client).await;
    server.change(&["on"]);
    bounded("the change", stream.message()).await.unwrap().unwrap();
    drop(stream);
    server.wait_for_streams(0).await;

    let status = through("http://other").await.resolve_boolean(boolean("on")).await.unwrap_err();
    assert!(status.message().contains("404"), "{status}");
}

#[tokio::test]
async fn clients_that_trust_the_certificate_are_served() {
    let certificates = Certificates::new();
    let read = |path| std::fs::read(path).unwrap();
    let trust = |ca| ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(ca)));
    let dial = async |server: &ScriptedServer, tls: ClientTlsConfig| {
        let endpoint = Endpoint::from_shared(server.uri()).unwrap().tls_config(tls).unwrap();
        let channel = endpoint.connect().await?;
        V2::new(channel).resolve_boolean(boolean("on")).await.map_err(Box::<dyn Error>::from)
    };

    let server = ScriptedServer::builder().tls(certificates.server_config()).start();
    server.set("on", true);
    dial(&server, trust(certificates.ca())).await.unwrap();
    dial(&server, trust(Certificates::new().ca())).await.unwrap_err();

    server.set_tls(certificates.mutual_server_config());
    server.restart();
    dial(&server, trust(certificates.ca())).await.unwrap_err();
    let identity =
        Identity::from_pem(read(certificates.client_cert()), read(certificates.client_key()));
    dial(&server, trust(certificates.ca()).identity(identity)).await.unwrap();

    server.set_tls(certificates.self_signed_server_config());
    server.restart();
    let error = dial(&server, trust(certificates.self_signed_cert())).await.unwrap_err();
    assert!(format!("{error:?}").contains("CaUsedAsEndEntity"), "{error:?}");
}

#[tokio::test]
async fn raw_peers_respond_404_say_nothing_or_do_not_listen() {
    let plain = PlainHttp::start(404);
    let mut client = V2::new(connect(plain.uri()).await);
    let status = client.resolve_boolean(boolean("on")).await.unwrap_err();
    assert!(status.message().contains("404"), "{status}");
    plain.set_status(503);
    let status = client.resolve_boolean(boolean("on")).await.unwrap_err();
    assert!(status.message().contains("503"), "{status}");

    let silent = SilentPeer::start();
    let mut client = V2::new(connect(silent.uri()).await);
    let mut request = tonic::Request::new(boolean("on"));
    request.set_timeout(Duration::from_millis(200));
    client.resolve_boolean(request).await.unwrap_err();
    silent.wait_until("one connection", |seen| seen.open == 1).await;
    drop(client);
    silent.wait_until("no connection", |seen| seen.open == 0).await;

    let uri = format!("http://127.0.0.1:{}", closed_port());
    Endpoint::from_shared(uri).unwrap().connect().await.unwrap_err();
}

/// "`\n`, `\|` and `\\`": all other backslashes stand for themselves
/// (<https://cucumber.io/docs/gherkin/reference/#table-cell-escaping>).
#[test]
fn features_hold_backslashes() {
    const FEATURE: &str = r#"
Feature: backslashes
  Scenario Outline: row
    Given a key "<key>" and \u0041
      """
      | a\u |
      """
    And a table
      | cell  |
      | <key> |
    Examples:
      | key          |
      | \u0041       |
      | \u           |
      | x\           |
      | C:\new\\name |
      | a\|b         |
"#;
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("more")).unwrap();
    fs::write(folder.path().join("more/backslashes.feature"), FEATURE).unwrap();
    fs::write(folder.path().join("README.md"), "no feature").unwrap();
    let [feature] = <[_; 1]>::try_from(gherkin::read(folder.path()).unwrap()).unwrap();
    let keys = [r"\u0041", r"\u", r"x\", "C:\new\\name", "a|b"];
    assert_eq!(feature.scenarios.len(), keys.len());
    for (scenario, key) in feature.scenarios.iter().zip(keys) {
        let [step, table] = &scenario.steps[..] else { panic!("{scenario:?}") };
        assert_eq!(step.value, format!(r#"a key "{key}" and \u0041"#));
        assert_eq!(step.docstring.as_deref().map(str::trim), Some(r"| a\u |"));
        assert_eq!(table.table.as_ref().unwrap().rows, [["cell"], [key]]);
    }
    fs::write(folder.path().join("broken.feature"), "Scenario: of no feature\n").unwrap();
    let error = gherkin::read(folder.path()).unwrap_err();
    assert!(error.contains("broken.feature"), "{error}");
}
