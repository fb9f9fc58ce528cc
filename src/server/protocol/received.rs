//! Requests of the evaluation service: the flag, and a protobuf struct as the context
//! of an evaluation, read without a copy.
//!
//! The server evaluates flags with the context of a request as prost has decoded
//! it. Rules read its fields through the evaluator's [`Context`], and arrays in it
//! through [`Items`], so that a large context of which a rule reads one field costs
//! one lookup.
//!
//! The depth is bounded by prost, which rejects messages that are nested more than
//! 100 levels deep.

use std::collections::BTreeMap;

use crate::evaluator::{Context, Items, ValueRef};

/// A request to resolve a flag; all versions and types have the same fields.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ResolveRequest {
    #[prost(string, tag = "1")]
    pub(crate) flag_key: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) context: Option<Struct>,
}

/// A request to resolve all flags.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ResolveAllRequest {
    #[prost(message, optional, tag = "1")]
    pub(crate) context: Option<Struct>,
}

/// `google.protobuf.Struct`: a type of this crate, so that its [`Context`] is not part of the API.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Struct {
    #[prost(btree_map = "string, message", tag = "1")]
    fields: BTreeMap<String, Value>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ListValue {
    #[prost(message, repeated, tag = "1")]
    values: Vec<Value>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Value {
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 5, 6")]
    kind: Option<Kind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Kind {
    #[prost(int32, tag = "1")]
    Null(i32),
    #[prost(double, tag = "2")]
    Number(f64),
    #[prost(string, tag = "3")]
    String(String),
    #[prost(bool, tag = "4")]
    Bool(bool),
    #[prost(message, tag = "5")]
    Struct(Struct),
    #[prost(message, tag = "6")]
    List(ListValue),
}

impl Context for Struct {
    fn get(&self, name: &str) -> Option<ValueRef<'_>> {
        self.fields.get(name).map(read)
    }

    fn each(&self, visit: &mut dyn FnMut(&str, ValueRef<'_>)) {
        for (name, value) in &self.fields {
            visit(name, read(value));
        }
    }
}

impl Items for ListValue {
    fn count(&self) -> usize {
        self.values.len()
    }

    fn get(&self, index: usize) -> Option<ValueRef<'_>> {
        self.values.get(index).map(read)
    }
}

/// A value as rules see it. One without a kind, which protobuf allows, is null, as
/// in flagd.
fn read(value: &Value) -> ValueRef<'_> {
    match &value.kind {
        None | Some(Kind::Null(_)) => ValueRef::Null,
        Some(Kind::Bool(value)) => ValueRef::Bool(*value),
        Some(Kind::Number(value)) => ValueRef::Number(*value),
        Some(Kind::String(value)) => ValueRef::String(value),
        Some(Kind::List(list)) => ValueRef::List(list),
        Some(Kind::Struct(object)) => ValueRef::Object(object),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use open_feature::{EvaluationContext, EvaluationContextFieldValue};
    use prost::Message;
    use serde_json::{Map, Value as Json, json};

    use super::*;
    use crate::{evaluator::FlagSet, flagd::convert::context::context_to_struct};

    fn context() -> Json {
        json!({
            "targetingKey": "user", "n": 1.5, "no": null, "yes": true, "text": "é", "empty": {},
            "none": [], "one": {"var": "n"}, "$flagd": {"flagKey": "other"},
            "tree": {"list": [1, "b", [true, null, {"x": {"y": 2}}]], "a": {"$flagd": 1}},
        })
    }

    fn protobuf(context: &Json) -> Struct {
        let mut caller = EvaluationContext::default();
        for (name, value) in context.as_object().unwrap() {
            let value = EvaluationContextFieldValue::new_struct(value.clone());
            caller = caller.with_custom_field(name, value);
        }
        Struct::decode(&*context_to_struct(&caller).unwrap().encode_to_vec()).unwrap()
    }

    /// The result of a rule, made visible by the text of an array, which may have any value.
    fn outcome(rule: &Json, context: &dyn Context) -> (Option<String>, String) {
        let flag = json!({"variants": {"true": 1, "false": 0, "user": 2, "[1.5,é]": 3, "{}": 4,
            "[]": 5, "2": 6, "[1,b,[true,null,{x:{y:2}}]]": 7, "{a:{$flagd:1},list:[1,b,[true,null,{x:{y:2}}]]}": 8,
            "[3,6]": 9, "1.5": 10}, "targeting": rule});
        let set = FlagSet::parse(&json!({"flags": {"f": flag}}).to_string()).unwrap();
        let outcome = set.evaluate_at("f", context, 7);
        let summary = format!("{:?} {:?}", outcome.reason, outcome.error);
        (outcome.variant.map(str::to_owned), summary)
    }

    #[test]
    fn rules_read_it_as_they_read_json() {
        let json = context();
        let json: &Map<String, Json> = json.as_object().unwrap();
        let protobuf = protobuf(&context());
        let var = |name: &str| json!({"var": name});
        let mut found = 0;
        for rule in [
            var("targetingKey"),
            var("n"),
            var("no"),
            var("empty"),
            var("none"),
            var("tree"),
            var("tree.list"),
            var("tree.list.2.2.x.y"),
            var("$flagd.flagKey"),
            var(""),
            json!([var("n"), var("text")]),
            json!({"!": [var("empty")]}),
            json!({"!": [var("none")]}),
            json!({"!": [var("tree")]}),
            json!({"if": [true, var("one")]}),
            json!({"if": [true, var("tree")]}),
            json!({"in": ["b", var("tree.list")]}),
            json!({"missing": ["tree.list.0", "tree.list.9"]}),
            json!({"some": [var("tree.list.2"), {"==": [{"var": "x.y"}, 2]}]}),
            json!({"map": [[1, 2], {"*": [{"var": ""}, 3]}]}),
            json!({"filter": [var("tree.list"), var("tree")]}),
            json!({"fractional": [["true", 1], ["false", 1]]}),
            json!({"fractional": [var("text"), ["true", 1], ["false", 1]]}),
            json!({"==": [{"set": [var("tree"), "list", 1]}, 1]}),
            json!({"merge": [var("tree.list"), 1]}),
            json!({"cat": [var("tree")]}),
        ] {
            let given = outcome(&rule, &protobuf);
            assert_eq!(given, outcome(&rule, json), "{rule}");
            found += usize::from(given.0.is_some());
        }
        assert!(found >= 15, "only {found} of the rules chose a variant");
    }

    #[test]
    fn a_value_of_no_kind_is_null() {
        let context = Struct { fields: [("a".to_owned(), Value { kind: None })].into() };
        assert!(matches!(Context::get(&context, "a"), Some(ValueRef::Null)));
    }
}
