//! The library's client of the API, on each database.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use flagstaff::flagops::{FactPatch, FactsClient, FactsError, ListQuery, PutFact};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{program::Program, support::client};

/// Names with everything that is allowed and has a meaning elsewhere.
const NAMES: [&str; 4] = ["a:b*c", "100% a+b&c=d?e#f", "ä \u{1f980} %2F..", "..."];

fn facts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

async fn values(client: &FactsClient, identity: &str) -> BTreeMap<String, String> {
    client.facts(identity).await.unwrap().facts
}

#[tokio::test]
async fn facts_are_written_merged_and_removed() {
    for program in Program::on_each() {
        let server = program.serve();
        let client = client(&server);
        assert!(values(&client, "acme").await.is_empty());
        assert_eq!(client.fact("acme", "tier").await.unwrap(), None);
        let first = client.put_fact("acme", "tier", "gold").await.unwrap();
        assert!(first.is_some());
        let same = client.put_fact("acme", "tier", "gold").await.unwrap();
        assert_eq!(same, first, "a write with the same value is no change");
        let patch = FactPatch::new().set("cluster", "eu-1").set("trial", "yes");
        client.merge_facts("acme", &patch).await.unwrap();
        client.merge_facts("acme", &FactPatch::new().remove("trial")).await.unwrap();
        let both = facts(&[("cluster", "eu-1"), ("tier", "gold")]);
        assert_eq!(values(&client, "acme").await, both);
        client.delete_fact("acme", "cluster").await.unwrap();
        client.delete_fact("acme", "cluster").await.unwrap();
        client.delete_fact("nobody", "cluster").await.unwrap();
        assert_eq!(values(&client, "acme").await, facts(&[("tier", "gold")]));
        client.delete_identity("acme").await.unwrap();
        client.delete_identity("acme").await.unwrap();
        assert!(values(&client, "acme").await.is_empty());
    }
}

#[tokio::test]
async fn many_identities_are_written_at_once_and_listed_in_pages() {
    for program in Program::on_each() {
        let server = program.serve();
        let client = client(&server);
        let patch = FactPatch::new().set("tier", "gold").set("seats", "5");
        let names: Vec<_> = (0..25).map(|n| format!("acme-{n:02}")).collect();
        let patches = names.iter().map(|name| (name.as_str(), &patch));
        client.merge_all(patches.chain([("other", &patch)])).await.unwrap();
        let (mut query, mut seen) = (Some(ListQuery::prefix("acme-").limit(10)), Vec::new());
        let mut pages = 0;
        while let Some(next) = query {
            let page = client.all_facts(&next).await.unwrap();
            assert!(page.sequence.is_some());
            for (identity, found) in page.items {
                assert_eq!(found, facts(&[("tier", "gold"), ("seats", "5")]));
                seen.push(identity);
            }
            (query, pages) = (page.next, pages + 1);
        }
        assert_eq!((seen, pages), (names, 3));
        let page = client.identities(&ListQuery::all().after("acme-24")).await.unwrap();
        assert_eq!(page.items.keys().collect::<Vec<_>>(), ["other"]);
        let other = page.items["other"];
        assert_eq!((other.facts, other.secrets), (Some(true), Some(false)));
        // A transaction writes all or nothing.
        let removal = FactPatch::new().remove("tier");
        let long = FactPatch::new().set("k", "v");
        let patches = (0..1001).map(|n| (format!("k{n}"), "v"));
        let many = patches.fold(long, |patch, (key, value)| patch.set(key, value));
        let error = client.merge_all([("other", &removal), ("zoe", &many)]).await.unwrap_err();
        assert!(matches!(error, FactsError::Invalid(_)), "{error}");
        assert_eq!(values(&client, "other").await.len(), 2);
    }
}

#[tokio::test]
async fn conditions_protect_what_somebody_else_has_written() {
    for program in Program::on_each() {
        let server = program.serve();
        let client = client(&server);
        let absent = |value| PutFact::new(value).if_absent();
        let version = client.put_fact("acme", "tier", absent("gold")).await.unwrap().unwrap();
        let error = client.put_fact("acme", "tier", absent("free")).await.unwrap_err();
        assert!(matches!(error, FactsError::Conflict(_)), "{error}");
        let fact = client.fact("acme", "tier").await.unwrap().unwrap();
        assert_eq!((&*fact.value, fact.version.as_ref()), ("gold", Some(&version)));
        let newer = PutFact::new("silver").if_version(version.clone());
        let newer = client.put_fact("acme", "tier", newer).await.unwrap().unwrap();
        let stale = client.delete_fact_if("acme", "tier", &version).await.unwrap_err();
        assert!(matches!(stale, FactsError::Conflict(_)), "{stale}");

        let whole = client.facts("acme").await.unwrap().version.unwrap();
        let patch = FactPatch::new().set("cluster", "eu-1").if_version(whole);
        client.merge_facts("acme", &patch).await.unwrap();
        let error = client.merge_facts("acme", &patch).await.unwrap_err();
        assert!(matches!(error, FactsError::Conflict(_)), "{error}");

        client.delete_fact_if("acme", "tier", &newer).await.unwrap();
        assert_eq!(values(&client, "acme").await, facts(&[("cluster", "eu-1")]));
    }
}

#[tokio::test]
async fn a_fact_has_a_history_and_can_expire() {
    for program in Program::on_each() {
        let server = program.serve();
        let client = client(&server);
        assert!(client.history("acme", "tier", None).await.unwrap().is_empty());
        client.put_fact("acme", "tier", "gold").await.unwrap();
        client.put_fact("acme", "tier", "silver").await.unwrap();
        client.delete_fact("acme", "tier").await.unwrap();
        let versions = client.history("acme", "tier", None).await.unwrap();
        let seen: Vec<_> =
            versions.iter().map(|it| (it.version, it.value.as_deref(), &*it.by)).collect();
        let by = "token:test";
        assert_eq!(seen, [(3, None, by), (2, Some("silver"), by), (1, Some("gold"), by)]);
        assert!(versions.iter().all(|it| it.at <= SystemTime::now()));
        let older = client.history("acme", "tier", Some(3)).await.unwrap();
        assert_eq!(older, versions[1..]);

        let hour = Duration::from_hours(1);
        let before = SystemTime::now();
        client.put_fact("acme", "trial", PutFact::new("yes").expires_in(hour)).await.unwrap();
        let expires = client.fact("acme", "trial").await.unwrap().unwrap().expires.unwrap();
        let second = Duration::from_secs(1);
        assert!(expires + second >= before + hour && expires <= SystemTime::now() + hour + second);
        let past = PutFact::new("no").expires_at(before + Duration::from_millis(1500));
        client.put_fact("acme", "trial", past).await.unwrap();
        while client.fact("acme", "trial").await.unwrap().is_some() {
            assert!(SystemTime::now() < before + crate::http::LONG, "the fact has not expired");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn secrets_are_written_read_and_removed() {
    for program in Program::on_each() {
        let server = program.serve();
        let client = client(&server);
        assert!(client.secrets("acme").await.unwrap().is_empty());
        assert!(client.secret("acme", "password").await.unwrap().is_none());
        client.put_secret("acme", "password", &SecretString::from("p4ssw0rd")).await.unwrap();
        let secret = client.secret("acme", "password").await.unwrap().unwrap();
        assert_eq!(secret.expose_secret(), "p4ssw0rd");
        assert_eq!(client.secrets("acme").await.unwrap().len(), 1);
        assert!(values(&client, "acme").await.is_empty(), "a secret is not a fact");
        client.delete_secret("acme", "password").await.unwrap();
        client.delete_secret("acme", "password").await.unwrap();
        assert!(client.secrets("acme").await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn every_name_that_is_allowed_is_read_back_exactly() {
    for program in Program::on_each() {
        let server = program.serve();
        let client = client(&server);
        for identity in NAMES {
            for key in NAMES {
                client.put_fact(identity, key, key).await.unwrap();
                let fact = client.fact(identity, key).await.unwrap().unwrap();
                assert_eq!(fact.value, key);
                assert_eq!(client.history(identity, key, None).await.unwrap().len(), 1);
            }
            assert_eq!(values(&client, identity).await, facts(&NAMES.map(|key| (key, key))));
            let page = client.identities(&ListQuery::prefix(identity)).await.unwrap();
            assert!(page.items.contains_key(identity), "{identity}");
            client.put_secret(identity, identity, &identity.into()).await.unwrap();
            let secret = client.secret(identity, identity).await.unwrap().unwrap();
            assert_eq!(secret.expose_secret(), identity);
        }
        assert_eq!(client.identities(&ListQuery::all()).await.unwrap().items.len(), NAMES.len());
    }
}

#[tokio::test]
async fn rejections_have_their_type() {
    let program = Program::new();
    let add = ["token", "add", "reader", "--permission=facts-read", "--prefix=acme-"];
    let reader = program.run(&add).out.trim().to_owned();
    let server = program.serve();
    let builder = || FactsClient::builder(&server.url);
    let error = builder().build().unwrap().facts("acme-1").await.unwrap_err();
    assert!(matches!(error, FactsError::Unauthorized(_)), "{error}");
    let error = builder().token("wrong").build().unwrap().facts("acme-1").await.unwrap_err();
    assert!(matches!(error, FactsError::Unauthorized(_)), "{error}");
    let reader = builder().token(reader.as_str()).build().unwrap();
    assert!(values(&reader, "acme-1").await.is_empty());
    let error = reader.facts("other").await.unwrap_err();
    assert!(matches!(error, FactsError::Forbidden(_)), "{error}");
    let error = reader.put_fact("acme-1", "tier", "gold").await.unwrap_err();
    assert!(matches!(error, FactsError::Forbidden(_)), "{error}");
    assert!(!error.is_temporary());
}
