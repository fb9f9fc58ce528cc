//! Clients are notified of each change: of steps, and of environments that come and go.

use std::time::Duration;

use flagstaff::{
    FlagdProvider, ProviderEvent,
    flagd::{ChangedFlags, Events, Resolver},
    open_feature::{EvaluationContext, EvaluationErrorCode, provider::FeatureProvider as _},
};
use serde_json::json;
use service::time;
use toggle_meister::{
    rollout::Pace,
    toggle::{Rollout, Toggle},
};

use crate::{
    hash::expected,
    support::{Meister, becomes_true, bounded, rollout},
};

async fn is_on(provider: &FlagdProvider, key: &str, id: &str) -> Result<bool, EvaluationErrorCode> {
    let context = EvaluationContext::default().with_targeting_key(id);
    let evaluation = bounded("an evaluation", provider.resolve_bool_value(key, &context)).await;
    evaluation.map(|it| it.value).map_err(|error| error.code)
}

/// Waits for a change of a flag, or of flags that are not named.
async fn changed(events: &mut Events, key: &str) {
    let event = async {
        loop {
            match events.next().await {
                Some(ProviderEvent::ConfigurationChanged(ChangedFlags::Keys(keys)))
                    if !keys.iter().any(|it| **it == *key) => {}
                Some(ProviderEvent::ConfigurationChanged(_)) => return,
                Some(_) => {}
                None => panic!("no more events"),
            }
        }
    };
    bounded(&format!("a change of {key}"), event).await;
}

#[tokio::test]
async fn nothing_but_the_targeting_key_decides() {
    let meister = Meister::start().await;
    meister.create_feature("checkout").await;
    meister.put(vec![("checkout".to_owned(), Toggle::Roll(rollout(7, 15)))]).await;
    let ask = async |context: serde_json::Value| {
        let address = meister.running.flag_server().ofrep_addr().unwrap();
        let url = format!("http://{address}/ofrep/v1/evaluate/flags/checkout");
        let request = meister.http.post(url).body(json!({"context": context}).to_string());
        let answer: serde_json::Value = request.send().await.unwrap().json().await.unwrap();
        answer["value"].as_bool().unwrap_or_else(|| panic!("{answer}"))
    };
    becomes_true("the rollout", async || ask(json!({"targetingKey": "user-3"})).await).await;
    let mut on = 0;
    for number in 0..40 {
        let id = format!("user-{number}");
        let plain = ask(json!({"targetingKey": id})).await;
        assert_eq!(plain, expected("checkout", 7, 50, Some(&id)), "{id}");
        let more = json!({"targetingKey": id, "email": "eve@corp.example", "userid": "eve",
            "enrollment_id": "eve", "tier": ["gold"], "age": 7});
        assert_eq!(ask(more).await, plain, "{id}");
        on += i32::from(plain);
    }
    assert!((1..40).contains(&on), "{on}");
    assert!(!ask(json!({"email": "user-3", "userid": "user-3"})).await, "without a key");
}

#[tokio::test]
async fn a_step_of_a_rollout_is_a_configuration_change() {
    let meister = Meister::start().await;
    meister.create_feature("checkout").await;
    meister.create_feature("other").await;
    for resolver in [Resolver::Rpc, Resolver::InProcess] {
        let provider = meister.provider(resolver, Some("flagSetId=production")).await;
        // The last step comes in a second, whereby everybody has it.
        let pace = Pace::over_days(1.0).unwrap();
        let start = time::now() - pace.total() + 1_000;
        let toggle = Toggle::Roll(Rollout { number: 1, start, pace });
        meister.put(vec![("checkout".to_owned(), toggle)]).await;
        becomes_true("93 %", async || {
            let off = (0..100).map(|id| format!("user-{id}"));
            for id in off {
                if is_on(&provider, "checkout", &id).await == Ok(true) {
                    return true;
                }
            }
            false
        })
        .await;
        assert_eq!(is_on(&provider, "checkout", "").await, Ok(false), "without an id");
        let mut events = provider.events();
        changed(&mut events, "checkout").await;
        becomes_true("100 %", async || is_on(&provider, "checkout", "").await == Ok(true)).await;
        let late = time::now() - start - pace.total();
        assert!((0..1_000).contains(&late), "the step came {late} ms late");
        println!("{resolver}: the step arrived after {late} ms");
        meister.put(vec![("checkout".to_owned(), Toggle::Off)]).await;
    }
}

#[tokio::test]
async fn environments_come_and_go_for_clients_that_are_connected() {
    let meister = Meister::start().await;
    meister.create_feature("checkout").await;
    for resolver in [Resolver::Rpc, Resolver::InProcess] {
        let provider = meister.provider(resolver, Some("flagSetId=stage")).await;
        let gone = Err(EvaluationErrorCode::FlagNotFound);
        assert_eq!(is_on(&provider, "checkout", "jane").await, gone);
        let mut events = provider.events();
        meister.create_environment("stage").await;
        changed(&mut events, "checkout").await;
        assert_eq!(is_on(&provider, "checkout", "jane").await, Ok(false));
        meister.switch("stage", "checkout", "ON").await;
        changed(&mut events, "checkout").await;
        becomes_true("ON", async || is_on(&provider, "checkout", "jane").await == Ok(true)).await;
        meister.delete_environment("stage").await;
        changed(&mut events, "checkout").await;
        becomes_true("the end", async || is_on(&provider, "checkout", "jane").await == gone).await;
    }
}

#[tokio::test]
async fn a_client_without_a_selector_reads_production_and_never_a_mixture() {
    let meister = Meister::start().await;
    meister.create_feature("checkout").await;
    meister.create_environment("stage").await;
    meister.switch("stage", "checkout", "ON").await;
    let value = async |selector| meister.ofrep("/checkout", selector, None).await["value"].clone();
    assert_eq!(value(None).await, false);
    assert_eq!(value(Some("flagSetId=stage")).await, true);
    assert_eq!(value(Some("flagSetId=Stage")).await, true, "in any case, as over REST");
    for resolver in [Resolver::Rpc, Resolver::InProcess] {
        let provider = meister.provider(resolver, None).await;
        assert_eq!(is_on(&provider, "checkout", "jane").await, Ok(false), "{resolver}");
    }
    let all = meister.ofrep("", None, None).await;
    assert_eq!(all["flags"].as_array().unwrap().len(), 1, "{all}");

    let other = Meister::with(&[("flags-default-environment", "Stage")]).await;
    other.create_feature("checkout").await;
    other.create_environment("stage").await;
    other.switch("stage", "checkout", "ON").await;
    assert_eq!(other.ofrep("/checkout", None, None).await["value"], true);
}

#[tokio::test]
async fn web_pages_of_the_origins_in_the_option_may_read_flags() {
    let origins = "https://shop.example,http://localhost:3000";
    let meister = Meister::with(&[("flags-cors-origins", origins)]).await;
    meister.create_feature("checkout").await;
    let server = meister.running.flag_server();
    let ofrep = format!("http://{}/ofrep/v1/evaluate/flags/checkout", server.ofrep_addr().unwrap());
    let connect = format!(
        "http://{}/flagd.evaluation.v1.Service/ResolveBoolean",
        server.evaluation_addr().unwrap()
    );
    for (url, body) in [(ofrep, json!({})), (connect, json!({"flagKey": "checkout"}))] {
        for (origin, is_allowed) in
            [("https://shop.example", true), ("https://evil.example", false)]
        {
            let request = meister.http.post(&url).header("origin", origin);
            let request = request.header("content-type", "application/json").body(body.to_string());
            let response = request.send().await.unwrap();
            assert!(response.status().is_success(), "{}", response.status());
            let allowed = response.headers().get("access-control-allow-origin");
            assert_eq!(
                allowed.map(|it| it.to_str().unwrap()),
                is_allowed.then_some(origin),
                "{url}"
            );
        }
    }
}

#[tokio::test]
async fn a_change_is_in_force_for_rest_at_once_and_for_flags_soon() {
    let meister = Meister::start().await;
    meister.create_feature("checkout").await;
    let provider = meister.provider(Resolver::Rpc, None).await;
    for state in ["ON", "OFF", "ON"] {
        meister.switch("production", "checkout", state).await;
        let answer = meister.get("/api/envs/production/toggles?feature=checkout").await;
        assert_eq!(answer, json!({"checkout": state == "ON"}));
        let began = std::time::Instant::now();
        becomes_true(state, async || {
            is_on(&provider, "checkout", "jane").await == Ok(state == "ON")
        })
        .await;
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    }
}
