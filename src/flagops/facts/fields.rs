//! From facts to fields of the evaluation context. Pure.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Map, Number, Value};

use crate::context_source::TARGETING_KEY;

/// Fields of the evaluation context. Shared, because a look-up must not copy them.
pub(crate) type Fields = Map<String, Value>;

/// How facts become fields.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Typing {
    /// Whether text that is a number or a boolean becomes one.
    pub(super) typed: bool,
}

impl Typing {
    /// The field of a fact; `None` if it cannot be one.
    pub(super) fn field(self, key: &str, value: &str) -> Option<Value> {
        if key == TARGETING_KEY {
            return None;
        }
        Some(if self.typed { typed(value) } else { Value::from(value) })
    }

    /// The fields of all facts of an identity.
    pub(super) fn fields(self, facts: &BTreeMap<String, String>) -> Arc<Fields> {
        let field = |(key, value): (&String, &String)| Some((key.clone(), self.field(key, value)?));
        Arc::new(facts.iter().filter_map(field).collect())
    }
}

/// `true` and `false` are booleans, and what JSON writes as a number is one. `007`,
/// `1e400` and integers of more than 64 bits stay strings, since they would change.
fn typed(text: &str) -> Value {
    match text {
        "true" => return true.into(),
        "false" => return false.into(),
        _ => {}
    }
    let is_number = text.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    let is_trimmed = !text.ends_with(|c: char| c.is_ascii_whitespace());
    let is_integer = text.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit());
    match serde_json::from_str::<Number>(text) {
        Ok(number) if is_number && is_trimmed && !(is_integer && number.is_f64()) => number.into(),
        _ => text.into(),
    }
}

/// The fields of several identities. Those of a later one override earlier ones.
pub(super) fn merged(all: Vec<Arc<Fields>>) -> Arc<Fields> {
    all.into_iter()
        .reduce(|mut merged, next| {
            if merged.is_empty() {
                return next;
            }
            if !next.is_empty() {
                let later = next.iter().map(|(key, value)| (key.clone(), value.clone()));
                Arc::make_mut(&mut merged).extend(later);
            }
            merged
        })
        .unwrap_or_default()
}

/// The fields without those that the caller has.
pub(super) fn without(mut fields: Arc<Fields>, caller_has: impl Fn(&str) -> bool) -> Arc<Fields> {
    if fields.keys().any(|key| caller_has(key)) {
        Arc::make_mut(&mut fields).retain(|key, _| !caller_has(key));
    }
    fields
}

/// The keys whose values differ.
pub(super) fn differing(before: &Fields, after: &Fields) -> Vec<String> {
    let removed = before.keys().filter(|key| !after.contains_key(*key));
    let set = after.iter().filter(|(key, value)| before.get(*key) != Some(value));
    removed.chain(set.map(|(key, _)| key)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(value: Value) -> Arc<Fields> {
        let Value::Object(fields) = value else { panic!("{value}") };
        Arc::new(fields)
    }

    #[test]
    fn text_is_typed_only_where_nothing_is_lost() {
        for (text, value) in [
            ("5", json!(5)),
            ("-5", json!(-5)),
            ("1.5", json!(1.5)),
            ("1e3", json!(1e3)),
            ("18446744073709551615", json!(u64::MAX)),
            ("true", json!(true)),
            ("false", json!(false)),
            ("True", json!("True")),
            ("null", json!("null")),
            ("007", json!("007")),
            (" 5", json!(" 5")),
            ("5 ", json!("5 ")),
            ("5\n", json!("5\n")),
            ("1e400", json!("1e400")),
            ("18446744073709551616", json!("18446744073709551616")),
            ("\"5\"", json!("\"5\"")),
            ("", json!("")),
        ] {
            assert_eq!(Typing { typed: true }.field("a", text), Some(value), "{text}");
            assert_eq!(Typing::default().field("a", text), Some(json!(text)));
        }
    }

    #[test]
    fn the_targeting_key_is_not_a_fact() {
        let facts = BTreeMap::from([("targetingKey", "x"), ("tier", "gold")]);
        let facts = facts.into_iter().map(|(a, b)| (a.to_owned(), b.to_owned())).collect();
        assert_eq!(Typing::default().fields(&facts), fields(json!({"tier": "gold"})));
    }

    #[test]
    fn later_identities_win() {
        let all = vec![fields(json!({})), fields(json!({"a": 1, "b": 1})), fields(json!({"b": 2}))];
        assert_eq!(merged(all), fields(json!({"a": 1, "b": 2})));
        let one = fields(json!({"a": 1}));
        let same = merged(vec![Arc::default(), Arc::clone(&one), Arc::default()]);
        assert!(Arc::ptr_eq(&same, &one), "nothing is copied");
        assert!(merged(vec![]).is_empty());
    }

    #[test]
    fn the_caller_can_win() {
        let all = fields(json!({"a": 1, "b": 1}));
        assert_eq!(without(Arc::clone(&all), |key| key == "a"), fields(json!({"b": 1})));
        assert!(Arc::ptr_eq(&without(Arc::clone(&all), |_| false), &all));
    }

    #[test]
    fn differences() {
        let before = fields(json!({"a": 1, "b": 1, "c": 1}));
        let after = fields(json!({"b": 1, "c": 2, "d": 1}));
        assert_eq!(differing(&before, &after), ["a", "c", "d"]);
    }
}
