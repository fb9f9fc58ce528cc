//! Many concurrent evaluations while flags change: no value is outdated, and none is premature.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use flagstaff::{FlagdProvider, ProviderEvent};
use open_feature::{EvaluationContext, provider::FeatureProvider};
use serde_json::{Value as Json, json};
use tokio::{task::JoinSet, time::sleep};

use crate::{
    subject::{Subject, options_for},
    support::{
        flagd::FlagdProcess,
        wait::{bounded, eventually},
    },
    trial::trials,
};

trials![no_value_is_outdated_or_premature, many_users_of_a_static_flag_cost_one_call];

const TASKS: usize = 8;
const VERSIONS: u64 = 8;
/// Calls of each task for each version.
const ANSWERS: u64 = 10;

/// The flag `version`, and one whose key shows that the version has been announced.
fn definition(version: u64) -> Json {
    let flag = json!({ "state": "ENABLED", "variants": { "v": version }, "defaultVariant": "v" });
    json!({ "flags": { "version": flag, format!("mark-{version}"): flag } })
}

/// What evaluations may return now.
#[derive(Default)]
struct Window {
    /// The provider has reported this version.
    oldest: AtomicU64,
    /// flagd has received this one.
    newest: AtomicU64,
}

async fn version(provider: &FlagdProvider) -> u64 {
    let context = EvaluationContext::default();
    let details = provider.resolve_int_value("version", &context).await.unwrap();
    details.value.try_into().unwrap()
}

async fn no_value_is_outdated_or_premature() {
    let flagd = FlagdProcess::with(&definition(0)).watching().start().await.unwrap();
    let mut subject = Subject::ready(options_for(&flagd)).await;
    let window = Arc::new(Window::default());
    let mut asking = JoinSet::new();
    let mut answers = Vec::new();
    for _ in 0..TASKS {
        let (provider, window) = (subject.provider.clone(), window.clone());
        let answered = Arc::<AtomicU64>::default();
        answers.push(answered.clone());
        asking.spawn(async move {
            while window.newest.load(Ordering::SeqCst) <= VERSIONS {
                let oldest = window.oldest.load(Ordering::SeqCst);
                let version = version(&provider).await;
                let newest = window.newest.load(Ordering::SeqCst);
                assert!((oldest..=newest).contains(&version), "{version} of {oldest}..={newest}");
                answered.fetch_add(1, Ordering::SeqCst);
                // This yields to the other tasks and to flagd.
                sleep(Duration::from_millis(1)).await;
            }
        });
    }
    for current in 1..=VERSIONS {
        window.newest.store(current, Ordering::SeqCst);
        flagd.write_flags(&definition(current));
        let mark = format!("mark-{current}");
        while !matches!(
            subject.event().await,
            ProviderEvent::ConfigurationChanged(flags) if flags.contains(&mark)
        ) {}
        window.oldest.store(current, Ordering::SeqCst);
        for answered in &answers {
            let enough = answered.load(Ordering::SeqCst) + ANSWERS;
            let have_come = || answered.load(Ordering::SeqCst) >= enough;
            eventually("answers of this version", have_come).await;
        }
    }
    window.newest.store(VERSIONS + 1, Ordering::SeqCst);
    bounded("the tasks", asking.join_all()).await;
    assert_eq!(version(&subject.provider).await, VERSIONS);
    assert!(subject.provider.stats().cache_hits > 0);
    subject.shut_down().await;
}

async fn many_users_of_a_static_flag_cost_one_call() {
    let flagd = FlagdProcess::with(&definition(7)).start().await.unwrap();
    let subject = Subject::ready(options_for(&flagd)).await;
    assert_eq!(version(&subject.provider).await, 7);
    let mut users = JoinSet::new();
    for user in 0..1500 {
        let provider = subject.provider.clone();
        users.spawn(async move {
            let context = EvaluationContext::default().with_targeting_key(format!("user-{user}"));
            provider.resolve_int_value("version", &context).await.unwrap().value
        });
    }
    let values = bounded("all users", users.join_all()).await;
    assert!(values.len() == 1500 && values.iter().all(|value| *value == 7));
    let stats = subject.provider.stats();
    assert_eq!((stats.cache_hits, stats.cache_misses), (1500, 1));
    subject.shut_down().await;
}
