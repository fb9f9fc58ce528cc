//! What flag clients use is counted, and environments with clients that do not ask are noted.

use std::collections::BTreeMap;

use flagstaff::{
    flagd::Resolver,
    open_feature::{EvaluationContext, provider::FeatureProvider as _},
};
use service::time;
use toggle_meister::{model::environment, serve::DAY};

use crate::support::{Meister, becomes_true, bounded};

/// The requests for a feature by environment.
async fn hits(meister: &Meister, feature: &str) -> BTreeMap<String, i64> {
    let found = meister.get(&format!("/api/metrics/{feature}")).await;
    let metrics = found["metrics"].as_array().unwrap().iter();
    let pair = |it: &serde_json::Value| {
        (it["environment"].as_str().unwrap().to_owned(), it["hit_count"].as_i64().unwrap())
    };
    metrics.map(pair).collect()
}

/// The last day on which an environment had a flag client.
async fn seen(meister: &Meister, env: &'static str) -> Option<i64> {
    let store = meister.running.store();
    store.usage.flush(&store.storage, time::now() / DAY).await.unwrap();
    let seen = store.read(move |sql| Ok(environment::last_seen(sql, env)?)).await;
    seen.unwrap_or_else(|problem| panic!("{}", problem.detail()))
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
    assert_eq!(
        seen(&meister, "stage").await,
        None,
        "whoever asks for a feature is counted instead"
    );
    let provider = meister.provider(Resolver::Rpc, Some("flagSetId=stage")).await;
    let context = EvaluationContext::default().with_targeting_key("jane");
    bounded("an evaluation", provider.resolve_bool_value("checkout", &context)).await.unwrap();
    let expected = [("production".to_owned(), 1), ("stage".to_owned(), 3)];
    assert_eq!(hits(&meister, "checkout").await, BTreeMap::from(expected));
}

#[tokio::test]
async fn environments_with_clients_that_do_not_ask_are_noted() {
    let meister = start().await;
    let today = Some(time::now() / DAY);
    let usage = &meister.running.store().usage;
    for resolver in [Resolver::InProcess, Resolver::Rpc] {
        let provider = meister.provider(resolver, Some("flagSetId=stage")).await;
        becomes_true("the client", async || usage.following("stage") == 1).await;
        assert_eq!(seen(&meister, "stage").await, today, "{resolver}");
        assert_eq!(seen(&meister, "production").await, None);
        bounded("the end", provider.shutdown()).await;
        drop(provider);
        becomes_true("no client", async || usage.following("stage") == 0).await;
    }
    // All features at once: over OFREP and in the API.
    meister.ofrep("", Some("flagSetId=dev"), None).await;
    assert_eq!(seen(&meister, "dev").await, today);
    assert_eq!(hits(&meister, "checkout").await, BTreeMap::new());
    meister.get("/api/envs/production/toggles?all=true").await;
    assert_eq!(seen(&meister, "production").await, today);
}

#[tokio::test]
async fn a_client_that_stays_is_noted_every_day_and_one_from_before_its_environment_too() {
    let meister = start().await;
    let store = meister.running.store();
    let _provider = meister.provider(Resolver::InProcess, Some("flagSetId=later")).await;
    meister.create_environment("later").await;
    let today = time::now() / DAY;
    becomes_true("the environment", async || seen(&meister, "later").await == Some(today)).await;
    store.usage.flush(&store.storage, today + 1).await.unwrap();
    let seen = store.read(|sql| Ok(environment::last_seen(sql, "later")?)).await;
    assert_eq!(seen.ok().flatten(), Some(today + 1));
}
