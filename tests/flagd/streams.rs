//! Event streams that end at their deadline, which is not a loss (docs/lifecycle.md, "Lost calls
//! and connections"), and handles whose streams are left alone.

use std::time::Duration;

use flagstaff::{ProviderEvent, State, flagd::ChangedFlags};
use open_feature::{EvaluationContext, EvaluationReason, provider::FeatureProvider};

use crate::{
    subject::{Subject, flags, options_for, plain},
    support::{
        flagd::FlagdProcess,
        proxy::gate::TcpGate,
        wait::{becomes_true, bounded},
    },
    trial::{trials, until_no_task},
};

trials![
    flagd_ends_its_streams_in_time,
    the_provider_replaces_its_streams_in_time,
    one_connection_serves_all_handles,
    initialized_again,
];

/// Changes flags until the provider has seen that many streams, and checks that no change is lost
/// and that only changes are reported.
async fn changes_over_streams(subject: &mut Subject, flagd: &FlagdProcess, streams: u64) {
    let mut round = 0;
    while subject.provider.stats().reconnections < streams {
        round += 1;
        let value = format!("v{round}");
        flagd.edit_flags(|definition| definition["flags"]["flag"] = plain(&value));
        subject.until("flag", &value).await;
        assert_eq!(subject.state(), State::Ready);
        for event in subject.events_so_far().await {
            assert!(matches!(event, ProviderEvent::ConfigurationChanged(_)), "{event:?}");
        }
    }
}

/// `--stream-deadline`: there is a gap between two streams, in which anything may have changed.
async fn flagd_ends_its_streams_in_time() {
    let builder = FlagdProcess::with(&flags("v0")).watching();
    let flagd = builder.arg("--stream-deadline").arg("1s").start().await.unwrap();
    let mut subject = Subject::ready(options_for(&flagd)).await;
    subject.cache("flag", "v0").await;
    assert_eq!(subject.change().await, ChangedFlags::All, "the second stream is there");
    subject.until("flag", "v0").await;
    changes_over_streams(&mut subject, &flagd, 5).await;
    subject.shut_down().await;
}

/// `streamDeadlineMs`: streams overlap, so that the cache outlives them.
async fn the_provider_replaces_its_streams_in_time() {
    let flagd = FlagdProcess::with(&flags("v0")).watching().start().await.unwrap();
    let gate = TcpGate::to_port(flagd.port());
    let options = options_for(&flagd).port(gate.port()).stream_deadline(Duration::from_secs(1));
    let mut subject = Subject::ready(options).await;
    subject.cache("flag", "v0").await;
    gate.wait_until_passed("streams to be replaced", |seen| seen.given_up >= 2).await;
    assert_eq!(subject.events_so_far().await, []);
    assert_eq!(subject.text("flag").await.unwrap().1, EvaluationReason::Cached);
    let mut round = 0;
    while gate.frames().given_up < 5 {
        round += 1;
        let value = format!("v{round}");
        flagd.edit_flags(|definition| definition["flags"]["flag"] = plain(&value));
        assert_ne!(subject.change().await, ChangedFlags::All);
        subject.until("flag", &value).await;
    }
    assert_eq!(subject.state(), State::Ready);
    assert_eq!(subject.provider.stats().reconnections, 0);
    assert_eq!(gate.connections().accepted, 1, "all over one connection");
    subject.shut_down().await;
    gate.wait_until("the connection to end", |seen| seen.open == 0).await;
}

async fn one_connection_serves_all_handles() {
    let flagd = FlagdProcess::with(&flags("on")).start().await.unwrap();
    let gate = TcpGate::to_port(flagd.port());
    let subject = Subject::ready(options_for(&flagd).port(gate.port())).await;
    for _ in 0..3 {
        let mut handle = subject.provider.clone();
        bounded("initialization", handle.initialize(&EvaluationContext::default())).await;
        assert_eq!(handle.state(), State::Ready);
    }
    subject.cache("flag", "on").await;
    assert_eq!(gate.connections().accepted, 1);
    drop(subject);
    until_no_task("the last handle was dropped").await;
    gate.wait_until("the connection to end", |seen| seen.open == 0).await;
}

/// OpenFeature specification 2.5.3.
async fn initialized_again() {
    let flagd = FlagdProcess::with(&flags("on")).start().await.unwrap();
    let mut subject = Subject::ready(options_for(&flagd)).await;
    subject.cache("flag", "on").await;
    for _ in 0..3 {
        subject.provider.shutdown().await;
        assert_eq!(subject.state(), State::NotReady);
        subject.initialize().await;
        assert_eq!(subject.state(), State::Ready);
        assert_eq!(subject.text("flag").await.unwrap().1, EvaluationReason::Static);
        becomes_true("the cache", async || {
            subject.text("flag").await.unwrap().1 == EvaluationReason::Cached
        })
        .await;
    }
    subject.shut_down().await;
}
