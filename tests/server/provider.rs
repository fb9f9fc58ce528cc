//! The provider of this crate with the embedded server, and the helper for tests.

use flagstaff::{ProviderEvent, State, server::testing::TestServer};
use open_feature::{EvaluationContext, EvaluationReason, StructValue, provider::FeatureProvider};
use serde_json::json;

use super::support::{
    provider::{changed, expect, value},
    wait::bounded,
};

#[tokio::test]
async fn values_of_every_type() {
    let server = TestServer::start().await;
    server
        .set("bool", true)
        .set("string", "text")
        .set("int", 42)
        .set("float", 0.5)
        .set("object", json!({"a": {"b": [1, "c"]}}))
        .define(
            "targeted",
            json!({
                "variants": {"yes": true, "no": false}, "defaultVariant": "no",
                "targeting": {"if": [{"==": [{"var": "who"}, "me"]}, "yes"]},
            }),
        );
    let provider = server.provider().await;
    let user = EvaluationContext::default().with_custom_field("who", "me");
    assert!(provider.resolve_bool_value("bool", &user).await.unwrap().value);
    assert_eq!(provider.resolve_string_value("string", &user).await.unwrap().value, "text");
    assert_eq!(provider.resolve_int_value("int", &user).await.unwrap().value, 42);
    let float = provider.resolve_float_value("float", &user).await.unwrap().value;
    assert!((float - 0.5).abs() < f64::EPSILON);
    let object: StructValue = provider.resolve_struct_value("object", &user).await.unwrap().value;
    assert!(object.fields.contains_key("a"));
    let targeted = provider.resolve_bool_value("targeted", &user).await.unwrap();
    assert_eq!((targeted.value, targeted.reason), (true, Some(EvaluationReason::TargetingMatch)));
}

/// The cache is filled, and a change of the flag empties it before the event is emitted.
#[tokio::test]
async fn events_and_the_cache() {
    let server = TestServer::start().await;
    server.set("f", true);
    let (provider, mut events) = super::support::provider::watched(server.options()).await;
    assert_eq!(value(&provider, "f").await, (true, EvaluationReason::Static));
    assert_eq!(value(&provider, "f").await, (true, EvaluationReason::Cached));
    server.set("f", false);
    expect(&mut events, [changed(&["f"])]).await;
    assert_eq!(value(&provider, "f").await, (false, EvaluationReason::Static));
    server.remove("f");
    expect(&mut events, [changed(&["f"])]).await;
    let missing = super::support::provider::error(&provider, "f").await;
    assert_eq!(missing.code, open_feature::EvaluationErrorCode::FlagNotFound);
}

/// A provider outlives its server: STALE, and READY with the next one at the address.
#[tokio::test]
async fn a_server_that_is_available_again() {
    let server = TestServer::start().await;
    server.set("f", true);
    let address = server.server().evaluation_addr().unwrap();
    let options = super::support::provider::near(address.port());
    let (provider, mut events) = super::support::provider::watched(options).await;
    assert!(value(&provider, "f").await.0);
    server.shutdown().await;
    let stale = bounded("an event", events.next()).await.unwrap();
    assert!(matches!(stale, ProviderEvent::Stale), "{stale:?}");
    assert_eq!(provider.state(), State::Stale);
    let builder = flagstaff::server::Server::builder().ephemeral().evaluation(address);
    let again = builder.bind().await.unwrap();
    again.flags().set_value("f", false).unwrap();
    expect(&mut events, [ProviderEvent::Ready]).await;
    assert!(!value(&provider, "f").await.0);
}
