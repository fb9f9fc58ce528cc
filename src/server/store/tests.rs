//! Which flags a snapshot shows, and what has changed.

use std::convert::Infallible;

use super::*;

fn store(names: &[&str]) -> Store {
    Store::new(names.iter().map(|name| Arc::from(*name)))
}

fn load(store: &Store, source: usize, definition: &str) {
    let set = FlagSet::parse(definition).unwrap();
    store.update(source, |_| Ok::<_, Infallible>(set)).unwrap();
}

/// A definition in which each flag has one variant, named like the definition.
fn flags(name: &str, flag_set: Option<&str>, keys: &[&str]) -> String {
    let flag = |key| {
        format!(r#""{key}": {{"variants": {{"{name}": "{name}"}}, "defaultVariant": "{name}"}}"#)
    };
    let flags: Vec<_> = keys.iter().map(flag).collect();
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
    let now = store.snapshot();
    let changes = |selector: &str| {
        let changes = now.changes_since(&former, &Selector::parse(selector).unwrap());
        changes
            .flags
            .iter()
            .map(|(key, change)| format!("{key} {}", change.as_str()))
            .collect::<Vec<_>>()
    };
    assert_eq!(changes(""), ["a delete", "b update", "d write"]);
    assert_eq!(changes("flagSetId=x"), ["a delete", "c write", "d write"]);
    assert_eq!(changes("two"), ["b write"]);
    assert!(Arc::ptr_eq(
        &now.changes_since(&former, &Selector::All),
        &now.changes_since(&former, &Selector::All)
    ));
}

#[test]
fn what_is_long_past_is_not_known() {
    let store = store(&["one"]);
    let told = Told::new(&store.snapshot());
    for version in 0..=HISTORY {
        let name = version.to_string();
        load(&store, 0, &flags(&name, None, &["a"]));
        let changes = told.changes(&store.snapshot(), &Selector::All);
        assert_eq!(changes.is_some(), version < HISTORY);
    }
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
