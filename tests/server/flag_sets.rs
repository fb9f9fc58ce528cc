//! Flag sets of the program: a key means something else in each, they are added and removed, and an
//! option sets what clients without a selector see.

use flagstaff::{
    FlagdProvider, ProviderEvent,
    evaluator::DefinitionError,
    flagd::{ChangedFlags, Resolver},
    server::Server,
};
use http::Method;
use open_feature::{EvaluationContext, EvaluationErrorCode, provider::FeatureProvider};
use serde_json::{Value, json};

use super::client::{event, events, send, v1};
use crate::support::{provider::near, wait::bounded};

/// A server with the flag `limit` in two flag sets, and one without a flag set.
async fn shops() -> Server {
    let server = Server::builder().ephemeral().bind().await.unwrap();
    fill(&server);
    server
}

fn fill(server: &Server) {
    let flags = server.flags();
    flags.flag_set("shop").set_value("limit", 10).unwrap();
    flags.flag_set("billing").set_value("limit", 500).unwrap();
    flags.set_value("plain", 1).unwrap();
}

/// The value of a flag over OFREP; null where it does not exist.
async fn value(server: &Server, key: &str, selector: Option<&str>) -> Value {
    let path = format!("/ofrep/v1/evaluate/flags/{key}");
    let headers: Vec<_> = selector.map(|text| ("flagd-selector", text)).into_iter().collect();
    let answer = send(server.ofrep_addr(), Method::POST, &path, &headers, "{}").await;
    answer.json()["value"].clone()
}

/// A provider for the flag set `id`, which evaluates in flagd or in process.
async fn provider(server: &Server, resolver: Resolver, id: &str) -> FlagdProvider {
    let address = match resolver {
        Resolver::Rpc => server.evaluation_addr(),
        _ => server.sync_addr(),
    };
    let options = near(address.unwrap().port()).resolver(resolver);
    let options = options.selector(format!("flagSetId={id}")).without_env().build().unwrap();
    let provider = FlagdProvider::new(options);
    bounded("the start", provider.start()).await;
    provider
}

async fn limit(provider: &FlagdProvider) -> Result<i64, EvaluationErrorCode> {
    let context = EvaluationContext::default();
    let evaluation = bounded("an evaluation", provider.resolve_int_value("limit", &context)).await;
    evaluation.map(|details| details.value).map_err(|error| error.code)
}

#[tokio::test]
async fn one_key_means_something_else_in_each_flag_set() {
    let server = shops().await;
    for (id, expected) in [("shop", 10), ("billing", 500)] {
        let selector = format!("flagSetId={id}");
        assert_eq!(value(&server, "limit", Some(&selector)).await, json!(expected));
        for resolver in [Resolver::Rpc, Resolver::InProcess] {
            let provider = provider(&server, resolver, id).await;
            assert_eq!(limit(&provider).await, Ok(expected), "{id} {resolver}");
        }
    }
    assert_eq!(value(&server, "limit", Some("flagSetId=other")).await, Value::Null);
    assert_eq!(value(&server, "limit", Some("flagSetId=")).await, Value::Null);
    assert_eq!(value(&server, "plain", Some("flagSetId=")).await, json!(1));
    assert_eq!(value(&server, "plain", Some("flagSetId=shop")).await, Value::Null);
    // Without a selector a client sees the flags of all flag sets, and those of the newer one win.
    assert_eq!(value(&server, "plain", None).await, json!(1));
    assert_eq!(value(&server, "limit", None).await, json!(500));
}

#[tokio::test]
async fn a_client_without_a_selector_sees_the_default_flag_set() {
    for (default, limit, plain) in [
        ("shop", json!(10), Value::Null),
        ("billing", json!(500), Value::Null),
        ("", Value::Null, json!(1)),
    ] {
        let server = Server::builder().ephemeral().default_flag_set(default).bind().await.unwrap();
        fill(&server);
        for selector in [None, Some("")] {
            assert_eq!(value(&server, "limit", selector).await, limit, "{default}");
            assert_eq!(value(&server, "plain", selector).await, plain, "{default}");
        }
        assert_eq!(value(&server, "limit", Some("flagSetId=billing")).await, json!(500));
        // Over gRPC and the sync service too.
        let ports = [server.evaluation_addr(), server.sync_addr()].map(|it| it.unwrap().port());
        for (port, resolver) in ports.into_iter().zip([Resolver::Rpc, Resolver::InProcess]) {
            let options = near(port).resolver(resolver).without_env().build().unwrap();
            let provider = FlagdProvider::new(options);
            bounded("the start", provider.start()).await;
            assert_eq!(self::limit(&provider).await.ok(), limit.as_i64(), "{default} {resolver}");
        }
    }
}

#[tokio::test]
async fn flag_sets_come_and_go() {
    let server = shops().await;
    let flags = server.flags();
    assert_eq!(flags.flag_sets(), ["billing", "shop"]);
    flags.flag_set("shop").clear();
    assert_eq!(flags.flag_sets(), ["billing"]);
    assert_eq!(value(&server, "limit", Some("flagSetId=shop")).await, Value::Null);
    // Another flag set takes its place in the store.
    for number in 0..50 {
        let set = flags.flag_set(format!("set-{number}"));
        set.set_value("limit", number).unwrap();
        let selector = format!("flagSetId=set-{number}");
        assert_eq!(value(&server, "limit", Some(&selector)).await, json!(number));
        assert_eq!(value(&server, "limit", Some("flagSetId=shop")).await, Value::Null);
        set.remove("limit");
    }
    assert_eq!(flags.flag_sets(), ["billing"]);
    flags.clear();
    assert_eq!(value(&server, "plain", None).await, Value::Null);
    assert_eq!(value(&server, "limit", None).await, json!(500));
}

#[tokio::test]
async fn clients_are_notified_of_their_flag_set_alone() {
    let server = shops().await;
    let mut client = v1(&server).await;
    let mut shop = events(&mut client, "flagSetId=shop").await;
    let mut billing = events(&mut client, "flagSetId=billing").await;
    let flags = server.flags();
    flags.flag_set("shop").set_value("limit", 11).unwrap();
    flags.flag_set("billing").clear();
    flags.flag_set("shop").set_value("last", true).unwrap();
    flags.flag_set("billing").set_value("limit", 501).unwrap();

    let named = |(kind, data): (String, Value), key: &str| {
        assert_eq!(kind, "configuration_change");
        data["flags"][key]["type"].clone()
    };
    let first = event(&mut shop).await;
    let mut seen = vec![named(first.clone(), "limit")];
    if first.1["flags"].get("last").is_none() {
        assert_eq!(named(event(&mut shop).await, "last"), json!("write"));
    }
    let first = event(&mut billing).await;
    assert_eq!(first.1["flags"].as_object().unwrap().len(), 1, "{first:?}");
    seen.push(named(first, "limit"));
    assert_eq!(seen[0], json!("update"));
    // Deleted and then written, or both at once.
    assert!(seen[1] == json!("delete") || seen[1] == json!("update"), "{seen:?}");
}

#[tokio::test]
async fn an_in_process_provider_follows_its_flag_set() {
    let server = shops().await;
    let provider = provider(&server, Resolver::InProcess, "shop").await;
    let mut events = provider.events();
    assert_eq!(bounded("READY", events.next()).await, Some(ProviderEvent::Ready));
    server.flags().flag_set("billing").set_value("limit", 1).unwrap();
    server.flags().flag_set("shop").set_value("limit", 12).unwrap();
    let changed = ChangedFlags::Keys(["limit".to_owned()].into());
    let changed = ProviderEvent::ConfigurationChanged(changed);
    assert_eq!(bounded("the change", events.next()).await, Some(changed));
    assert_eq!(limit(&provider).await, Ok(12));
}

#[tokio::test]
async fn the_metadata_names_the_flag_set() {
    let server = shops().await;
    let shop = server.flags().flag_set("shop");
    let flag = json!({"variants": {"a": 1}, "defaultVariant": "a", "metadata": {"team": "x"}});
    shop.set("own", flag).unwrap();
    for (key, metadata) in [
        ("limit", json!({"flagSetId": "shop"})),
        ("own", json!({"flagSetId": "shop", "team": "x"})),
    ] {
        let path = format!("/ofrep/v1/evaluate/flags/{key}");
        let headers = [("flagd-selector", "flagSetId=shop")];
        let answer = send(server.ofrep_addr(), Method::POST, &path, &headers, "{}").await;
        assert_eq!(answer.json()["metadata"], metadata);
    }
    // A definition that names another flag set is rejected and changes nothing.
    let of_another = json!({"variants": {"a": 1}, "metadata": {"flagSetId": "billing"}});
    let definitions = [
        json!({"flags": {"own": of_another}}).to_string(),
        json!({"flags": {}, "metadata": {"flagSetId": "billing"}}).to_string(),
    ];
    for definition in definitions {
        let Err(DefinitionError::Invalid(problems)) = shop.replace(&definition) else {
            panic!("{definition} was accepted");
        };
        assert_eq!(problems.len(), 1);
        assert!(problems[0].message.contains("billing") && problems[0].message.contains("shop"));
        assert!(problems[0].column > 1, "{problems:?}");
    }
    assert_eq!(value(&server, "own", Some("flagSetId=shop")).await, json!(1));
    shop.replace(r#"{"flags": {"new": {"variants": {"a": 2}, "defaultVariant": "a"}}}"#).unwrap();
    assert_eq!(value(&server, "new", Some("flagSetId=shop")).await, json!(2));
    assert_eq!(value(&server, "own", Some("flagSetId=shop")).await, Value::Null);
}
