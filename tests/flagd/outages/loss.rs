//! flagd stops and restarts: each path through the table "Transitions" of docs/lifecycle.md, and
//! what evaluations return meanwhile and afterwards.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use flagstaff::{
    ProviderEvent, State,
    flagd::{CacheType, ChangedFlags},
};
use open_feature::{EvaluationErrorCode, EvaluationReason};
use tokio::task::JoinSet;

use crate::{
    subject::{Subject, flags, nothing_is_left, options, options_for, text},
    support::{
        flagd::FlagdProcess,
        proxy::gate::TcpGate,
        wait::{becomes_true, bounded, eventually},
    },
    trial::trials,
    witness::Witness,
};

trials![
    killed_and_restarted,
    killed_and_restarted_again_and_again,
    unavailable_past_the_grace_period,
    unavailable_for_too_many_attempts,
    without_a_grace_period,
    not_there_at_the_start,
    never_there,
    told_to_end,
    restarted_in_turn,
    nothing_is_left_whatever_the_state,
];

const SOON: Duration = Duration::from_millis(300);

async fn killed_and_restarted() {
    let mut flagd = FlagdProcess::with(&flags("old")).start().await.unwrap();
    let mut subject = Subject::ready(options_for(&flagd)).await;
    subject.cache("flag", "old").await;
    let witness = Witness::of(&subject.provider, "flag").await;

    subject.loses(&mut flagd).await;
    assert_eq!(subject.state(), State::Stale);
    assert_eq!(
        subject.text("flag").await.unwrap(),
        ("old".to_owned(), EvaluationReason::Cached),
        "what is cached is given while STALE"
    );
    let error = subject.text("other").await.unwrap_err();
    assert_eq!(error.code, EvaluationErrorCode::ProviderNotReady);

    flagd.write_flags(&flags("new"));
    flagd.spawn();
    subject.recovered().await;
    let recovery = Instant::now();
    subject.until("flag", "new").await;
    flagd.until_ready().await.unwrap();
    subject.cache("flag", "new").await;
    witness.saw_no("old", recovery).await;
    assert_eq!(subject.provider.stats().reconnections, 1);
    subject.shut_down().await;
}

async fn killed_and_restarted_again_and_again() {
    let mut flagd = FlagdProcess::with(&flags("v0")).start().await.unwrap();
    let mut subject = Subject::ready(options_for(&flagd)).await;
    for round in 1..=4 {
        let (old, new) = (format!("v{}", round - 1), format!("v{round}"));
        subject.cache("flag", &old).await;
        let witness = Witness::of(&subject.provider, "flag").await;
        flagd.kill();
        flagd.write_flags(&flags(&new));
        flagd.spawn();
        assert_eq!(subject.state_event().await, ProviderEvent::Stale);
        subject.recovered().await;
        let recovery = Instant::now();
        subject.until("flag", &new).await;
        witness.saw_no(&old, recovery).await;
    }
    assert_eq!(subject.provider.stats().reconnections, 4);
    subject.shut_down().await;
}

async fn unavailable_past_the_grace_period() {
    let mut flagd = FlagdProcess::with(&flags("old")).start().await.unwrap();
    let mut subject = Subject::ready(options_for(&flagd).retry_grace_period(SOON)).await;
    subject.cache("flag", "old").await;
    subject.loses(&mut flagd).await;
    let message = subject.error().await;
    assert!(message.contains(&flagd.port().to_string()), "{message}");
    assert_eq!(subject.provider.stats().cache_entries, 0);
    let error = subject.text("flag").await.unwrap_err();
    assert_eq!(error.code, EvaluationErrorCode::ProviderNotReady, "nothing cached is given");

    // This needs no traffic.
    subject.returns(&mut flagd, "new").await;
    subject.cache("flag", "new").await;
    subject.shut_down().await;
}

async fn unavailable_for_too_many_attempts() {
    let mut flagd = FlagdProcess::with(&flags("old")).start().await.unwrap();
    let mut subject = Subject::ready(options_for(&flagd).max_event_stream_retries(3)).await;
    subject.cache("flag", "old").await;
    subject.loses(&mut flagd).await;
    subject.error().await;
    assert_eq!(subject.provider.stats().cache_entries, 0);
    subject.returns(&mut flagd, "new").await;
    subject.shut_down().await;
}

async fn without_a_grace_period() {
    let mut flagd = FlagdProcess::with(&flags("old")).start().await.unwrap();
    let mut subject = Subject::ready(options_for(&flagd).retry_grace_period(Duration::ZERO)).await;
    subject.cache("flag", "old").await;
    flagd.kill();
    subject.error().await;
    assert_eq!(subject.provider.stats().cache_entries, 0);
    subject.returns(&mut flagd, "old").await;
    subject.shut_down().await;
}

/// Initialization ends with the first failure and not only at the deadline, and the provider
/// connects to a flagd that starts later, even without traffic.
async fn not_there_at_the_start() {
    let mut flagd = FlagdProcess::with(&flags("here")).start().await.unwrap();
    flagd.kill();
    let deadline = Duration::from_secs(3600);
    let mut subject = Subject::start(options_for(&flagd).deadline(deadline)).await;
    assert_eq!(subject.state(), State::Error);
    subject.error().await;
    let error = subject.text("flag").await.unwrap_err();
    assert_eq!(error.code, EvaluationErrorCode::ProviderNotReady);

    flagd.spawn();
    subject.recovered().await;
    bounded("readiness", subject.provider.wait_ready(deadline)).await.unwrap();
    subject.until("flag", "here").await;
    assert_eq!(subject.provider.stats().reconnections, 0, "it is the first connection");
    subject.shut_down().await;
}

/// Many failures emit one event.
async fn never_there() {
    let mut flagd = FlagdProcess::with(&flags("here")).start().await.unwrap();
    flagd.kill();
    let mut subject = Subject::start(options_for(&flagd)).await;
    subject.error().await;
    let error = subject.provider.wait_ready(Duration::from_secs(2)).await.unwrap_err();
    assert!(error.to_string().contains(&flagd.port().to_string()), "{error}");
    assert_eq!(subject.events_so_far().await, []);
    subject.shut_down().await;
}

/// SIGTERM: flagd sends `provider_shutdown`, or just ends the stream.
async fn told_to_end() {
    let mut flagd = FlagdProcess::with(&flags("old")).start().await.unwrap();
    let mut subject = Subject::ready(options_for(&flagd)).await;
    subject.cache("flag", "old").await;
    let witness = Witness::of(&subject.provider, "flag").await;
    flagd.terminate();
    assert_eq!(subject.event().await, ProviderEvent::Stale);
    flagd.ended().await;
    flagd.write_flags(&flags("new"));
    flagd.spawn();
    // It may have accepted one more stream while it was shutting down.
    becomes_true("the new value", async || {
        subject.text("flag").await.is_ok_and(|(value, _)| value == "new")
    })
    .await;
    assert_eq!(subject.state(), State::Ready);
    let recovery = Instant::now();
    subject.cache("flag", "new").await;
    let all = ProviderEvent::ConfigurationChanged(ChangedFlags::All);
    assert!(subject.events_so_far().await.contains(&all));
    witness.saw_no("old", recovery).await;
    subject.shut_down().await;
}

/// A rolling restart of two servers: no call is lost, and the other server is found at once.
async fn restarted_in_turn() {
    const TASKS: usize = 16;
    const CALLS: usize = 500;
    let start = || async { FlagdProcess::with(&flags("on")).start().await.unwrap() };
    let mut servers = [start().await, start().await];
    let address = TcpGate::to_port(servers[0].port());
    let uncached = options().port(address.port()).cache(CacheType::Disabled);
    let subject = Subject::ready(uncached).await;
    let (answered, over) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
    let mut calling = JoinSet::new();
    for _ in 0..TASKS {
        let (provider, answered, over) = (subject.provider.clone(), answered.clone(), over.clone());
        calling.spawn(async move {
            while !over.load(Ordering::Relaxed) {
                assert_eq!(text(&provider, "flag").await.unwrap().0, "on");
                answered.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    for turn in 0..6 {
        let enough = answered.load(Ordering::Relaxed) + CALLS;
        eventually("calls", || answered.load(Ordering::Relaxed) >= enough).await;
        let [old, new] = [turn % 2, (turn + 1) % 2];
        address.lead_to(servers[new].port());
        servers[old].terminate();
        servers[old].ended().await;
        servers[old].restart().await.unwrap();
    }
    over.store(true, Ordering::Relaxed);
    bounded("the last calls", calling.join_all()).await;
    subject.shut_down().await;
}

/// After a shutdown, and after the last handle is dropped.
async fn nothing_is_left_whatever_the_state() {
    let mut flagd = FlagdProcess::with(&flags("on")).start().await.unwrap();
    let states = [State::Ready, State::Stale, State::Error, State::NotReady];
    nothing_is_left(&mut flagd, options_for, &states).await;
}
