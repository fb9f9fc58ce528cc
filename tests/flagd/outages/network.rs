//! What lies between the provider and flagd breaks, or chooses where to go.

use std::time::{Duration, Instant};

use flagstaff::{ProviderEvent, State};
use open_feature::{EvaluationErrorCode, EvaluationReason};

use crate::{
    subject::{Subject, flags, options, plain},
    support::{
        flagd::FlagdProcess,
        ports::local,
        proxy::authority_proxy::AuthorityProxy,
        proxy::gate::TcpGate,
        wait::{becomes_true, no_sooner},
    },
    trial::trials,
    witness::Witness,
};

trials![
    connections_are_cut,
    the_port_is_closed_and_opens,
    bytes_are_delayed,
    bytes_are_swallowed,
    an_authority_routes,
    a_proxy_loses_its_upstream,
    v1_is_remembered_for_the_connection_only,
];

async fn connections_are_cut() {
    let flagd = FlagdProcess::with(&flags("old")).watching().start().await.unwrap();
    let gate = TcpGate::to_port(flagd.port());
    let mut subject = Subject::ready(options().port(gate.port())).await;
    for round in 1..=3 {
        let (old, new) = (flagd_value(&flagd), format!("v{round}"));
        subject.cache("flag", &old).await;
        gate.close();
        assert_eq!(subject.state_event().await, ProviderEvent::Stale);
        assert_eq!(subject.text("flag").await.unwrap(), (old.clone(), EvaluationReason::Cached));
        // flagd sees the change while the provider is disconnected.
        flagd.write_flags(&flags(&new));
        let beside = Subject::ready(options().port(flagd.port())).await;
        beside.until("flag", &new).await;
        let witness = Witness::of(&subject.provider, "flag").await;
        gate.open();
        subject.recovered().await;
        let recovery = Instant::now();
        assert_eq!(subject.text("flag").await.unwrap().0, new, "at once: nothing is stale");
        witness.saw_no(&old, recovery).await;
        drop(beside);
    }
    gate.cut();
    assert_eq!(subject.state_event().await, ProviderEvent::Stale);
    subject.recovered().await;
    subject.shut_down().await;
}

fn flagd_value(flagd: &FlagdProcess) -> String {
    flagd.flags()["flags"]["flag"]["variants"]["v"].as_str().unwrap().to_owned()
}

async fn the_port_is_closed_and_opens() {
    let flagd = FlagdProcess::with(&flags("on")).start().await.unwrap();
    let gate = TcpGate::closed_to(local(flagd.port()));
    let mut subject = Subject::start(options().port(gate.port())).await;
    assert_eq!(subject.state(), State::Error);
    subject.error().await;
    gate.open();
    subject.recovered().await;
    subject.cache("flag", "on").await;
    subject.shut_down().await;
}

async fn bytes_are_delayed() {
    // Long enough that no call exceeds it on a busy machine.
    const DEADLINE: Duration = Duration::from_secs(3);
    let flagd = FlagdProcess::with(&flags("on")).start().await.unwrap();
    let gate = TcpGate::to_port(flagd.port());
    let mut subject = Subject::ready(options().port(gate.port()).deadline(DEADLINE)).await;
    gate.delay(DEADLINE / 10);
    let late = no_sooner("the delayed response", DEADLINE / 5, subject.text("other")).await;
    let error = late.unwrap_err();
    assert_eq!(error.code, EvaluationErrorCode::FlagNotFound, "late, and in time");

    gate.delay(DEADLINE);
    let error = subject.text("other").await.unwrap_err();
    assert_eq!(error.code, EvaluationErrorCode::General("GENERAL".to_owned()));
    assert_eq!(subject.state(), State::Ready);

    gate.open();
    becomes_true("an answer in time", async || {
        subject.text("other").await.is_err_and(|e| e.code == EvaluationErrorCode::FlagNotFound)
    })
    .await;
    assert_eq!(subject.events_so_far().await, []);
    subject.shut_down().await;
}

/// Nobody closes a connection. The loss is noticed at the deadline of the stream: its successor
/// does not open on the same connection, and a new connection is made.
async fn bytes_are_swallowed() {
    let flagd = FlagdProcess::with(&flags("old")).watching().start().await.unwrap();
    let gate = TcpGate::to_port(flagd.port());
    let options = options()
        .port(gate.port())
        .deadline(Duration::from_millis(300))
        .stream_deadline(Duration::from_secs(3));
    let mut subject = Subject::ready(options).await;
    subject.cache("flag", "old").await;
    let accepted = gate.connections().accepted;
    gate.swallow();
    let error = subject.text("other").await.unwrap_err();
    assert_eq!(error.code, EvaluationErrorCode::General("GENERAL".to_owned()));
    assert_eq!(subject.state(), State::Ready);
    assert_eq!(subject.event().await, ProviderEvent::Stale);
    flagd.write_flags(&flags("new"));
    let attempts = "attempts, which are swallowed too";
    gate.wait_until(attempts, |seen| seen.accepted >= accepted + 3).await;
    assert_eq!(subject.events_so_far().await, []);

    let witness = Witness::of(&subject.provider, "flag").await;
    gate.open();
    subject.recovered().await;
    let recovery = Instant::now();
    subject.cache("flag", "new").await;
    witness.saw_no("old", recovery).await;
    subject.shut_down().await;
}

/// `envoy://host:port/authority`.
async fn an_authority_routes() {
    let (one, two) = (
        FlagdProcess::with(&flags("one")).start().await.unwrap(),
        FlagdProcess::with(&flags("two")).start().await.unwrap(),
    );
    let routes = [("one.service", local(one.port())), ("two.service:9211", local(two.port()))];
    let proxy = AuthorityProxy::start(routes);
    for (authority, value) in [("one.service", "one"), ("two.service:9211", "two")] {
        let uri = format!("envoy://127.0.0.1:{}/{authority}", proxy.port());
        let mut subject = Subject::ready(options().target_uri(uri)).await;
        subject.cache("flag", value).await;
        let flagd = if value == "one" { &one } else { &two };
        flagd.edit_flags(|definition| definition["flags"]["flag"] = plain("changed"));
        subject.change().await;
        subject.cache("flag", "changed").await;
        subject.shut_down().await;
    }
    let uri = format!("envoy://127.0.0.1:{}/nobody.service", proxy.port());
    let mut subject = Subject::start(options().target_uri(uri)).await;
    let message = subject.error().await;
    assert!(message.contains("404"), "{message}");
    subject.shut_down().await;
}

/// The proxy itself stays up and responds 503.
async fn a_proxy_loses_its_upstream() {
    let mut flagd = FlagdProcess::with(&flags("old")).start().await.unwrap();
    let proxy = AuthorityProxy::start([("flags.service", local(flagd.port()))]);
    let uri = format!("envoy://127.0.0.1:{}/flags.service", proxy.port());
    let mut subject = Subject::ready(options().target_uri(uri)).await;
    subject.cache("flag", "old").await;
    flagd.kill();
    assert_eq!(subject.event().await, ProviderEvent::Stale);
    let error = subject.text("other").await.unwrap_err();
    assert_eq!(error.code, EvaluationErrorCode::ProviderNotReady, "{error:?}");
    let witness = Witness::of(&subject.provider, "flag").await;
    flagd.write_flags(&flags("new"));
    flagd.spawn();
    subject.recovered().await;
    let recovery = Instant::now();
    subject.until("flag", "new").await;
    witness.saw_no("old", recovery).await;
    subject.shut_down().await;
}

/// A new flagd replaces an old one behind the port.
async fn v1_is_remembered_for_the_connection_only() {
    let definition = serde_json::json!({ "flags": {
        "flag": plain("on"), "bare": { "state": "ENABLED", "variants": { "v": "v" } },
    } });
    let flagd = FlagdProcess::with(&definition).start().await.unwrap();
    let old = AuthorityProxy::hiding_v2(local(flagd.port()));
    let gate = TcpGate::to_port(old.port());
    let mut subject = Subject::ready(options().port(gate.port())).await;
    subject.cache("flag", "on").await;
    let error = subject.text("bare").await.unwrap_err();
    assert_eq!(flagstaff::reason(&error), EvaluationReason::Error, "v1 cannot tell");
    gate.lead_to(flagd.port());
    gate.cut();
    assert_eq!(subject.event().await, ProviderEvent::Stale);
    subject.recovered().await;
    let error = subject.text("bare").await.unwrap_err();
    assert_eq!(flagstaff::reason(&error), EvaluationReason::Default, "v2 can");
    subject.shut_down().await;
}
