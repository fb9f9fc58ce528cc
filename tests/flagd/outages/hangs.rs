//! flagd hangs: it keeps its connections and sends nothing (SIGSTOP).

use std::time::Duration;

use flagstaff::{ProviderEvent, State};
use open_feature::{EvaluationErrorCode, EvaluationReason};
use tokio::{task::JoinSet, time::timeout};

use crate::{
    subject::{Subject, flags, options_for, text},
    support::{
        flagd::FlagdProcess,
        proto::{V2, connect, v2},
        proxy::gate::TcpGate,
        wait::{PATIENCE, becomes_true, bounded, no_sooner},
    },
    trial::{trials, until_no_task},
};

trials![
    before_any_keep_alive,
    longer_than_the_idle_deadline,
    longer_than_pings_wait,
    longer_than_the_deadline,
    at_the_start,
    before_the_end,
];

const DEADLINE: Duration = Duration::from_millis(400);

/// Evaluates a flag that is not cached: the call fails at its deadline and waits no longer.
async fn runs_into_the_deadline(subject: &Subject) {
    let late = no_sooner("the deadline", DEADLINE, subject.text("other")).await;
    let error = late.unwrap_err();
    assert_eq!(error.code, EvaluationErrorCode::General("GENERAL".to_owned()));
    let message = error.message.unwrap();
    assert!(message.starts_with("DEADLINE_EXCEEDED"), "{message}");
}

async fn longer_than_the_deadline() {
    let mut flagd = FlagdProcess::with(&flags("on")).start().await.unwrap();
    let mut subject = Subject::ready(options_for(&flagd).deadline(DEADLINE)).await;
    subject.cache("flag", "on").await;
    flagd.stop();
    for _ in 0..2 {
        runs_into_the_deadline(&subject).await;
        assert_eq!(subject.state(), State::Ready);
    }
    assert_eq!(subject.text("flag").await.unwrap().1, EvaluationReason::Cached);
    flagd.cont();
    subject.until("flag", "on").await;
    let error = subject.text("other").await.unwrap_err();
    assert_eq!(error.code, EvaluationErrorCode::FlagNotFound, "the connection is usable again");
    assert_eq!(subject.events_so_far().await, []);
    assert_eq!(subject.provider.stats().reconnections, 0);
    subject.shut_down().await;
}

/// Before the first `keep_alive`, silence proves nothing; calls without a response do.
async fn before_any_keep_alive() {
    let mut flagd = FlagdProcess::with(&flags("old")).start().await.unwrap();
    let options = options_for(&flagd).deadline(DEADLINE).retry_grace_period(Duration::from_secs(1));
    let mut subject = Subject::ready(options).await;
    subject.cache("flag", "old").await;
    flagd.stop();
    for _ in 0..5 {
        assert_eq!(subject.state(), State::Ready);
        runs_into_the_deadline(&subject).await;
    }
    assert_eq!(subject.event().await, ProviderEvent::Stale);
    assert_eq!(subject.text("flag").await.unwrap().1, EvaluationReason::Cached);
    one_of_many_is_made(&subject, "other").await;
    subject.error().await;
    one_of_many_runs_into_the_deadline(&subject).await;

    goes_on(&mut flagd, subject).await;
}

/// STALE, ERROR, and READY once flagd continues.
async fn longer_than_the_idle_deadline() {
    let mut flagd = FlagdProcess::with(&flags("old")).start().await.unwrap();
    let options = options_for(&flagd)
        .deadline(DEADLINE)
        .stream_idle(Duration::from_secs(2))
        .retry_grace_period(Duration::from_secs(1));
    let mut subject = Subject::ready(options).await;
    keep_alive(&flagd).await;
    assert_eq!(subject.events_so_far().await, [], "silence before that says nothing");
    subject.cache("flag", "old").await;

    flagd.stop();
    assert_eq!(subject.event().await, ProviderEvent::Stale);
    assert_eq!(subject.text("flag").await.unwrap().1, EvaluationReason::Cached);
    let message = subject.error().await;
    assert!(message.contains(&flagd.port().to_string()), "{message}");
    one_of_many_runs_into_the_deadline(&subject).await;

    goes_on(&mut flagd, subject).await;
}

/// flagd continues with other flags, and the provider sees them.
async fn goes_on(flagd: &mut FlagdProcess, mut subject: Subject) {
    flagd.write_flags(&flags("new"));
    flagd.cont();
    subject.recovered().await;
    subject.until("flag", "new").await;
    subject.cache("flag", "new").await;
    subject.shut_down().await;
}

/// Waits for a `keep_alive` over a stream that is opened now, so that older ones have had theirs.
async fn keep_alive(flagd: &FlagdProcess) {
    let mut client = V2::new(connect(flagd.uri()).await);
    let stream = client.event_stream(v2::EventStreamRequest {}).await;
    let mut stream = stream.unwrap().into_inner();
    loop {
        let message = timeout(PATIENCE * 2, stream.message()).await; // it comes after 20 s
        let message = message.expect("flagd sends keep_alive");
        if message.unwrap().unwrap().r#type == "keep_alive" {
            return;
        }
    }
}

/// In ERROR a hung flagd does not cost every call its deadline.
async fn one_of_many_runs_into_the_deadline(subject: &Subject) {
    assert_eq!(subject.state(), State::Error);
    one_of_many_is_made(subject, "flag").await;
}

/// One call probes, the others fail at once.
async fn one_of_many_is_made(subject: &Subject, key: &'static str) {
    let mut calls = JoinSet::new();
    for _ in 0..8 {
        let provider = subject.provider.clone();
        calls.spawn(async move { text(&provider, key).await.unwrap_err().code });
    }
    let codes = calls.join_all().await;
    let refused = |code: &&EvaluationErrorCode| **code == EvaluationErrorCode::ProviderNotReady;
    assert_eq!(codes.iter().filter(refused).count(), 7, "{codes:?}");
}

/// Pings detect it, whether flagd has sent `keep_alive` or not. flagd must permit them.
async fn longer_than_pings_wait() {
    let builder = FlagdProcess::with(&flags("old")).arg("--keep-alive-min-time").arg("100ms");
    let mut flagd = builder.start().await.unwrap();
    let gate = TcpGate::to_port(flagd.port());
    let options = options_for(&flagd).port(gate.port()).keep_alive_time(Duration::from_millis(250));
    let mut subject = Subject::ready(options).await;
    subject.cache("flag", "old").await;
    gate.wait_until_passed("answers to pings", |seen| seen.pongs >= 6).await;
    assert_eq!(subject.events_so_far().await, [], "acknowledged pings do no harm");

    flagd.stop();
    // A ping waits 20 s for its response.
    assert_eq!(subject.event_within(PATIENCE * 2).await, ProviderEvent::Stale);
    goes_on(&mut flagd, subject).await;
}

/// Initialization ends at the deadline; the provider connects when flagd continues.
async fn at_the_start() {
    let mut flagd = FlagdProcess::with(&flags("on")).start().await.unwrap();
    flagd.stop();
    let starting = Subject::start(options_for(&flagd).deadline(DEADLINE));
    let mut subject = no_sooner("initialization", DEADLINE, starting).await;
    let message = subject.error().await;
    assert!(message.contains("within 400ms"), "{message}");
    one_of_many_runs_into_the_deadline(&subject).await;
    flagd.cont();
    subject.recovered().await;
    subject.until("flag", "on").await;
    subject.shut_down().await;
}

/// Neither shutdown nor drop waits for flagd or for calls in flight.
async fn before_the_end() {
    let mut flagd = FlagdProcess::with(&flags("on")).start().await.unwrap();
    for shut_down in [true, false] {
        let subject = Subject::ready(options_for(&flagd).deadline(PATIENCE)).await;
        flagd.stop();
        let provider = subject.provider.clone();
        let call = tokio::spawn(async move { text(&provider, "flag").await });
        becomes_true("the call to be under way", async || {
            subject.provider.stats().cache_misses == 1
        })
        .await;
        if shut_down {
            bounded("shutdown", subject.provider.shutdown()).await;
            assert_eq!(subject.state(), State::NotReady);
        }
        call.abort();
        drop((subject, call.await));
        until_no_task("the provider was left").await;
        flagd.cont();
    }
}
