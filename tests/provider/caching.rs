//! What is cached, and what is removed and when: docs/resolvers.md, "The cache", and the last
//! column of the table "Transitions" of docs/lifecycle.md.

use std::time::Duration;

use crate::support::{
    provider::{ALL_CHANGED, boolean, changed, expect, expect_error, near, ready, value, watched},
    scripted::{Flag, ScriptedServer, StreamMode},
};
use flagstaff::{FlagdProvider, ProviderEvent, State, flagd::CacheType};
use open_feature::{
    EvaluationContext, EvaluationReason as Reason, FlagMetadataValue, StructValue,
    provider::FeatureProvider,
};
use serde_json::{Value, json};
use tonic::Status;

fn context() -> EvaluationContext {
    EvaluationContext::default()
}

/// A provider that has lost its stream and cannot open another, while calls succeed.
async fn stale(server: &ScriptedServer) -> (FlagdProvider, flagstaff::flagd::Events) {
    let (provider, mut events) = watched(near(server.port())).await;
    server.streams(StreamMode::Fail(Status::unavailable("away")));
    boolean(&provider, "kept").await.unwrap();
    server.end_streams(None);
    expect(&mut events, [ProviderEvent::Stale]).await;
    (provider, events)
}

/// docs/resolvers.md, "The cache".
#[tokio::test]
async fn only_static_results_are_cached() {
    let server = ScriptedServer::start();
    let provider = ready(near(server.port())).await;
    for reason in ["TARGETING_MATCH", "DEFAULT", "SPLIT", "CACHED", "UNKNOWN", "", "static"] {
        server.set("on", Flag::new(true).reason(reason));
        let before = server.observed().unary();
        for _ in 0..2 {
            boolean(&provider, "on").await.unwrap();
        }
        assert_eq!(server.observed().unary(), before + 2, "{reason}");
    }
    assert_eq!(provider.stats().cache_entries, 0);
    server.set("on", true);
    assert_eq!(value(&provider, "on").await.1, Reason::Static);
    assert_eq!(value(&provider, "on").await.1, Reason::Cached);
}

/// Errors and flags without a value are requested again.
#[tokio::test]
async fn errors_and_absent_values_are_not_cached() {
    let server = ScriptedServer::start();
    let provider = ready(near(server.port())).await;
    server.set("disabled", Flag::disabled());
    server.set("none", Flag::no_default().reason("STATIC"));
    for key in ["disabled", "none", "missing"] {
        let before = server.observed().unary();
        for _ in 0..2 {
            boolean(&provider, key).await.unwrap_err();
        }
        assert_eq!(server.observed().unary(), before + 2, "{key}");
    }
    assert_eq!(provider.stats().cache_entries, 0);
}

/// The reason is CACHED; variant and metadata are those of the original, for each type.
#[tokio::test]
async fn a_cached_result_differs_only_in_its_reason() {
    let server = ScriptedServer::start();
    let provider = ready(near(server.port())).await;
    macro_rules! twice {
        ($method:ident, $json:expr, $value:expr) => {{
            let metadata = json!({ "scope": "test", "version": 7 });
            server.set("flag", Flag::new($json).variant("v").metadata(metadata));
            let first = provider.$method("flag", &context()).await.unwrap();
            let calls = server.observed().unary();
            let second = provider.$method("flag", &context()).await.unwrap();
            assert_eq!(server.observed().unary(), calls);
            assert_eq!((&first.value, &second.value), (&$value, &$value));
            assert_eq!((first.reason, second.reason), (Some(Reason::Static), Some(Reason::Cached)));
            assert_eq!(second.variant.as_deref(), Some("v"));
            let metadata = second.flag_metadata.unwrap();
            assert_eq!(metadata.values["version"], FlagMetadataValue::Int(7));
            assert_eq!(Some(metadata), first.flag_metadata);
        }};
    }
    twice!(resolve_bool_value, true, true);
    twice!(resolve_string_value, "text", "text".to_owned());
    twice!(resolve_float_value, 0.5, 0.5);
    twice!(resolve_int_value, 3, 3);
    let object = StructValue::default().with_field("a", true);
    twice!(resolve_struct_value, json!({ "a": true }), object);
}

/// docs/resolvers.md, "The cache": the type is part of the cache key.
#[tokio::test]
async fn types_are_cached_apart() {
    let server = ScriptedServer::start();
    server.set("number", 1.5);
    let (provider, mut events) = watched(near(server.port())).await;
    for _ in 0..2 {
        assert!(
            (provider.resolve_float_value("number", &context()).await.unwrap().value - 1.5) == 0.0
        );
        assert_eq!(provider.resolve_int_value("number", &context()).await.unwrap().value, 1);
        provider.resolve_string_value("number", &context()).await.unwrap_err();
    }
    assert_eq!((server.observed().unary(), provider.stats().cache_entries), (4, 2));
    server.change(&["number"]);
    expect(&mut events, [changed(&["number"])]).await;
    assert_eq!(provider.stats().cache_entries, 0, "a change is of all types");
}

/// docs/resolvers.md, "The cache": the context is not part of the cache key.
#[tokio::test]
async fn any_number_of_users_of_a_static_flag_cost_one_call() {
    let server = ScriptedServer::start();
    server.set("on", true);
    let provider = ready(near(server.port())).await;
    for user in 0..1_500 {
        let context = context().with_targeting_key(format!("user-{user}"));
        assert!(provider.resolve_bool_value("on", &context).await.unwrap().value);
    }
    assert_eq!(server.observed().unary(), 1);
    assert_eq!((provider.stats().cache_hits, provider.stats().cache_misses), (1_499, 1));
}

/// docs/lifecycle.md, "Transitions": these keys are removed; all, if flagd does not name them.
#[tokio::test]
async fn a_change_drops_what_it_names_and_all_if_it_names_none() {
    let server = ScriptedServer::start();
    let (provider, mut events) = watched(near(server.port())).await;
    let keys = ["a", "b", "c"];
    for key in keys {
        server.set(key, true);
        boolean(&provider, key).await.unwrap();
    }
    for key in keys {
        server.set(key, false);
    }
    server.change(&["a", "b", "unknown"]);
    expect(&mut events, [changed(&["a", "b", "unknown"])]).await;
    assert_eq!((provider.stats().cache_entries, provider.stats().cache_invalidations), (1, 2));
    assert_eq!(value(&provider, "a").await, (false, Reason::Static));
    assert_eq!(value(&provider, "c").await, (true, Reason::Cached), "it was not named");

    let malformed: [Option<Value>; 6] = [
        None,
        Some(json!({})),
        Some(json!({ "flags": {} })),
        Some(json!({ "flags": ["c"] })),
        Some(json!({ "flags": null, "flagKey": "a" })),
        Some(json!({ "flagKey": 1 })),
    ];
    for data in malformed {
        boolean(&provider, "c").await.unwrap();
        boolean(&provider, "b").await.unwrap();
        server.send("configuration_change", data.as_ref().map(crate::support::json::to_struct));
        expect(&mut events, [ALL_CHANGED]).await;
        assert_eq!(provider.stats().cache_entries, 0, "{data:?}");
    }
    assert_eq!(value(&provider, "c").await, (false, Reason::Static));
}

/// docs/lifecycle.md, "Transitions": the cache is read in READY and STALE, and filled only in
/// READY. After a reconnection no value is stale.
#[tokio::test]
async fn stale_reads_the_cache_and_does_not_fill_it() {
    let server = ScriptedServer::start();
    server.set("kept", true);
    server.set("other", true);
    let (provider, mut events) = stale(&server).await;
    let calls = server.observed().unary();
    assert_eq!(value(&provider, "kept").await, (true, Reason::Cached));
    assert_eq!(server.observed().unary(), calls);
    for _ in 0..2 {
        assert_eq!(value(&provider, "other").await, (true, Reason::Static));
    }
    assert_eq!((server.observed().unary(), provider.stats().cache_entries), (calls + 2, 1));

    server.set("kept", false);
    server.streams(StreamMode::Ready);
    expect(&mut events, [ProviderEvent::Ready]).await;
    assert_eq!(value(&provider, "kept").await, (false, Reason::Static));
    assert_eq!(value(&provider, "kept").await, (false, Reason::Cached));
}

/// docs/lifecycle.md, "Transitions": `retryGracePeriod` passes. Nothing is added in ERROR either.
#[tokio::test]
async fn error_drops_the_cache_and_does_not_fill_it() {
    let server = ScriptedServer::start();
    server.set("on", true);
    let options = near(server.port()).retry_grace_period(Duration::ZERO);
    let (provider, mut events) = watched(options).await;
    boolean(&provider, "on").await.unwrap();
    server.streams(StreamMode::Fail(Status::unavailable("away")));
    server.end_streams(None);
    expect_error(&mut events).await;
    assert_eq!((provider.stats().cache_entries, provider.stats().cache_invalidations), (0, 1));
    server.set("on", false);
    for _ in 0..3 {
        assert_eq!(value(&provider, "on").await, (false, Reason::Static));
    }
    assert_eq!((provider.state(), provider.stats().cache_entries), (State::Error, 0));
}

/// docs/resolvers.md, "The cache": `maxCacheSize` 0, or `cache` set to `disabled`.
#[tokio::test]
async fn a_disabled_cache_keeps_and_counts_nothing() {
    let server = ScriptedServer::start();
    server.set("on", true);
    let near = || near(server.port());
    for options in [near().cache(CacheType::Disabled), near().max_cache_size(0)] {
        let provider = ready(options).await;
        let before = server.observed().unary();
        for _ in 0..3 {
            assert_eq!(value(&provider, "on").await, (true, Reason::Static));
        }
        assert_eq!(server.observed().unary(), before + 3);
        let stats = provider.stats();
        assert_eq!((stats.cache_hits, stats.cache_misses, stats.cache_entries), (0, 0, 0));
    }
}

/// docs/resolvers.md, "The cache": a result that was read is spared once.
#[tokio::test]
async fn the_least_recently_used_goes_first_unless_it_was_read_since() {
    let server = ScriptedServer::start();
    let provider = ready(near(server.port()).max_cache_size(3)).await;
    for key in ["a", "b", "c", "d", "e"] {
        server.set(key, true);
    }
    for (key, reason) in [
        ("a", Reason::Static),
        ("b", Reason::Static),
        ("c", Reason::Static),
        ("a", Reason::Cached),
        ("d", Reason::Static), // in place of b
        ("a", Reason::Cached),
        ("c", Reason::Cached),
        ("e", Reason::Static), // in place of d
        ("a", Reason::Cached),
        ("c", Reason::Cached),
        ("d", Reason::Static), // in place of e
        ("b", Reason::Static), // in place of c, which was spared once
        ("a", Reason::Cached),
        ("c", Reason::Static), // in place of d
    ] {
        assert_eq!(value(&provider, key).await, (true, reason), "{key}");
        assert!(provider.stats().cache_entries <= 3);
    }
    let stats = provider.stats();
    assert_eq!((stats.cache_hits, stats.cache_misses, stats.cache_invalidations), (6, 8, 0));
}
