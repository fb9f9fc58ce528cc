//! A first program, as short as the README promises, through the SDK's global API. One test only:
//! there is one such API in a process.

use flagstaff::{FlagdOptions, FlagdProvider, ProviderEvent};
use open_feature::{EvaluationContext, OpenFeature, provider::NoOpProvider};
use serde_json::{Value as Json, json};

use crate::{
    support::{flagd::FlagdProcess, wait::bounded},
    trial::trials,
};

trials![a_first_program];

fn definition() -> Json {
    json!({ "flags": { "new-checkout": {
        "state": "ENABLED",
        "variants": { "on": true, "off": false },
        "defaultVariant": "off",
        "targeting": { "if": [{ "ends_with": [{ "var": "email" }, "@example.com"] }, "on"] },
    } } })
}

async fn a_first_program() {
    let mut flagd =
        FlagdProcess::with(&definition()).ready_when("new-checkout").start().await.unwrap();

    let options = FlagdOptions::builder().host("127.0.0.1").port(flagd.port()).build().unwrap();
    let provider = FlagdProvider::new(options);
    let mut events = provider.events();
    OpenFeature::singleton_mut().await.set_provider(provider.clone()).await;
    let client = OpenFeature::singleton().await.create_client();

    let context = EvaluationContext::default()
        .with_targeting_key("ann")
        .with_custom_field("email", "ann@example.com");
    let on = client.get_bool_value("new-checkout", Some(&context), None).await.unwrap_or(false);
    assert!(on);

    let on = client.get_bool_value("new-checkout", None, None).await.unwrap_or(true);
    assert!(!on, "nobody in particular");
    let on = client.get_bool_value("no-such-flag", Some(&context), None).await.unwrap_or(true);
    assert!(on, "the default");
    assert_eq!(bounded("ready", events.next()).await, Some(ProviderEvent::Ready));

    flagd.kill();
    assert_eq!(bounded("stale", events.next()).await, Some(ProviderEvent::Stale));
    let on = client.get_bool_value("new-checkout", Some(&context), None).await.unwrap_or(false);
    assert!(!on, "the default, without flagd");

    provider.shutdown().await;
    assert_eq!(bounded("the end", events.next()).await, None);
    OpenFeature::singleton_mut().await.set_provider(NoOpProvider::default()).await;
}
