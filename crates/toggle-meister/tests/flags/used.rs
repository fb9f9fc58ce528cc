//! What flag clients use is counted, and environments with clients that do not ask are noted.

use std::collections::BTreeMap;

use flagstaff::{
    flagd::Resolver,
    open_feature::{EvaluationContext, provider::FeatureProvider as _},
};
use service::time;
use toggle_meister::{model::environment, serve::DAY};

use crate::support::{Meister, becomes_true, bounded};

/// The requests for a feature by environment, of all days.
async fn hits(meister: &Meister, feature: &str) -> BTreeMap<String, i64> {
    let found = meister.get(&format!("/api/metrics/{feature}")).await;
    let mut hits = BTreeMap::new();
    for metric in found["metrics"].as_array().unwrap() {
        let env = metric["environment"].as_str().unwrap().to_owned();
        *hits.entry(env).or_default() += metric["hit_count"].as_i64().unwrap();
    }
    hits
}

/// Whether an environment has had a flag client since the day before, in days from today. Each day
/// is asked about once.
async fn is_seen(meister: &Meister, env: &'static str, day: i64) -> bool {
    let (store, day) = (meister.running.store(), time::now() / DAY + day);
    store.usage.flush(&store.storage, day).await.unwrap();
    let seen = store.read(move |sql| Ok(environment::last_seen(sql, env)?)).await;
    seen.unwrap_or_else(|problem| panic!("{}", problem.detail())) == Some(day)
}

/// A server with a feature and the environments production, stage and dev.
async fn start() -> Meister {
    let meister = Meister::start().await;
    meister.create_feature("checkout").await;
    for env in ["stage", "dev"] {
        meister.create_environment(env).await;
    }
    meister
}

#[tokio::test]
async fn what_is_asked_over_any_protocol_is_counted() {
    let meister = start().await;
    meister.get("/api/envs/stage/toggles?feature=checkout&feature=unknown").await;
    meister.ofrep("/checkout", Some("flagSetId=stage"), Some("jane")).await;
    meister.ofrep("/checkout", None, Some("jane")).await;
    meister.ofrep("/unknown", Some("flagSetId=dev"), Some("jane")).await;
    assert!(!is_seen(&meister, "stage", 1).await, "whoever asks for a feature is counted instead");
    let provider = meister.provider(Resolver::Rpc, Some("flagSetId=stage")).await;
    let context = EvaluationContext::default().with_targeting_key("jane");
    bounded("an evaluation", provider.resolve_bool_value("checkout", &context)).await.unwrap();
    let expected = [("production".to_owned(), 1), ("stage".to_owned(), 3)];
    assert_eq!(hits(&meister, "checkout").await, BTreeMap::from(expected));
}

#[tokio::test]
async fn environments_with_clients_that_do_not_ask_are_noted() {
    let meister = start().await;
    let usage = &meister.running.store().usage;
    for (resolver, day) in [(Resolver::InProcess, 1), (Resolver::Rpc, 2)] {
        let provider = meister.provider(resolver, Some("flagSetId=stage")).await;
        becomes_true("the client", async || usage.following("stage") == 1).await;
        assert!(is_seen(&meister, "stage", day).await, "{resolver}");
        assert!(!is_seen(&meister, "production", day).await, "{resolver}");
        bounded("the end", provider.shutdown()).await;
        drop(provider);
        becomes_true("no client", async || usage.following("stage") == 0).await;
    }
    // All features at once: over OFREP and in the API.
    assert!(!is_seen(&meister, "dev", 3).await);
    meister.ofrep("", Some("flagSetId=dev"), None).await;
    assert!(is_seen(&meister, "dev", 4).await);
    assert_eq!(hits(&meister, "checkout").await, BTreeMap::new());
    assert!(!is_seen(&meister, "production", 5).await);
    meister.get("/api/envs/production/toggles?all=true").await;
    assert!(is_seen(&meister, "production", 6).await);
}

#[tokio::test]
async fn a_client_that_stays_is_noted_every_day_and_one_from_before_its_environment_too() {
    let meister = start().await;
    let _provider = meister.provider(Resolver::InProcess, Some("flagSetId=later")).await;
    meister.create_environment("later").await;
    let mut days = 1..;
    becomes_true("the environment", async || {
        is_seen(&meister, "later", days.next().unwrap_or_default()).await
    })
    .await;
    for day in [days.start + 1, days.start + 2] {
        assert!(is_seen(&meister, "later", day).await, "day {day}");
    }
}
