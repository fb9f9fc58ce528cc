//! The requests of a client, and what becomes of faults.

use std::time::{Duration, SystemTime};

use flagstaff::flagops::{FactPatch, FactsError, ListQuery, PutFact, Secret};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use super::{
    double::{Does, Store},
    wait::bounded,
};

#[tokio::test]
async fn facts_are_written_and_read() {
    let store = Store::start().await;
    let client = store.client();
    assert!(client.facts("acme").await.unwrap().facts.is_empty());
    assert_eq!(client.fact("acme", "tier").await.unwrap(), None);
    let version = client.put_fact("acme", "tier", "gold").await.unwrap().unwrap();
    client.put_fact("acme", "cluster", "eu 1/%").await.unwrap();
    let fact = client.fact("acme", "tier").await.unwrap().unwrap();
    assert_eq!((&*fact.value, fact.version.as_deref()), ("gold", Some(&*version)));
    let all = client.facts("acme").await.unwrap();
    assert_eq!(json!(all.facts), json!({"tier": "gold", "cluster": "eu 1/%"}));
    assert_eq!((all.sequence, all.version.as_deref()), (Some(2), Some("2")));
    client.delete_fact("acme", "tier").await.unwrap();
    assert_eq!(client.fact("acme", "tier").await.unwrap(), None);
    client.delete_fact("nobody", "tier").await.unwrap();
    client.delete_identity("acme").await.unwrap();
    assert!(client.facts("acme").await.unwrap().facts.is_empty());
}

#[tokio::test]
async fn names_are_one_segment_and_come_back_as_they_were() {
    let store = Store::start().await;
    let client = store.client();
    for name in ["a:b", "*", "100%", "a%20b", "a b", "ž?#&=+", "...", "a\\b"] {
        client.put_fact(name, name, name).await.unwrap();
        assert_eq!(client.fact(name, name).await.unwrap().unwrap().value, name);
        assert_eq!(client.facts(name).await.unwrap().facts[name], name);
        assert_eq!(store.fact(name, name).as_deref(), Some(name));
    }
}

#[tokio::test]
async fn a_write_can_have_a_condition_and_an_expiry() {
    let store = Store::start().await;
    let client = store.client();
    let put = |fact| client.put_fact("acme", "tier", fact);
    let first = put(PutFact::new("gold").if_absent()).await.unwrap().unwrap();
    let conflict = put(PutFact::new("silver").if_absent()).await.unwrap_err();
    assert!(matches!(conflict, FactsError::Conflict(_)), "{conflict}");
    put(PutFact::new("silver").if_version(&first)).await.unwrap();
    let conflict = put(PutFact::new("bronze").if_version(&first)).await.unwrap_err();
    assert!(matches!(conflict, FactsError::Conflict(_)), "{conflict}");
    let conflict = client.delete_fact_if("acme", "tier", &first).await.unwrap_err();
    assert!(matches!(conflict, FactsError::Conflict(_)), "{conflict}");
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000);
    let version = put(PutFact::new("gold").expires_at(at)).await.unwrap().unwrap();
    assert_eq!(client.fact("acme", "tier").await.unwrap().unwrap().expires, Some(at));
    client.delete_fact_if("acme", "tier", &version).await.unwrap();
    assert_eq!(store.fact("acme", "tier"), None);
    put(PutFact::new("gold").expires_in(Duration::from_secs(90))).await.unwrap();
    let sent = store.asked("PUT").pop().unwrap();
    assert_eq!(sent.body, json!({"value": "gold", "expires_in": 90}));
}

#[tokio::test]
async fn facts_are_merged_for_one_identity_and_for_many() {
    let store = Store::start().await;
    let client = store.client();
    store.set("a", "old", "1");
    let patch = FactPatch::new().set("tier", "gold").remove("old");
    client.merge_facts("a", &patch.clone().if_version("1")).await.unwrap();
    assert_eq!(json!(client.facts("a").await.unwrap().facts), json!({"tier": "gold"}));
    let conflict = client.merge_facts("a", &patch.clone().if_version("1")).await.unwrap_err();
    assert!(matches!(conflict, FactsError::Conflict(_)), "{conflict}");
    client.merge_all([("b", &patch), ("c", &patch)]).await.unwrap();
    assert_eq!(store.fact("c", "tier").as_deref(), Some("gold"));
    client.merge_all([("b", &patch.if_version("1"))]).await.unwrap_err();
}

#[tokio::test]
async fn lists_come_in_pages() {
    let store = Store::start().await;
    let client = store.client();
    for n in 0..7 {
        store.set(&format!("c{n}"), "n", &n.to_string());
    }
    store.set("d", "n", "d");
    store.set_secret("c7", "key", "hush");
    let (mut query, mut found, mut pages) = (Some(ListQuery::prefix("c").limit(3)), vec![], 0);
    while let Some(next) = query {
        let page = client.identities(&next).await.unwrap();
        found.extend(page.items);
        query = page.next;
        pages += 1;
    }
    assert_eq!((found.len(), pages), (8, 3));
    let (last, has) = found.pop().unwrap();
    assert_eq!((&*last, has.facts, has.secrets), ("c7", Some(false), Some(true)));
    let page = client.all_facts(&ListQuery::all().after("c5").limit(2)).await.unwrap();
    assert_eq!(json!(page.items), json!({"c6": {"n": "6"}, "c7": {}}));
    assert_eq!(page.next, Some(ListQuery::all().limit(2).after("c7")));
    assert_eq!(page.sequence, Some(8));
}

#[tokio::test]
async fn history_begins_with_the_newest_version() {
    let store = Store::start().await;
    let client = store.client();
    store.set("a", "tier", "gold");
    store.set("a", "other", "x");
    store.remove("a", "tier");
    let all = client.history("a", "tier", None).await.unwrap();
    let all: Vec<_> = all.iter().map(|it| (it.version, it.value.as_deref(), &*it.by)).collect();
    assert_eq!(all, [(3, None, "token:cms"), (1, Some("gold"), "token:cms")]);
    assert_eq!(client.history("a", "tier", Some(3)).await.unwrap().len(), 1);
    assert!(client.history("b", "tier", None).await.unwrap().is_empty());
}

#[tokio::test]
async fn secrets() {
    let store = Store::start().await;
    let client = store.client();
    assert!(client.secrets("acme").await.unwrap().is_empty());
    let secret = SecretString::from("-----BEGIN \"x\"\n\\");
    client.put_secret("acme", "key", &secret).await.unwrap();
    let read = client.secret("acme", "key").await.unwrap().unwrap();
    assert_eq!(read.expose_secret(), secret.expose_secret());
    let all = client.secrets("acme").await.unwrap();
    assert!(all["key"].expose_secret() == secret.expose_secret());
    assert!(!format!("{all:?}").contains("BEGIN"));
    client.delete_secret("acme", "key").await.unwrap();
    assert!(client.secret("acme", "key").await.unwrap().is_none());
    client.delete_secret("nobody", "key").await.unwrap();
}

#[tokio::test]
async fn a_renewed_token_takes_effect() {
    let store = Store::start().await;
    store.requires("first");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "first\n").unwrap();
    let client = store.builder().token(Secret::file(file.path())).build().unwrap();
    client.put_fact("a", "b", "c").await.unwrap();
    store.requires("second");
    let error = client.facts("a").await.unwrap_err();
    assert!(matches!(error, FactsError::Unauthorized(_)), "{error}");
    std::fs::write(file.path(), "second\n").unwrap();
    assert_eq!(client.facts("a").await.unwrap().facts["b"], "c");
    std::fs::remove_file(file.path()).unwrap();
    let error = client.facts("a").await.unwrap_err();
    assert!(matches!(error, FactsError::Setup(_)), "{error}");
}

#[tokio::test]
async fn what_is_safe_to_repeat_is_repeated() {
    let store = Store::start().await;
    let client = store.builder().timeout(Duration::from_millis(300)).build().unwrap();
    store.set("a", "b", "c");
    for does in [Does::Status(503), Does::RetryAfter(429, 0), Does::Cut, Does::Never] {
        let mut left = 2;
        let shown = does.clone();
        store.does(move |_| {
            left -= 1;
            (left >= 0).then(|| does.clone())
        });
        let facts = client.facts("a").await;
        assert_eq!(facts.unwrap_or_else(|error| panic!("{shown:?}: {error}")).facts["b"], "c");
    }
    store.does(|_| Some(Does::Status(503)));
    for (what, expected) in [("GET", 3), ("PUT", 3), ("DELETE", 3), ("PATCH", 1)] {
        let before = store.asked(what).len();
        let error = match what {
            "GET" => client.facts("a").await.unwrap_err(),
            "PUT" => client.put_fact("a", "b", "d").await.unwrap_err(),
            "DELETE" => client.delete_identity("a").await.unwrap_err(),
            _ => client.merge_facts("a", &FactPatch::new().set("b", "d")).await.unwrap_err(),
        };
        assert!(matches!(error, FactsError::Unavailable { .. }) && error.is_temporary());
        assert_eq!(store.asked(what).len() - before, expected, "{what}");
    }
    // Of a condition nobody knows whether the first attempt has met it.
    store.does(|asked| (asked.method == "PUT").then_some(Does::Status(503)));
    let before = store.asked("PUT").len();
    client.put_fact("a", "b", PutFact::new("d").if_version("1")).await.unwrap_err();
    assert_eq!(store.asked("PUT").len() - before, 1);
}

#[tokio::test]
async fn a_long_retry_after_is_for_the_caller() {
    let store = Store::start().await;
    store.does(|_| Some(Does::RetryAfter(503, 3600)));
    let error = bounded("an error", store.client().facts("a")).await.unwrap_err();
    let FactsError::Unavailable { retry_after, .. } = error else { panic!("{error}") };
    assert_eq!(retry_after, Some(Duration::from_secs(3600)));
    assert_eq!(store.asked("GET").len(), 1);
}

#[tokio::test]
async fn rejections_are_typed_and_say_why() {
    let store = Store::start().await;
    let client = store.client();
    let detail = r#"{"status":400,"detail":"no such\nluck","code":"x"}"#;
    for (status, body, expected) in [
        (400, detail, "Invalid"),
        (413, detail, "Invalid"),
        (401, "", "Unauthorized"),
        (403, detail, "Forbidden"),
        (412, detail, "Conflict"),
        (405, "", "Unsupported"),
        (302, "", "Unexpected"),
        (200, "<html>", "Unexpected"),
        (200, r#"{"tier":5}"#, "Unexpected"),
        (200, r#"["hush"]"#, "Unexpected"),
    ] {
        store.does(move |_| Some(Does::Body(status, "application/json", body.to_owned())));
        let error = client.facts("a").await.unwrap_err();
        assert!(format!("{error:?}").starts_with(expected), "{status}: {error:?}");
        assert!(!error.to_string().contains('\n') && !error.to_string().contains("hush"));
    }
    store.does(move |_| Some(Does::Body(400, "application/json", detail.to_owned())));
    let error = client.facts("a").await.unwrap_err().to_string();
    let expected =
        format!("GET {}/api/fact/a returned 400 Bad Request (no such\\nluck)", store.url);
    assert_eq!(error, expected);
}

#[tokio::test]
async fn no_error_quotes_the_token_or_a_secret() {
    let store = Store::start().await;
    let client = store.builder().token("hush").build().unwrap();
    let body = |text: &str| {
        let body = json!({"status": 400, "detail": text, "code": text}).to_string();
        move |_: &super::double::Asked| Some(Does::Body(400, "application/json", body.clone()))
    };
    store.does(body("invalid token hush"));
    let error = client.facts("a").await.unwrap_err();
    assert!(!format!("{error:?} {error}").contains("hush"), "{error:?}");
    store.does(body("cannot store p4ssw0rd"));
    let error = client.put_secret("a", "b", &"p4ssw0rd".into()).await.unwrap_err();
    assert!(!format!("{error:?} {error}").contains("p4ssw0rd"), "{error:?}");
    assert!(!format!("{client:?}").contains("hush"));
}

#[tokio::test]
async fn an_unreachable_store_is_an_error_with_its_cause() {
    let store = Store::start().await;
    let client = store.builder().retries(0).build().unwrap();
    drop(store);
    let error = bounded("an error", async {
        loop {
            // The task of the store ends a moment later.
            match client.facts("a").await {
                Err(error @ FactsError::Unreachable(_)) => return error,
                _ => tokio::task::yield_now().await,
            }
        }
    });
    assert!(std::error::Error::source(&error.await).is_some());
}

#[tokio::test]
async fn a_value_that_cannot_be_stored_is_not_sent() {
    let store = Store::start().await;
    let client = store.client();
    for value in [String::new(), "x".repeat(65_537)] {
        let error = client.put_fact("a", "b", value.clone()).await.unwrap_err();
        assert!(matches!(error, FactsError::Name { .. }), "{error}");
        client.merge_facts("a", &FactPatch::new().set("b", value)).await.unwrap_err();
    }
    assert!(store.asked("").is_empty());
}

#[tokio::test]
async fn a_list_that_does_not_go_on_ends() {
    let store = Store::start().await;
    let body = r#"{"identities":{"a":{}},"next":"a"}"#.to_owned();
    store.does(move |_| Some(Does::Body(200, "application/json", body.clone())));
    let page = store.client().identities(&ListQuery::all().after("a")).await.unwrap();
    assert_eq!(page.next, None);
}
