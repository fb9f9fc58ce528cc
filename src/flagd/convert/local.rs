//! The SDK's evaluation context, read by targeting rules without a copy.
//!
//! An evaluation in this process reads few fields of the context, so converting all
//! of them to JSON first would be most of its cost. [`LocalContext`] looks fields
//! up in the SDK's own map when a rule reads them. Three layers are searched, and
//! the first that has a field hides it in the others:
//!
//! ```text
//! 1. the sync context            (flagd's --context-value)
//! 2. fields of a ContextSource   (without targetingKey)
//! 3. the caller: targeting key as `targetingKey`, then the custom fields
//! ```
//!
//! `$flagd`, which hides all of them, is added by the evaluator.

use std::cell::OnceCell;

use open_feature::{EvaluationContext, EvaluationContextFieldValue as Field, EvaluationError};
use serde_json::{Map, Value as Json};

use super::context;
use crate::{
    context_source::TARGETING_KEY,
    evaluator::{Context, ValueRef},
};

/// The SDK's evaluation context as a [`Context`] for the evaluator.
///
/// Use it with [`FlagSet::evaluate`](crate::evaluator::FlagSet::evaluate) if you
/// evaluate flags without a provider but with the SDK's types. A rule sees what
/// flagd would see if the context was sent to it: the targeting key is the field
/// `targetingKey` and hides a custom field with that name, and dates are RFC 3339
/// strings.
///
/// A field is converted when a rule reads it, so that the cost of an evaluation does
/// not depend on the number of fields. Booleans, numbers and strings are read in
/// place; dates and structs are converted on the first read, and the result is
/// kept. A field that cannot be converted is therefore an error only if a rule
/// reads it. The rule sees null then, and [`rejected`](Self::rejected) returns the
/// error: check it after each evaluation, and return the error in place of the
/// outcome.
///
/// Create one for each evaluation. It is not `Sync`, because it keeps what it has
/// converted.
///
/// ```
/// use flagstaff::{evaluator::FlagSet, flagd::LocalContext};
/// use open_feature::EvaluationContext;
///
/// let flags = FlagSet::parse(
///     r#"{"flags": {"new": {"variants": {"true": "yes", "false": "no"}, "defaultVariant": "false",
///         "targeting": {">=": [{"var": "age"}, 18]}}}}"#,
/// )?;
/// let caller = EvaluationContext::default().with_custom_field("age", 30);
/// let context = LocalContext::new(&caller);
/// let outcome = flags.evaluate("new", &context);
/// assert!(context.rejected().is_none());
/// assert_eq!(outcome.string(), Ok(Some("yes")));
/// # Ok::<(), flagstaff::evaluator::DefinitionError>(())
/// ```
#[derive(Debug)]
pub struct LocalContext<'a> {
    caller: &'a EvaluationContext,
    /// What flagd, or another source of flags, sends with its definitions.
    sync_context: Option<&'a Map<String, Json>>,
    /// The fields of a [`ContextSource`](crate::ContextSource).
    added: Option<&'a Map<String, Json>>,
    /// The fields that were converted so far; most evaluations have none.
    converted: OnceCell<Box<Converted<'a>>>,
    /// The first field that was read and cannot be converted.
    refused: OnceCell<EvaluationError>,
}

/// A field that was converted, and the next one. This linked list only grows, and
/// its nodes do not move, so values in it can be borrowed while others are added.
#[derive(Debug)]
struct Converted<'a> {
    name: &'a str,
    value: Json,
    next: OnceCell<Box<Converted<'a>>>,
}

impl<'a> LocalContext<'a> {
    /// Creates a context with the caller's fields only.
    #[must_use]
    pub fn new(caller: &'a EvaluationContext) -> Self {
        Self {
            caller,
            sync_context: None,
            added: None,
            converted: OnceCell::new(),
            refused: OnceCell::new(),
        }
    }

    /// Adds the sync context, whose fields hide all others with the same name, as
    /// the values of `--context-value` do in flagd. It replaces a sync context that
    /// was added before.
    ///
    /// ```
    /// use flagstaff::{evaluator::FlagSet, flagd::LocalContext};
    /// use open_feature::EvaluationContext;
    /// use serde_json::{Map, json};
    ///
    /// let flags = FlagSet::parse(
    ///     r#"{"flags": {"cdn": {"variants": {"eu": "eu.example", "us": "us.example"},
    ///         "defaultVariant": "us", "targeting": {"var": "region"}}}}"#,
    /// )?;
    /// let sync_context = Map::from_iter([("region".to_owned(), json!("eu"))]);
    /// let caller = EvaluationContext::default().with_custom_field("region", "us");
    /// let context = LocalContext::new(&caller).with_sync_context(&sync_context);
    /// assert_eq!(flags.evaluate("cdn", &context).string(), Ok(Some("eu.example")));
    /// # Ok::<(), flagstaff::evaluator::DefinitionError>(())
    /// ```
    #[must_use]
    pub fn with_sync_context(mut self, sync_context: &'a Map<String, Json>) -> Self {
        self.sync_context = Some(sync_context);
        self
    }

    /// Adds the fields of a [`ContextSource`](crate::ContextSource), which hide the
    /// caller's fields with the same name. A field `targetingKey` is ignored: the
    /// targeting key is always the caller's.
    ///
    /// ```
    /// use flagstaff::{evaluator::FlagSet, flagd::LocalContext};
    /// use open_feature::EvaluationContext;
    /// use serde_json::{Map, json};
    ///
    /// let flags = FlagSet::parse(
    ///     r#"{"flags": {"color": {"variants": {"gold": "yellow", "free": "gray"},
    ///         "defaultVariant": "free", "targeting": {"var": "tier"}}}}"#,
    /// )?;
    /// let fields = Map::from_iter([("tier".to_owned(), json!("gold"))]);
    /// let caller = EvaluationContext::default();
    /// let context = LocalContext::new(&caller).with_fields(&fields);
    /// assert_eq!(flags.evaluate("color", &context).string(), Ok(Some("yellow")));
    /// # Ok::<(), flagstaff::evaluator::DefinitionError>(())
    /// ```
    #[must_use]
    pub fn with_fields(mut self, fields: &'a Map<String, Json>) -> Self {
        self.added = Some(fields);
        self
    }

    /// The field with this name in the layers over the caller's; `None` if the
    /// caller's counts.
    fn over(&self, name: &str) -> Option<&'a Json> {
        let added = self.added.filter(|_| name != TARGETING_KEY);
        let field = self.sync_context.and_then(|fields| fields.get(name));
        field.or_else(|| added?.get(name))
    }

    /// Returns the error for the first field that was read and cannot be converted;
    /// `None` if there was no such field.
    ///
    /// It is `INVALID_CONTEXT` and names the field: an integer beyond ±2^53, a float
    /// that is not finite, a date that RFC 3339 cannot express, a struct of an
    /// unknown type, or one that is nested more than 64 levels deep.
    ///
    /// ```
    /// use flagstaff::{evaluator::FlagSet, flagd::LocalContext};
    /// use open_feature::{EvaluationContext, EvaluationErrorCode};
    ///
    /// let flags = FlagSet::parse(
    ///     r#"{"flags": {"new": {"variants": {"true": "yes", "false": "no"},
    ///         "targeting": {">": [{"var": "score"}, 1]}}}}"#,
    /// )?;
    /// let caller = EvaluationContext::default().with_custom_field("score", f64::NAN);
    /// let context = LocalContext::new(&caller);
    /// let _ = flags.evaluate("new", &context);
    /// let error = context.rejected().expect("the rule has read the field");
    /// assert_eq!(error.code, EvaluationErrorCode::InvalidContext);
    /// # Ok::<(), flagstaff::evaluator::DefinitionError>(())
    /// ```
    pub fn rejected(&self) -> Option<&EvaluationError> {
        self.refused.get()
    }

    /// A field of the caller as rules see it; null if it cannot be converted.
    fn read(&self, name: &'a str, field: &'a Field) -> ValueRef<'_> {
        let number = |number: Result<f64, _>| {
            number.map_or_else(|error| self.refuse(error), ValueRef::Number)
        };
        match field {
            Field::Bool(value) => ValueRef::Bool(*value),
            Field::Int(value) => number(context::int(name, *value)),
            Field::Float(value) => number(context::float(name, *value)),
            Field::String(value) => ValueRef::String(value),
            Field::DateTime(_) | Field::Struct(_) => self.convert(name, field),
        }
    }

    /// A date or struct, converted on the first read. The list is searched from its
    /// beginning: a rule that reads more than a few such fields is rare.
    fn convert(&self, name: &'a str, field: &'a Field) -> ValueRef<'_> {
        let mut end = &self.converted;
        while let Some(known) = end.get() {
            if known.name == name {
                return ValueRef::Json(&known.value);
            }
            end = &known.next;
        }
        let mut value = Json::Null;
        match context::field(name, field, &mut value) {
            Ok(()) => {
                let new = || Box::new(Converted { name, value, next: OnceCell::new() });
                ValueRef::Json(&end.get_or_init(new).value)
            }
            Err(error) => self.refuse(error),
        }
    }

    /// Keeps the first error; the rule sees null.
    fn refuse(&self, error: EvaluationError) -> ValueRef<'_> {
        self.refused.get_or_init(|| error);
        ValueRef::Null
    }
}

impl Context for LocalContext<'_> {
    fn get(&self, name: &str) -> Option<ValueRef<'_>> {
        if let Some(value) = self.over(name) {
            return Some(ValueRef::Json(value));
        }
        if name == TARGETING_KEY
            && let Some(key) = &self.caller.targeting_key
        {
            return Some(ValueRef::String(key));
        }
        let (name, field) = self.caller.custom_fields.get_key_value(name)?;
        Some(self.read(name, field))
    }

    fn each(&self, visit: &mut dyn FnMut(&str, ValueRef<'_>)) {
        for (name, value) in self.sync_context.into_iter().flatten() {
            visit(name, ValueRef::Json(value));
        }
        let is_sent = |name: &str| self.sync_context.is_some_and(|sent| sent.contains_key(name));
        for (name, value) in self.added.into_iter().flatten() {
            if name != TARGETING_KEY && !is_sent(name) {
                visit(name, ValueRef::Json(value));
            }
        }
        let key = self.caller.targeting_key.as_deref();
        for (name, field) in &self.caller.custom_fields {
            if self.over(name).is_none() && (key.is_none() || name != TARGETING_KEY) {
                visit(name, self.read(name, field));
            }
        }
        if let Some(key) = key.filter(|_| !is_sent(TARGETING_KEY)) {
            visit(TARGETING_KEY, ValueRef::String(key));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use std::sync::Arc;

    use open_feature::{EvaluationErrorCode, StructValue, Value};
    use proptest::{collection, prelude::*};
    use serde_json::json;
    use time::OffsetDateTime;

    use super::*;
    use crate::{
        evaluator::{ErrorCode, FlagSet, Reason},
        flagd::convert::context::context_to_struct,
    };

    /// The variant that a rule chooses, or the message of the error.
    fn chosen(rule: &Json, caller: &EvaluationContext, facts: &Json) -> Result<String, String> {
        let text = json!({"cat": [rule]});
        let variants = json!({"": 0, "a": 0, "b": 0, "3": 0, "x": 0, "y": 0,
            "1970-01-01T00:00:00Z": 0});
        let flag = json!({"variants": variants, "targeting": text});
        let set = FlagSet::parse(&json!({"flags": {"f": flag}}).to_string()).unwrap();
        let context = LocalContext::new(caller).with_sync_context(facts.as_object().unwrap());
        let outcome = set.evaluate("f", &context);
        if let Some(error) = context.rejected() {
            assert_eq!(error.code, EvaluationErrorCode::InvalidContext);
            return Err(error.message.clone().unwrap());
        }
        assert_eq!(outcome.error, None::<ErrorCode>);
        assert_eq!(outcome.reason, Reason::TargetingMatch);
        Ok(outcome.variant.unwrap().to_owned())
    }

    fn read(name: &str, caller: &EvaluationContext) -> Result<String, String> {
        chosen(&json!({"var": name}), caller, &json!({}))
    }

    #[test]
    fn a_fact_hides_the_targeting_key_and_that_hides_a_field_of_its_name() {
        let key = json!({"var": "targetingKey"});
        let none = json!({});
        let caller = EvaluationContext::default().with_custom_field("targetingKey", "b");
        assert_eq!(chosen(&key, &caller, &none).unwrap(), "b");
        let caller = caller.with_targeting_key("a");
        assert_eq!(chosen(&key, &caller, &none).unwrap(), "a");
        let facts = json!({"targetingKey": "x"});
        assert_eq!(chosen(&key, &caller, &facts).unwrap(), "x");
    }

    #[test]
    fn dates_and_structs_are_converted_when_they_are_read() {
        let tree = StructValue::default().with_field("list", vec!["x", "y"]);
        let caller = EvaluationContext::default()
            .with_custom_field("date", OffsetDateTime::UNIX_EPOCH)
            .with_custom_field("tree", Field::new_struct(tree))
            .with_custom_field("values", Arc::new(vec![Value::Int(3)]))
            .with_custom_field("json", Field::new_struct(json!({"a": {"b": "x"}})))
            .with_custom_field("unknown", Field::new_struct(7u8))
            .with_custom_field("big", i64::MAX)
            .with_custom_field("nan", f64::NAN)
            .with_custom_field("deep", Field::new_struct(json!({"a": [1, i64::MAX]})));
        assert_eq!(read("date", &caller).unwrap(), "1970-01-01T00:00:00Z");
        assert_eq!(read("tree.list.1", &caller).unwrap(), "y");
        assert_eq!(read("values.0", &caller).unwrap(), "3");
        assert_eq!(read("json.a.b", &caller).unwrap(), "x");
        for (name, path, what) in [
            ("unknown", "unknown", "is a struct of an unknown type"),
            ("big", "big", "is a whole number beyond ±2^53"),
            ("nan", "nan", "is NaN"),
            ("deep", "deep.a[1]", "is a whole number beyond ±2^53"),
        ] {
            let message = read(name, &caller).unwrap_err();
            assert!(message.starts_with(&format!("context field `{path}` {what}")), "{message}");
        }
    }

    #[test]
    fn a_field_is_converted_once_for_all_readings() {
        let caller = EvaluationContext::default()
            .with_custom_field("a", Field::new_struct(json!({"a": "x"})))
            .with_custom_field("b", Field::new_struct(json!({"a": "y"})));
        let context = LocalContext::new(&caller);
        let address = |name: &str| match context.get(name) {
            Some(ValueRef::Json(value)) => std::ptr::from_ref(value),
            other => panic!("{other:?}"),
        };
        assert_eq!(address("a"), address("a"));
        assert_eq!(address("b"), address("b"));
        assert_ne!(address("a"), address("b"));
    }

    fn field() -> impl Strategy<Value = Field> {
        prop_oneof![
            any::<bool>().prop_map(Field::from),
            any::<i64>().prop_map(Field::from),
            any::<i16>().prop_map(Field::from),
            any::<f64>().prop_map(Field::from),
            "[ab]{0,2}".prop_map(Field::from),
            (0i64..1_000_000).prop_map(|s| OffsetDateTime::from_unix_timestamp(s).unwrap().into()),
            any::<i64>().prop_map(|int| Field::new_struct(json!({"a": [int, null, {"b": 1}]}))),
            any::<u8>().prop_map(Field::new_struct),
        ]
    }

    fn whole(context: &dyn Context) -> Json {
        let mut fields = Map::new();
        context.each(&mut |name, value| {
            let value = match value {
                ValueRef::Null => Json::Null,
                ValueRef::Bool(value) => json!(value),
                ValueRef::Number(value) => json!(value),
                ValueRef::String(value) => json!(value),
                ValueRef::Json(value) => value.clone(),
                other => Json::String(format!("{other:?}")),
            };
            assert!(fields.insert(name.to_owned(), value).is_none(), "{name} came twice");
        });
        Json::Object(fields)
    }

    fn plain(value: prost_types::Value) -> Json {
        use prost_types::value::Kind;
        match value.kind.unwrap() {
            Kind::NullValue(_) => Json::Null,
            Kind::BoolValue(value) => json!(value),
            Kind::NumberValue(value) => json!(value),
            Kind::StringValue(value) => json!(value),
            Kind::ListValue(list) => list.values.into_iter().map(plain).collect(),
            Kind::StructValue(object) => {
                object.fields.into_iter().map(|(name, value)| (name, plain(value))).collect()
            }
        }
    }

    proptest! {
        /// The resolvers agree: what `rpc` sends is what rules read here, and what `rpc` rejects is
        /// an error here once it is read.
        #[test]
        fn the_whole_context_is_what_rpc_sends(
            key in proptest::option::of("[ab]"),
            fields in collection::hash_map("a|b|targetingKey", field(), 0..4),
        ) {
            let caller = EvaluationContext {
                targeting_key: key,
                custom_fields: fields.into_iter().collect(),
            };
            let context = LocalContext::new(&caller);
            let read = whole(&context);
            match context_to_struct(&caller) {
                Ok(sent) => {
                    prop_assert!(context.rejected().is_none());
                    let sent: Map<_, _> =
                        sent.fields.into_iter().map(|(name, value)| (name, plain(value))).collect();
                    prop_assert_eq!(read, Json::Object(sent));
                }
                Err(error) => {
                    let refused = context.rejected().unwrap();
                    prop_assert_eq!(&refused.code, &error.code);
                }
            }
        }
    }
}
