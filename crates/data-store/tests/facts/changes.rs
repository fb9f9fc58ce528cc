//! The change stream, read by the library: by itself, and as the facts of evaluations.

use std::time::Instant;

use flagstaff::flagops::{ChangeEvent, Changes, Facts, FactsClient, Subscription};
use serde_json::json;
use tokio::time::timeout;

use crate::{
    http::LONG,
    program::{Program, text},
    support::{becomes, client, fields, restart},
};

async fn next(changes: &mut Changes) -> ChangeEvent {
    timeout(LONG, changes.next()).await.expect("an event").unwrap()
}

/// The next event, after errors if there are any.
async fn recovered(changes: &mut Changes) -> ChangeEvent {
    let event = async {
        loop {
            if let Ok(event) = changes.next().await {
                return event;
            }
        }
    };
    timeout(LONG, event).await.expect("an event")
}

/// The next event, which has to be about a fact: its identity, its key and its value.
async fn changed(changes: &mut Changes) -> (String, String, Option<String>) {
    changed_after(changes, 0).await
}

/// The same without the events that what was read before contains.
async fn changed_after(changes: &mut Changes, read: u64) -> (String, String, Option<String>) {
    loop {
        match next(changes).await {
            ChangeEvent::Changed { sequence, .. } if sequence <= read => {}
            ChangeEvent::Changed { identity, key, value, .. } => return (identity, key, value),
            other => panic!("{other:?}"),
        }
    }
}

async fn put(client: &FactsClient, identity: &str, value: &str) {
    client.put_fact(identity, "tier", value).await.unwrap();
}

fn tier(identity: &str, value: Option<&str>) -> (String, String, Option<String>) {
    (identity.to_owned(), "tier".to_owned(), value.map(str::to_owned))
}

#[tokio::test]
async fn a_stream_has_the_changes_of_a_prefix() {
    for program in Program::on_each() {
        let server = program.serve();
        let client = client(&server);
        put(&client, "acme-1", "before").await;
        let mut changes = client.changes(Subscription::prefix("acme-")).unwrap();
        let ChangeEvent::Ready { sequence } = next(&mut changes).await else { panic!() };
        // The stream may begin with changes that what is read now contains.
        let read = client.facts("acme-1").await.unwrap().sequence.unwrap();
        assert!(sequence <= read);
        put(&client, "other", "gold").await;
        put(&client, "acme-1", "gold").await;
        put(&client, "acme-2", "gold").await;
        client.delete_fact("acme-2", "tier").await.unwrap();
        client.delete_identity("acme-1").await.unwrap();
        assert_eq!(changed_after(&mut changes, read).await, tier("acme-1", Some("gold")));
        assert_eq!(changed(&mut changes).await, tier("acme-2", Some("gold")));
        assert_eq!(changed(&mut changes).await, tier("acme-2", None));
        let erased = next(&mut changes).await;
        assert!(
            matches!(&erased, ChangeEvent::Erased { identity, .. } if identity == "acme-1"),
            "{erased:?}"
        );
    }
}

#[tokio::test]
async fn a_set_changes_while_the_stream_is_open() {
    for program in Program::on_each() {
        let server = program.serve();
        let client = client(&server);
        let mut changes = client.changes(Subscription::of(["a"])).unwrap();
        let set = changes.handle().unwrap();
        assert!(matches!(next(&mut changes).await, ChangeEvent::Ready { .. }));
        put(&client, "b", "before").await;
        set.add("b").unwrap();
        let ChangeEvent::Added { sequence, identities } = next(&mut changes).await else {
            panic!()
        };
        assert_eq!(identities, ["b"]);
        // What it has missed is in what is read now.
        let facts = client.facts("b").await.unwrap();
        let read = facts.sequence.unwrap();
        assert!(read >= sequence && facts.facts["tier"] == "before");
        put(&client, "b", "gold").await;
        assert_eq!(changed_after(&mut changes, read).await, tier("b", Some("gold")));
        set.remove("a");
        set.add("c").unwrap();
        assert!(matches!(next(&mut changes).await, ChangeEvent::Added { .. }));
        put(&client, "a", "gold").await;
        put(&client, "c", "gold").await;
        assert_eq!(changed(&mut changes).await, tier("c", Some("gold")));
    }
}

#[tokio::test]
async fn a_stream_goes_on_without_a_gap_after_the_death_of_the_store() {
    for program in Program::on_each() {
        let mut server = program.serve();
        let client = client(&server);
        let mut changes = client.changes(Subscription::all()).unwrap();
        assert!(matches!(next(&mut changes).await, ChangeEvent::Ready { .. }));
        put(&client, "a", "1").await;
        assert_eq!(changed(&mut changes).await, tier("a", Some("1")));
        server.process.kill();
        // The stream's server does not run meanwhile.
        let mut other = program.serve_under(&[], &server.token);
        for value in ["2", "3"] {
            other.set("/api/fact/a/tier", value).await;
        }
        other.process.kill();
        restart(&program, &mut server);
        assert!(matches!(recovered(&mut changes).await, ChangeEvent::Ready { .. }));
        for value in ["2", "3"] {
            assert_eq!(changed(&mut changes).await, tier("a", Some(value)));
        }
        put(&client, "a", "4").await;
        assert_eq!(changed(&mut changes).await, tier("a", Some("4")));
    }
}

/// Whoever has seen changes that were never made has to read everything anew.
#[tokio::test]
async fn after_a_restored_backup_everything_is_read_anew() {
    let program = Program::new();
    let mut server = program.serve();
    let client = client(&server);
    put(&client, "a", "in the backup").await;
    let backup = program.path("backup.db");
    assert_eq!(program.run(&["backup", text(&backup)]).code, 0);
    let facts = Facts::builder(client.clone()).mirror("").build();
    timeout(LONG, facts.ready()).await.expect("the facts");
    let mut changes = client.changes(Subscription::all()).unwrap();
    assert!(matches!(next(&mut changes).await, ChangeEvent::Ready { .. }));
    put(&client, "a", "lost").await;
    put(&client, "b", "lost").await;
    for identity in ["a", "b"] {
        assert_eq!(changed(&mut changes).await, tier(identity, Some("lost")));
        let lost = async || fields(&facts, identity).await;
        becomes(identity, Instant::now(), json!({ "tier": "lost" }), lost).await;
    }
    server.process.kill();
    assert_eq!(program.run(&["restore", text(&backup), "--force"]).code, 0);
    restart(&program, &mut server);
    assert!(matches!(recovered(&mut changes).await, ChangeEvent::Ready { .. }));
    assert!(matches!(next(&mut changes).await, ChangeEvent::Reset { .. }));
    for (identity, expected) in [("a", json!({ "tier": "in the backup" })), ("b", json!({}))] {
        let restored = async || fields(&facts, identity).await;
        becomes(identity, Instant::now(), expected, restored).await;
    }
    put(&client, "b", "new").await;
    assert_eq!(changed(&mut changes).await, tier("b", Some("new")));
    let new = async || fields(&facts, "b").await;
    becomes("b", Instant::now(), json!({ "tier": "new" }), new).await;
}

/// With the stream, a changed fact is there long before it would be read again.
#[tokio::test]
async fn facts_follow_the_store() {
    for program in Program::on_each() {
        let server = program.serve();
        let client = client(&server);
        put(&client, "acme", "gold").await;
        let cached = Facts::builder(client.clone()).wait(LONG).age(2 * LONG).build();
        let mirror = Facts::builder(client.clone()).mirror("ac").build();
        timeout(LONG, mirror.ready()).await.expect("the facts");
        for facts in [&cached, &mirror] {
            let now = async || fields(facts, "acme").await;
            becomes("acme", Instant::now(), json!({ "tier": "gold" }), now).await;
            assert_eq!(fields(facts, "ac/me").await, json!({}), "it cannot have facts");
            assert_eq!(fields(facts, "acme-new").await, json!({}));
        }
        put(&client, "acme", "silver").await;
        put(&client, "acme-new", "free").await;
        for facts in [&cached, &mirror] {
            for (identity, value) in [("acme", "silver"), ("acme-new", "free")] {
                let now = async || fields(facts, identity).await;
                let passed = becomes(identity, Instant::now(), json!({ "tier": value }), now).await;
                println!("{identity}: {passed:?}");
            }
        }
        client.delete_identity("acme").await.unwrap();
        for facts in [&cached, &mirror] {
            let now = async || fields(facts, "acme").await;
            becomes("acme", Instant::now(), json!({}), now).await;
        }
    }
}
