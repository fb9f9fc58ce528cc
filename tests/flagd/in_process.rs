//! Evaluation in process with the definitions of a real flagd, through its faults: the states of
//! docs/lifecycle.md, with stored rules that are still evaluated, and the same results as flagd's.

use std::{path::Path, time::Duration};

use flagstaff::{
    FlagdProvider, ProviderEvent, State,
    flagd::{ChangedFlags, FlagdOptionsBuilder, Resolver},
};
use open_feature::{EvaluationContext, EvaluationReason};
use serde_json::{Value as Json, json};

use crate::{
    subject::{Subject, Type, ask, flags, nothing_is_left, options, options_for, plain},
    support::{
        flagd::FlagdProcess,
        proxy::gate::TcpGate,
        wait::{PATIENCE, becomes_true, bounded},
    },
    trial::trials,
};

trials![
    silence_that_pings_detect,
    the_resolvers_agree,
    edits_are_reported_by_key,
    killed_and_restarted,
    unavailable_past_the_grace_period,
    not_there_at_the_start,
    hung_at_the_start,
    told_to_end,
    streams_past_their_deadline,
    streams_that_flagd_ends_at_its_deadline,
    one_source_of_two,
    over_a_unix_socket,
    nothing_is_left_whatever_the_state,
];

const SOON: Duration = Duration::from_millis(300);

fn synced(flagd: &FlagdProcess) -> FlagdOptionsBuilder {
    options().resolver(Resolver::InProcess).port(flagd.ports().sync)
}

impl Subject {
    /// A provider that has the flag with this value: flagd may have sent fewer flags at first.
    async fn with_flag(options: FlagdOptionsBuilder, value: &str) -> Self {
        let mut subject = Self::ready(options).await;
        subject.until("flag", value).await;
        subject.events_so_far().await;
        subject
    }

    /// The flag is still evaluated.
    async fn answers(&self, value: &str) {
        assert_eq!(self.text("flag").await.unwrap(), (value.to_owned(), EvaluationReason::Static));
    }
}

/// Every flag of a definition evaluates, for each type and context, to what flagd returns for it.
async fn the_resolvers_agree() {
    let rule = |rule: Json| {
        json!({"state": "ENABLED", "variants": {"a": "A", "b": "B", "true": "T"},
            "defaultVariant": "b", "targeting": rule, "metadata": {"owner": "x", "v": 2}})
    };
    let definition = json!({"flags": {
        "bool": {"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "off"},
        "int": {"state": "ENABLED", "variants": {"v": 9_007_199_254_740_991_i64}, "defaultVariant": "v"},
        "float": {"state": "ENABLED", "variants": {"v": -1.5}, "defaultVariant": "v"},
        "zero": {"state": "ENABLED", "variants": {"v": 0}, "defaultVariant": "v"},
        "empty": {"state": "ENABLED", "variants": {"v": ""}, "defaultVariant": "v"},
        "object": {"state": "ENABLED", "variants": {"v": {"a": [1, {"b": null}], "c": 2}}, "defaultVariant": "v"},
        "list": {"state": "ENABLED", "variants": {"v": [1]}, "defaultVariant": "v"},
        "disabled": {"state": "DISABLED", "variants": {"v": 1}, "defaultVariant": "v"},
        "undecided": {"state": "ENABLED", "variants": {"v": 1}},
        "static-context": rule(json!({"if": [{"==": [{"var": "region"}, "flagd"]}, "a"]})),
        "half": rule(json!({"fractional": [["a", 1], ["b", 1]]})),
        "mail": rule(json!({"if": [{"ends_with": [{"var": "email"}, "@a.example"]}, "a", "b"]})),
        "version": rule(json!({"sem_ver": [{"var": "version"}, "^", "1.2.0"]})),
        "strays": rule(json!("c")),
        "fails": rule(json!({"+": [null]})),
        "nested": rule(json!({"if": [{"var": "tree.leaf"}, "a"]})),
    }, "metadata": {"flagSetId": "s"}});
    let flagd = FlagdProcess::with(&definition).arg("--context-value").arg("region=flagd");
    let flagd = flagd.start().await.unwrap();
    let wired =
        Subject::ready(options_for(&flagd).cache(flagstaff::flagd::CacheType::Disabled)).await;
    let local = Subject::ready(synced(&flagd)).await;
    let flags = definition["flags"].as_object().unwrap();
    // They are all loaded at once.
    becomes_true("the flags", async || {
        let context = EvaluationContext::default();
        ask(&local.provider, Type::Text, "empty", &context).await.is_ok()
    })
    .await;
    let contexts = [
        EvaluationContext::default(),
        EvaluationContext::default().with_targeting_key("user-1"),
        EvaluationContext::default()
            .with_targeting_key("user-2")
            .with_custom_field("email", "me@a.example")
            .with_custom_field("version", "1.9.0")
            .with_custom_field("region", "mine"),
        EvaluationContext::default().with_custom_field(
            "tree",
            open_feature::EvaluationContextFieldValue::new_struct(json!({"leaf": 1})),
        ),
    ];
    for key in flags.keys().map(String::as_str).chain(["missing"]) {
        for as_type in Type::ALL {
            for context in &contexts {
                let asked = async |provider: &FlagdProvider| {
                    let answer = ask(provider, as_type, key, context).await;
                    answer.map_err(|error| (error.code.clone(), flagstaff::reason(&error)))
                };
                let (here, there) = (asked(&local.provider).await, asked(&wired.provider).await);
                assert_eq!(without_source(here), there, "`{key}` as {as_type:?} for {context:?}");
            }
        }
    }
    wired.provider.shutdown().await;
    local.shut_down().await;
}

/// flagd's sync adds the source to the metadata of each flag.
fn without_source<E>(
    answer: Result<crate::subject::Answer, E>,
) -> Result<crate::subject::Answer, E> {
    answer.map(|mut answer| {
        if let Some(metadata) = &mut answer.metadata {
            metadata.values.remove("source");
        }
        answer
    })
}

async fn edits_are_reported_by_key() {
    let definition =
        json!({"flags": {"flag": plain("old"), "stays": plain("same"), "goes": plain("")}});
    let flagd = FlagdProcess::with(&definition).start().await.unwrap();
    let mut subject = Subject::with_flag(synced(&flagd), "old").await;
    flagd.write_flags(
        &json!({"flags": {"flag": plain("new"), "stays": plain("same"), "comes": plain("")}}),
    );
    let keys = ["comes", "flag", "goes"].map(str::to_owned);
    assert_eq!(subject.change().await, ChangedFlags::Keys(keys.into()));
    subject.answers("new").await;
    assert!(subject.text("goes").await.is_err());
    subject.shut_down().await;
}

async fn killed_and_restarted() {
    let mut flagd = FlagdProcess::with(&flags("old")).start().await.unwrap();
    let mut subject = Subject::with_flag(synced(&flagd), "old").await;
    for value in ["old", "new"] {
        flagd.kill();
        assert_eq!(subject.state_event().await, ProviderEvent::Stale);
        subject.answers("old").await;
        flagd.write_flags(&flags(value));
        flagd.spawn();
        assert_eq!(subject.state_event().await, ProviderEvent::Ready);
        flagd.until_ready().await.unwrap();
        subject.until("flag", value).await;
    }
    assert_eq!(subject.provider.stats().reconnections, 2);
    subject.shut_down().await;
}

async fn unavailable_past_the_grace_period() {
    let mut flagd = FlagdProcess::with(&flags("old")).start().await.unwrap();
    let mut subject = Subject::with_flag(synced(&flagd).retry_grace_period(SOON), "old").await;
    subject.loses(&mut flagd).await;
    let message = subject.error().await;
    assert!(message.contains(&flagd.ports().sync.to_string()), "{message}");
    assert_eq!(subject.state(), State::Error);
    subject.answers("old").await;
    flagd.write_flags(&flags("new"));
    flagd.spawn();
    assert_eq!(subject.state_event().await, ProviderEvent::Ready);
    subject.until("flag", "new").await;
    subject.shut_down().await;
}

async fn not_there_at_the_start() {
    let mut flagd = FlagdProcess::with(&flags("here")).start().await.unwrap();
    flagd.kill();
    let deadline = Duration::from_secs(3600);
    let mut subject = Subject::start(synced(&flagd).deadline(deadline)).await;
    assert_eq!(subject.state(), State::Error);
    subject.error().await;
    flagd.spawn();
    bounded("readiness", subject.provider.wait_ready(deadline)).await.unwrap();
    subject.until("flag", "here").await;
    assert_eq!(subject.provider.stats().reconnections, 0, "it is the first connection");
    subject.shut_down().await;
}

async fn hung_at_the_start() {
    let mut flagd = FlagdProcess::with(&flags("on")).start().await.unwrap();
    flagd.stop();
    let deadline = Duration::from_millis(400);
    let mut subject = Subject::start(synced(&flagd).deadline(deadline)).await;
    assert_eq!(subject.state(), State::Error);
    let message = subject.error().await;
    assert!(message.contains("within 400ms"), "{message}");
    flagd.cont();
    assert_eq!(subject.state_event().await, ProviderEvent::Ready);
    subject.until("flag", "on").await;
    subject.shut_down().await;
}

/// SIGSTOP: on a stream that may be silent, nothing else reveals the loss.
async fn silence_that_pings_detect() {
    let builder = FlagdProcess::with(&flags("old")).arg("--keep-alive-min-time").arg("100ms");
    let mut flagd = builder.start().await.unwrap();
    let gate = TcpGate::to_port(flagd.ports().sync);
    let options = synced(&flagd).port(gate.port()).keep_alive_time(Duration::from_millis(250));
    let mut subject = Subject::with_flag(options, "old").await;
    gate.wait_until_passed("answers to pings", |seen| seen.pongs >= 6).await;
    assert_eq!(subject.events_so_far().await, [], "acknowledged pings do no harm");
    flagd.stop();
    // A ping waits 20 s for its response.
    assert_eq!(subject.event_within(PATIENCE * 2).await, ProviderEvent::Stale);
    subject.answers("old").await;
    flagd.write_flags(&flags("new"));
    flagd.cont();
    assert_eq!(subject.state_event().await, ProviderEvent::Ready);
    subject.until("flag", "new").await;
    subject.shut_down().await;
}

async fn told_to_end() {
    let mut flagd = FlagdProcess::with(&flags("old")).start().await.unwrap();
    let mut subject = Subject::with_flag(synced(&flagd), "old").await;
    flagd.terminate();
    assert_eq!(subject.state_event().await, ProviderEvent::Stale);
    flagd.ended().await;
    subject.answers("old").await;
    flagd.write_flags(&flags("new"));
    flagd.spawn();
    subject.until("flag", "new").await;
    becomes_true("readiness", async || subject.state() == State::Ready).await;
    subject.shut_down().await;
}

/// The next stream is open before the current one ends: neither loss nor change is reported.
async fn streams_past_their_deadline() {
    let flagd = FlagdProcess::with(&flags("old")).start().await.unwrap();
    let gate = TcpGate::to_port(flagd.ports().sync);
    let options = synced(&flagd).port(gate.port()).stream_deadline(Duration::from_millis(500));
    let mut subject = Subject::with_flag(options, "old").await;
    gate.wait_until_passed("streams to be replaced", |seen| seen.given_up >= 4).await;
    assert_eq!(subject.events_so_far().await, []);
    flagd.write_flags(&flags("new"));
    let change = subject.change().await;
    assert_eq!(change, ChangedFlags::Keys(["flag".to_owned()].into()));
    assert_eq!(subject.provider.stats().reconnections, 0);
    subject.shut_down().await;
}

async fn streams_that_flagd_ends_at_its_deadline() {
    let builder = FlagdProcess::with(&flags("old")).arg("--stream-deadline").arg("500ms");
    let flagd = builder.start().await.unwrap();
    let gate = TcpGate::to_port(flagd.ports().sync);
    let mut subject = Subject::with_flag(synced(&flagd).port(gate.port()), "old").await;
    gate.wait_until_passed("five streams", |seen| seen.begun >= 5).await;
    assert_eq!(subject.events_so_far().await, []);
    flagd.write_flags(&flags("new"));
    let change = subject.change().await;
    assert_eq!(change, ChangedFlags::Keys(["flag".to_owned()].into()));
    subject.shut_down().await;
}

async fn one_source_of_two() {
    let first = json!({"flags": {"flag": plain("a")}, "metadata": {"flagSetId": "one"}});
    let second = json!({"flags": {"flag": plain("b")}, "metadata": {"flagSetId": "two"}});
    let builder = FlagdProcess::with(&first).source("second.json", &second);
    let flagd = builder.start().await.unwrap();
    for (selector, value) in [("flagSetId=one", "a"), ("flagSetId=two", "b"), ("second.json", "b")]
    {
        let subject = Subject::with_flag(synced(&flagd).selector(selector), value).await;
        subject.shut_down().await;
    }
}

async fn over_a_unix_socket() {
    let flagd = FlagdProcess::with(&flags("on")).on_sync_socket("sync.sock").start().await.unwrap();
    let socket = flagd.dir().join(Path::new("sync.sock"));
    let options = options().resolver(Resolver::InProcess).socket_path(socket);
    let subject = Subject::with_flag(options, "on").await;
    subject.shut_down().await;
}

/// After a shutdown, and after the last handle is dropped.
async fn nothing_is_left_whatever_the_state() {
    let mut flagd = FlagdProcess::with(&flags("on")).start().await.unwrap();
    nothing_is_left(&mut flagd, synced, &[State::Ready, State::Stale, State::Error]).await;
}
