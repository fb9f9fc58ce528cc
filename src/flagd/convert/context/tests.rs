//! How each kind of field is converted, and which fields are rejected.

use std::{collections::BTreeSet, mem, sync::Arc};

use proptest::{collection, num::f64 as floats, prelude::*};
use prost_types::{Struct, value::Kind};
use serde_json::json;
use time::UtcOffset;

use super::*;
use crate::flagd::convert::{path::MAX_SHOWN, value::object_to_value};

const MAX: i64 = 1 << 53;

type Field = EvaluationContextFieldValue;

/// Converts a context whose only field, `f`, is `value`; the error is its message.
fn converted(value: impl Into<Field>) -> Result<Kind, String> {
    let context = EvaluationContext::default().with_custom_field("f", value);
    match context_to_struct(&context) {
        Ok(mut object) => Ok(object.fields.remove("f").and_then(|v| v.kind).unwrap()),
        Err(error) => {
            assert_eq!(error.code, EvaluationErrorCode::InvalidContext);
            Err(error.message.unwrap())
        }
    }
}

fn text(value: &str) -> Kind {
    Kind::StringValue(value.into())
}

/// What `converted` returns for a JSON value, for comparison with literals.
fn from_json(value: serde_json::Value) -> Kind {
    converted(Field::new_struct(value)).unwrap()
}

/// <https://flagd.dev/reference/specifications/providers/#targeting-key>
#[test]
fn targeting_key_is_at_the_top_level() {
    let context = EvaluationContext::default();
    assert_eq!(context_to_struct(&context).unwrap(), Struct::default());
    let object = context_to_struct(&context.with_targeting_key("user")).unwrap();
    assert_eq!(object.fields, [("targetingKey".into(), "user".into())].into());
}

#[test]
fn targeting_key_wins_over_a_field_of_its_name() {
    let context = EvaluationContext::default().with_custom_field("targetingKey", "field");
    let object = context_to_struct(&context).unwrap();
    assert_eq!(object.fields["targetingKey"], "field".into());

    // A field that is not sent is not examined either.
    let context = context.with_custom_field("targetingKey", f64::NAN);
    let object = context_to_struct(&context.with_targeting_key("key")).unwrap();
    assert_eq!(object.fields["targetingKey"], "key".into());
}

#[test]
fn scalars_keep_their_types() {
    assert_eq!(converted(true), Ok(Kind::BoolValue(true)));
    assert_eq!(converted("a"), Ok(text("a")));
    assert_eq!(converted(7), Ok(Kind::NumberValue(7.0)));
    assert_eq!(converted(0.5), Ok(Kind::NumberValue(0.5)));
    assert_eq!(from_json(json!(null)), Kind::NullValue(0));
}

#[test]
fn dates_are_rfc_3339() {
    let date = OffsetDateTime::from_unix_timestamp_nanos(1_785_580_200_500_000_000).unwrap();
    let local = date.to_offset(UtcOffset::from_hms(2, 0, 0).unwrap());
    assert_eq!(converted(local), Ok(text("2026-08-01T12:30:00.5+02:00")));
    let odd = date.to_offset(UtcOffset::from_hms(0, 53, 28).unwrap());
    let before_year_0 = OffsetDateTime::from_unix_timestamp(-62_167_219_201).unwrap();
    for date in [odd, before_year_0] {
        let message = converted(date).unwrap_err();
        assert!(message.starts_with("context field `f` is not a date"), "{message}");
    }
}

/// A protobuf number cannot represent them exactly.
#[test]
fn ints_beyond_2_to_the_53_are_invalid() {
    let at_limit = Kind::NumberValue(9_007_199_254_740_992.0);
    assert_eq!(converted(MAX), Ok(at_limit.clone()));
    assert_eq!(from_json(json!(MAX)), at_limit);
    let beyond: [Field; 6] = [
        (MAX + 1).into(),
        (-MAX - 1).into(),
        i64::MIN.into(),
        Field::new_struct(Value::Int(MAX + 1)),
        Field::new_struct(json!(MAX + 1)),
        Field::new_struct(json!(u64::MAX)),
    ];
    for field in beyond {
        let message = converted(field).unwrap_err();
        assert!(message.starts_with("context field `f` is"), "{message}");
        assert!(message.ends_with("pass it as a string"), "{message}");
    }
}

#[test]
fn floats_that_are_not_finite_are_invalid() {
    for (number, name) in [(f64::NAN, "NaN"), (f64::INFINITY, "inf"), (-f64::INFINITY, "-inf")] {
        let message = converted(number).unwrap_err();
        assert!(message.starts_with(&format!("context field `f` is {name}")), "{message}");
        converted(Field::new_struct(Value::Float(number))).unwrap_err();
    }
}

#[test]
fn known_structs_are_taken() {
    let tree = StructValue::default()
        .with_field("list", vec![1, 2])
        .with_field("inner", StructValue::default().with_field("b", true));
    let tree_json = json!({ "list": [1, 2], "inner": { "b": true } });
    let expected = from_json(tree_json.clone());
    let Kind::StructValue(object) = &expected else { panic!("{expected:?}") };
    let list = Value::from(vec![1.0, 2.0]);
    assert_eq!(object_to_value(object.into()).unwrap().fields["list"], list);

    let map = tree_json.as_object().cloned().unwrap();
    assert_eq!(converted(Arc::new(map)), Ok(expected.clone()));
    assert_eq!(converted(Arc::new(tree.clone())), Ok(expected.clone()));
    assert_eq!(converted(Arc::new(Value::Struct(tree))), Ok(expected));
    let list = Arc::new(vec![Value::Int(1), Value::from("a")]);
    assert_eq!(converted(list), Ok(from_json(json!([1, "a"]))));
}

/// The message says which types are accepted.
#[test]
fn unknown_structs_are_invalid() {
    let message = converted(Field::new_struct(Some("a"))).unwrap_err();
    assert!(message.starts_with("context field `f` is a struct of an unknown"), "{message}");
    let accepted = ["StructValue", "open_feature::Value", "Vec<", "serde_json::Value", "Map<"];
    for name in accepted {
        assert!(message.contains(name), "{message}");
    }
}

#[test]
fn errors_name_the_path() {
    let user = json!({ "address": [1, 2, { "zip": u64::MAX }] });
    let message = converted(Field::new_struct(user)).unwrap_err();
    assert!(message.contains("`f.address[2].zip`"), "{message}");
    let list = vec![Value::from(1), StructValue::default().with_field("", f64::NAN).into()];
    let message = converted(Field::new_struct(list)).unwrap_err();
    assert!(message.contains("`f[1].`"), "{message}");
}

#[test]
fn errors_shorten_and_escape_the_path() {
    let object = json!({ "a\n": { "é".repeat(1000): u64::MAX } });
    let message = converted(Field::new_struct(object)).unwrap_err();
    let shown = format!("`f.a\\n.{}...`", "é".repeat(MAX_SHOWN - 6));
    assert!(message.contains(&shown), "{message}");
}

fn nested_lists(levels: usize) -> Value {
    (0..levels).fold(Value::Bool(true), |inner, _| Value::Array(vec![inner]))
}

fn nested_objects(levels: usize) -> serde_json::Value {
    (0..levels).fold(json!(true), |inner, _| json!({ "a": inner }))
}

#[test]
fn nesting_is_taken_to_its_limit_only() {
    // Not read back, because prost would reject messages as deep as these.
    let fits = |field: Field| {
        let context = EvaluationContext::default().with_custom_field("f", field);
        request("flag", &context, None).unwrap();
    };
    fits(Field::new_struct(nested_lists(MAX_NESTING)));
    fits(Field::new_struct(nested_objects(MAX_NESTING)));
    let lists = converted(Arc::new(nested_lists(MAX_NESTING + 1))).unwrap_err();
    assert!(lists.contains("`f[0][0][0]"), "{lists}");
    let objects = converted(Arc::new(nested_objects(MAX_NESTING + 1))).unwrap_err();
    assert!(objects.contains("`f.a.a.a"), "{objects}");
    for message in [lists, objects] {
        assert!(message.ends_with("...` is nested beyond 64 levels"), "{message}");
    }
}

#[test]
fn deep_nesting_is_an_error_and_no_stack_overflow() {
    let deep = Arc::new(nested_lists(1_000_000));
    // Its own destructor recurses, and would overflow the stack.
    mem::forget(Arc::clone(&deep));
    let message = converted(deep).unwrap_err();
    assert!(message.ends_with("beyond 64 levels"), "{message}");
}

/// Any Unicode string, including the empty one.
fn name() -> impl Strategy<Value = String> {
    collection::vec(any::<char>(), 0..6).prop_map(String::from_iter)
}

/// Trees of the SDK's values, with leaves of `leaf`.
fn tree(leaf: impl Strategy<Value = Value> + 'static) -> impl Strategy<Value = Value> {
    leaf.prop_recursive(4, 24, 4, |inner| {
        let fields = collection::hash_map(name(), inner.clone(), 0..4);
        prop_oneof![
            collection::vec(inner, 0..4).prop_map(Value::Array),
            fields.prop_map(|fields| Value::Struct(StructValue { fields })),
        ]
    })
}

fn leaf_without_ints() -> impl Strategy<Value = Value> {
    let float = floats::NORMAL | floats::SUBNORMAL | floats::ZERO;
    prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        float.prop_map(Value::Float),
        name().prop_map(Value::String),
    ]
}

fn any_leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => leaf_without_ints(),
        1 => any::<i64>().prop_map(Value::Int),
        1 => floats::ANY.prop_map(Value::Float),
    ]
}

/// Whether every number in `value` can be sent.
fn sendable(value: &Value) -> bool {
    match value {
        Value::Int(value) => (-MAX..=MAX).contains(value),
        Value::Float(value) => value.is_finite(),
        Value::Array(values) => values.iter().all(sendable),
        Value::Struct(value) => value.fields.values().all(sendable),
        Value::Bool(_) | Value::String(_) => true,
    }
}

/// Any field, and whether it can be sent.
fn any_field() -> impl Strategy<Value = (Field, bool)> {
    let seconds = -377_705_116_800_i64..=253_402_300_799;
    let date = seconds.prop_map(|s| OffsetDateTime::from_unix_timestamp(s).unwrap());
    prop_oneof![
        any::<bool>().prop_map(|value| (value.into(), true)),
        any::<i64>().prop_map(|value| (value.into(), sendable(&value.into()))),
        floats::ANY.prop_map(|value| (value.into(), value.is_finite())),
        name().prop_map(|value| (value.into(), true)),
        date.prop_map(|value| (value.into(), value.year() >= 0)),
        tree(any_leaf()).prop_map(|value| (Field::new_struct(value.clone()), sendable(&value))),
        any::<u8>().prop_map(|value| (Field::new_struct(value), false)),
    ]
}

proptest! {
    /// Each context is converted as a whole, or is an `INVALID_CONTEXT` that names a field.
    #[test]
    fn any_context_is_converted_or_invalid(
        key in proptest::option::of(name()),
        fields in collection::hash_map(name(), any_field(), 0..3),
    ) {
        let valid = fields.values().all(|(_, valid)| *valid);
        let names = fields.keys().cloned();
        let names = names.chain(key.iter().map(|_| TARGETING_KEY.to_owned()));
        let names = names.collect::<BTreeSet<_>>();
        let custom_fields = fields.into_iter().map(|(name, (field, _))| (name, field));
        let context =
            EvaluationContext { targeting_key: key, custom_fields: custom_fields.collect() };
        match context_to_struct(&context) {
            Ok(object) => {
                prop_assert!(valid);
                prop_assert_eq!(object.fields.into_keys().collect::<BTreeSet<_>>(), names);
            }
            Err(error) => {
                prop_assert!(!valid);
                prop_assert_eq!(error.code, EvaluationErrorCode::InvalidContext);
                prop_assert!(error.message.unwrap().starts_with("context field `"));
            }
        }
    }

    #[test]
    fn exact_ints_are_lossless(int in -MAX..=MAX) {
        #[expect(clippy::cast_precision_loss, reason = "exact within 2^53")]
        let number = Kind::NumberValue(int as f64);
        prop_assert_eq!(converted(int), Ok(number.clone()));
        prop_assert_eq!(converted(Field::new_struct(json!(int))), Ok(number));
    }

    #[test]
    fn finite_floats_are_lossless(bits in any::<u64>()) {
        let float = f64::from_bits(bits);
        prop_assume!(float.is_finite());
        let fields: [Field; 3] = [
            float.into(),
            Field::new_struct(Value::Float(float)),
            Field::new_struct(json!(float)),
        ];
        for field in fields {
            let kind = converted(field).unwrap();
            let Kind::NumberValue(sent) = kind else { panic!("{kind:?}") };
            prop_assert_eq!(sent.to_bits(), bits);
        }
    }

    #[test]
    fn trees_survive_the_round_trip(
        fields in collection::hash_map(name(), tree(leaf_without_ints()), 0..4),
    ) {
        let tree = StructValue { fields };
        let kind = converted(Arc::new(tree.clone())).unwrap();
        let Kind::StructValue(object) = kind else { panic!("{kind:?}") };
        prop_assert_eq!(object_to_value((&object).into()), Ok(tree));
    }
}
