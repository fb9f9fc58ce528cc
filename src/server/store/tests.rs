//! Which flags a snapshot shows, and what has changed.

use std::{convert::Infallible, sync::Barrier, thread};

use hyper::body::Bytes;
use serde_json::{Map, Value};

use super::{history::MOST_REMOVED, *};
use crate::context_change::ChangedFields;

fn store(names: &[&str]) -> Store {
    Store::new(names.iter().map(|name| Arc::from(*name)))
}

fn load(store: &Store, source: usize, definition: &str) {
    let set = FlagSet::parse(definition).unwrap();
    store.update(source, |_| Ok::<_, Infallible>(set)).unwrap();
}

/// A flag that has one variant of this name.
fn flag(name: &str, key: &str) -> String {
    format!(r#""{key}": {{"variants": {{"{name}": "{name}"}}, "defaultVariant": "{name}"}}"#)
}

/// A definition in which each flag has one variant, named like the definition.
fn flags(name: &str, flag_set: Option<&str>, keys: &[&str]) -> String {
    let flags: Vec<_> = keys.iter().map(|key| flag(name, key)).collect();
    let id = flag_set.map(|id| format!(r#", "metadata": {{"flagSetId": "{id}"}}"#));
    format!(r#"{{"flags": {{{}}}{}}}"#, flags.join(","), id.unwrap_or_default())
}

fn variant(store: &Store, selector: &str, key: &str) -> Option<String> {
    let selector = Selector::parse(selector).unwrap();
    let snapshot = store.snapshot();
    let outcome = snapshot.evaluate(&selector, key, &Map::new())?;
    Some(outcome.variant.unwrap().to_owned())
}

#[test]
fn later_sources_win() {
    let store = store(&["one", "two"]);
    load(&store, 1, &flags("2", None, &["a", "b"]));
    assert!(!store.snapshot().is_loaded());
    load(&store, 0, &flags("1", None, &["a", "c"]));
    assert!(store.snapshot().is_loaded());
    let seen = |key| variant(&store, "", key);
    assert_eq!(seen("a").as_deref(), Some("2"));
    assert_eq!((seen("b").as_deref(), seen("c").as_deref()), (Some("2"), Some("1")));
    assert_eq!(seen("d"), None);
    assert_eq!(store.snapshot().keys(&Selector::All), ["a", "b", "c"]);
    load(&store, 1, r#"{"flags": {}}"#);
    assert_eq!(variant(&store, "", "a").as_deref(), Some("1"), "the former one shows again");
}

#[test]
fn selectors_show_flag_sets_and_sources() {
    let store = store(&["one", "two", "three"]);
    load(&store, 0, &flags("1", Some("x"), &["a", "b"]));
    load(&store, 1, &flags("2", Some("y"), &["a"]));
    load(&store, 2, &flags("3", Some("x"), &["b", "c"]));
    for (selector, key, expected) in [
        ("", "a", Some("2")),
        ("flagSetId=x", "a", Some("1")),
        ("flagSetId=x", "b", Some("3")),
        ("flagSetId=y", "a", Some("2")),
        ("flagSetId=y", "b", None),
        ("flagSetId=", "a", None),
        ("source=one", "a", Some("1")),
        ("source=one", "b", None),
        ("three", "b", Some("3")),
        ("source=four", "a", None),
    ] {
        assert_eq!(variant(&store, selector, key).as_deref(), expected, "{selector} {key}");
    }
    let keys =
        |selector: &str| store.snapshot().keys(&Selector::parse(selector).unwrap()).join(",");
    assert_eq!(
        (keys("one"), keys("flagSetId=x"), keys("two")),
        ("a".into(), "a,b,c".into(), "a".into())
    );
}

#[test]
fn changes_are_those_that_a_selector_shows() {
    let store = store(&["one", "two"]);
    load(&store, 0, &flags("1", Some("x"), &["a", "b"]));
    load(&store, 1, &flags("2", Some("y"), &["c"]));
    let former = store.snapshot().clone();
    load(&store, 0, &flags("1", Some("x"), &["b", "c", "d"]));
    load(&store, 1, &flags("2", Some("y"), &["b", "c"]));
    let (sent, now) = (former.sent_version(), store.snapshot());
    let since =
        |selector: &str| store.changes(sent, &now, &Selector::parse(selector).unwrap()).unwrap();
    let changes = |selector: &str| {
        since(selector)
            .flags
            .iter()
            .map(|(key, change)| format!("{key} {}", change.as_str()))
            .collect::<Vec<_>>()
    };
    assert_eq!(changes(""), ["a delete", "b update", "d write"]);
    assert_eq!(changes("flagSetId=x"), ["a delete", "c write", "d write"]);
    assert_eq!(changes("two"), ["b write"]);
}

/// All streams compute changes at the same time, each in its own thread.
#[test]
fn changes_are_computed_once() {
    let store = store(&["one"]);
    let keys: Vec<_> = (0..1_000).map(|key| key.to_string()).collect();
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
    let start = Barrier::new(8);
    for round in 0..8 {
        let sent = store.snapshot().sent_version();
        load(&store, 0, &flags(&round.to_string(), None, &keys));
        let ask = || {
            start.wait();
            store.changes(sent, &store.snapshot(), &Selector::All).unwrap()
        };
        let changes = thread::scope(|scope| {
            [(); 8].map(|()| scope.spawn(ask)).map(|thread| thread.join().unwrap())
        });
        assert_eq!(changes[0].flags.len(), 1_000);
        assert!(changes.iter().all(|same| Arc::ptr_eq(same, &changes[0])));
    }
}

/// A hidden flag may change: clients that see the flag in front of it are not notified.
#[test]
fn changes_of_hidden_flags_are_told_to_those_who_see_them() {
    let store = store(&["one", "two"]);
    load(&store, 0, &flags("1", Some("x"), &["a"]));
    load(&store, 1, &flags("2", Some("y"), &["a"]));
    let sent = store.snapshot().sent_version();
    let since = |selector: &str| {
        let selector = Selector::parse(selector).unwrap();
        let changes = store.changes(sent, &store.snapshot(), &selector).unwrap();
        changes.flags.get("a").map(|change| change.as_str())
    };
    load(&store, 0, &flags("3", Some("x"), &["a"]));
    assert_eq!([since(""), since("two"), since("flagSetId=y")], [None; 3]);
    assert_eq!([since("one"), since("flagSetId=x")], [Some("update"); 2]);
    load(&store, 1, r#"{"flags": {}}"#);
    assert_eq!([since(""), since("one"), since("flagSetId=x")], [Some("update"); 3]);
    assert_eq!([since("two"), since("flagSetId=y")], [Some("delete"); 2]);
    load(&store, 1, &flags("2", Some("x"), &["a"]));
    assert_eq!([since(""), since("two"), since("flagSetId=x")], [Some("update"); 3]);
    assert_eq!([since("one"), since("flagSetId=y")], [Some("delete"); 2]);
}

/// Flags that an update does not change are in memory once; those that it replaces are freed.
#[test]
fn former_flags_are_not_kept() {
    let store = store(&["one"]);
    let keys: Vec<_> = (0..10_000).map(|key| key.to_string()).collect();
    // The first `changed` flags have a variant named after the version.
    let definition = |changed: usize, version: usize| {
        let name = |n| if n < changed { version.to_string() } else { "same".to_owned() };
        let flags: Vec<_> = keys.iter().enumerate().map(|(n, key)| flag(&name(n), key)).collect();
        format!(r#"{{"flags": {{{}}}}}"#, flags.join(","))
    };
    for changed in [1, keys.len()] {
        load(&store, 0, &definition(changed, 0));
        for version in 1..=8 {
            let former = store.snapshot().clone();
            let (sent, flags) = (former.sent_version(), former.sources[0].flags.clone().unwrap());
            let replaced = Arc::downgrade(&former);
            former.sync_message(&Selector::All, |_| Bytes::new());
            drop(former);
            load(&store, 0, &definition(changed, version));
            assert_eq!(changes_since(&store, sent).map(|sent| sent.len()), Some(changed));
            let now = store.snapshot().sources[0].flags.clone().unwrap();
            let shared = keys.iter().filter(|key| now.shares(key, &flags)).count();
            assert_eq!(shared, keys.len() - changed);
            assert_eq!(Arc::strong_count(&flags), 1, "but for the test, nobody has the former");
            assert!(replaced.upgrade().is_none());
        }
    }
}

fn changes_since(store: &Store, sent: SentVersion) -> Option<Vec<String>> {
    let changes = store.changes(sent, &store.snapshot(), &Selector::All)?;
    Some(changes.flags.iter().map(|(key, change)| format!("{key} {}", change.as_str())).collect())
}

/// A client may have evaluated the flag in between, and must not keep that result.
#[test]
fn what_has_changed_back_is_told() {
    let store = store(&["one"]);
    load(&store, 0, &flags("1", None, &["a", "b"]));
    let sent = store.snapshot().sent_version();
    assert_eq!(changes_since(&store, sent), Some(Vec::new()));
    load(&store, 0, &flags("2", None, &["a", "b", "c"]));
    load(&store, 0, &flags("1", None, &["a", "b"]));
    let expected = ["a update", "b update", "c delete"].map(str::to_owned);
    assert_eq!(changes_since(&store, sent), Some(expected.into()));
}

/// However many updates a stream misses, it learns of every flag that they have changed.
#[test]
fn changes_that_are_long_past_are_known() {
    let store = store(&["one", "two"]);
    load(&store, 0, &flags("1", None, &["same", "gone"]));
    let sent = store.snapshot().sent_version();
    for version in 0..2_000 {
        let key = format!("key-{}", version % 100);
        load(&store, 1, &flags(&version.to_string(), None, &[&key]));
    }
    load(&store, 0, &flags("1", None, &["same"]));
    let mut expected: Vec<_> = (0..99).map(|key| format!("key-{key} delete")).collect();
    expected.extend(["key-99 update".to_owned(), "gone delete".to_owned()]);
    expected.sort_unstable();
    assert_eq!(changes_since(&store, sent), Some(expected));
}

/// Keys that come and go do not fill the memory. A stream that has missed forgotten keys learns
/// that the changes are unknown, and never less than all changes.
#[test]
fn removed_keys_are_forgotten_at_last() {
    let store = store(&["one"]);
    let before = store.snapshot().sent_version();
    let keys = |from: usize| (from..from + 1_000).map(|key| key.to_string()).collect::<Vec<_>>();
    let mut after = store.snapshot().sent_version();
    for round in 0..=2 * MOST_REMOVED / 1_000 {
        let keys = keys(round * 1_000);
        load(&store, 0, &flags("1", None, &keys.iter().map(|key| &**key).collect::<Vec<_>>()));
        assert_eq!(changes_since(&store, after).map(|sent| sent.len() >= 1_000), Some(true));
        after = store.snapshot().sent_version();
        assert!(lock(&store.history).since(after.version).is_some());
        assert!(lock(&store.history).len() <= MOST_REMOVED + 2_000);
    }
    assert_eq!(changes_since(&store, before), None);
}

/// A flag with one variant of this name, and a rule that reads a field.
fn reads(name: &str, field: &str, keys: &[&str]) -> String {
    let flag = |key: &&str| {
        format!(r#""{key}": {{"variants": {{"{name}": 1}}, "targeting": {{"var": "{field}"}}}}"#)
    };
    let flags: Vec<_> = keys.iter().map(flag).collect();
    format!(r#"{{"flags": {{{}}}}}"#, flags.join(","))
}

fn touch(store: &Store, field: &str) {
    let fields = ChangedFields::Names([field.to_owned()].into());
    let readers = store.snapshot().readers(&fields);
    store.touch(readers);
}

/// What a client with this selector has to learn.
fn changes_for(store: &Store, sent: SentVersion, selector: &str) -> Vec<String> {
    let selector = Selector::parse(selector).unwrap();
    let changes = store.changes(sent, &store.snapshot(), &selector).unwrap();
    changes.flags.iter().map(|(key, change)| format!("{key} {}", change.as_str())).collect()
}

#[test]
fn a_touch_is_reported_to_those_who_see_the_flag() {
    let store = store(&["one", "two"]);
    load(&store, 0, &reads("1", "tier", &["a", "b"]));
    load(&store, 1, &reads("2", "owner", &["b", "c"]));
    let sent = store.snapshot().sent_version();
    let mut news = store.watch_with_touches();
    let mut versions = store.watch();
    touch(&store, "tier");
    assert!(news.has_changed().unwrap() && !versions.has_changed().unwrap());
    assert_eq!(changes_for(&store, sent, ""), ["a update"], "clients see the b of two");
    assert_eq!(changes_for(&store, sent, "one"), ["a update"]);
    touch(&store, "owner");
    assert_eq!(changes_for(&store, sent, ""), ["a update", "b update", "c update"]);
    assert_eq!(changes_for(&store, sent, "two"), ["b update", "c update"]);
    assert_eq!(
        changes_for(&store, SentVersion { touches: store.snapshot().touches, ..sent }, ""),
        [""; 0]
    );
    assert_eq!(changes_for(&store, store.snapshot().sent_version(), ""), [""; 0]);

    // With updates in between, a change of the flag itself counts for more.
    versions.mark_unchanged();
    load(&store, 1, &reads("2", "owner", &["c", "d"]));
    touch(&store, "owner");
    assert!(versions.has_changed().unwrap());
    let expected = ["a update", "b update", "c update", "d write"];
    assert_eq!(changes_for(&store, sent, ""), expected);
    news.mark_unchanged();
    touch(&store, "nobody reads it");
    assert_eq!(changes_for(&store, store.snapshot().sent_version(), ""), [""; 0]);
}

/// A stream that is behind learns of a touch once, whether or not there was another.
#[test]
fn touches_between_two_messages_are_reported_once() {
    let store = store(&["one"]);
    load(&store, 0, &reads("1", "tier", &["a"]));
    let sent = store.snapshot().sent_version();
    touch(&store, "tier");
    let between = store.snapshot().clone();
    touch(&store, "tier");
    // The later touch hides the earlier one, and is found by whoever is woken by it.
    assert_eq!(store.changes(sent, &between, &Selector::All).unwrap().flags.len(), 0);
    assert_eq!(changes_for(&store, between.sent_version(), ""), ["a update"]);
}

#[test]
fn touches_of_removed_flags_are_forgotten() {
    let store = store(&["one"]);
    let keys: Vec<_> = (0..100).map(|key| key.to_string()).collect();
    for round in keys.chunks(10) {
        let round: Vec<_> = round.iter().map(String::as_str).collect();
        load(&store, 0, &reads("1", "tier", &round));
        touch(&store, "tier");
        assert_eq!(lock(&store.history).touches(), 10);
    }
    let late = store.snapshot().readers(&ChangedFields::All);
    load(&store, 0, r#"{"flags": {}}"#);
    store.touch(late);
    assert_eq!(lock(&store.history).touches(), 0);
}

#[test]
fn an_update_that_fails_changes_nothing() {
    let store = store(&["one"]);
    store.update(0, |_| Err::<FlagSet, _>(())).unwrap_err();
    assert_eq!((store.snapshot().version, store.snapshot().is_loaded()), (0, false));
}

#[test]
fn the_definition_names_sources() {
    let store = store(&["a \"file\""]);
    load(&store, 0, &flags("1", None, &["b"]));
    let text = store.snapshot().definition(&Selector::All);
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["flags"]["b"]["source"], "a \"file\"");
    assert_eq!(value["flags"]["b"]["defaultVariant"], "1");
    assert_eq!(store.snapshot().definition(&Selector::Source("x".into())), r#"{"flags":{}}"#);
}
