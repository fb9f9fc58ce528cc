//! What the server adds to the evaluation context of each request.
//!
//! A field can come from four places. The strongest comes first:
//!
//! | Place | Option | Limits |
//! |---|---|---|
//! | a header of the request | `context_from_header` | a string; an empty one is ignored |
//! | a constant | `context_value` | |
//! | the context source | `context_source` | never the targeting key |
//! | the client's context | | |
//!
//! The four are never merged into a map: [`Merged`] looks a field up in each
//! place in turn, because a rule reads few fields and most requests have nothing
//! added.

use http::{HeaderMap, HeaderName};
use serde_json::{Map, Value};

use crate::{
    context_source::TARGETING_KEY,
    evaluator::{Context, ValueRef},
};

/// The options for the fields that the server adds: constants, and fields from
/// headers, which override them.
#[derive(Clone, Debug, Default)]
pub(crate) struct StaticContext {
    /// The constants by name. Sync clients receive these too.
    pub(crate) values: Map<String, Value>,
    /// Which header gives which field. Of two for the same field, the later one
    /// wins.
    pub(crate) headers: Vec<(HeaderName, String)>,
}

/// The context of one request: the client's fields, overridden by those of the
/// context source and of the server.
#[derive(Clone, Copy)]
pub(crate) struct Merged<'a> {
    caller: &'a (dyn Context + Sync),
    /// The fields of the context source, once it was called.
    fields: Option<&'a Map<String, Value>>,
    static_context: &'a StaticContext,
    /// The headers of this request.
    headers: &'a HeaderMap,
}

impl StaticContext {
    /// The context of a request, as the context source sees it.
    pub(crate) fn over<'a>(
        &'a self,
        caller: &'a (dyn Context + Sync),
        headers: &'a HeaderMap,
    ) -> Merged<'a> {
        Merged { caller, fields: None, static_context: self, headers }
    }
}

impl<'a> Merged<'a> {
    /// The same with the fields of the context source.
    pub(crate) fn with_fields(self, fields: Option<&'a Map<String, Value>>) -> Self {
        Self { fields, ..self }
    }

    /// The context to evaluate with. If nothing is added, that is the client's own,
    /// without another layer.
    pub(crate) fn as_context(&self) -> &dyn Context {
        let StaticContext { values, headers } = self.static_context;
        if self.fields.is_none() && values.is_empty() && headers.is_empty() {
            return self.caller;
        }
        self
    }
}

impl Merged<'_> {
    /// The fields from headers. A header that is missing, empty or not UTF-8 sets
    /// none. The same name may occur twice; the last one counts.
    fn in_headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.static_context.headers.iter().filter_map(|(header, name)| {
            let value = std::str::from_utf8(self.headers.get(header)?.as_bytes()).ok()?;
            (!value.is_empty()).then_some((&**name, value))
        })
    }

    /// The field of this name that overrides the client's, if there is one.
    fn added(&self, name: &str) -> Option<ValueRef<'_>> {
        let header = self.in_headers().filter(|(field, _)| *field == name).last();
        let header = header.map(|(_, value)| ValueRef::String(value));
        let constant = || self.static_context.values.get(name);
        let field = || self.fields.filter(|_| name != TARGETING_KEY)?.get(name);
        header.or_else(|| constant().or_else(field).map(ValueRef::Json))
    }
}

impl Context for Merged<'_> {
    fn get(&self, name: &str) -> Option<ValueRef<'_>> {
        self.added(name).or_else(|| self.caller.get(name))
    }

    /// Visits every field once, under the value that [`get`](Self::get) returns.
    fn each(&self, visit: &mut dyn FnMut(&str, ValueRef<'_>)) {
        let from_headers: Map<String, Value> =
            self.in_headers().map(|(name, value)| (name.to_owned(), value.into())).collect();
        let values = self.static_context.values.iter();
        for (name, value) in values.filter(|(name, _)| !from_headers.contains_key(*name)) {
            visit(name, ValueRef::Json(value));
        }
        for (name, value) in &from_headers {
            visit(name, ValueRef::Json(value));
        }
        let is_the_servers = |name: &str| {
            from_headers.contains_key(name) || self.static_context.values.contains_key(name)
        };
        let is_a_field = |name: &str| {
            name != TARGETING_KEY && self.fields.is_some_and(|fields| fields.contains_key(name))
        };
        for (name, value) in self.fields.into_iter().flatten() {
            if is_a_field(name) && !is_the_servers(name) {
                visit(name, ValueRef::Json(value));
            }
        }
        self.caller.each(&mut |name, value| {
            if !is_the_servers(name) && !is_a_field(name) {
                visit(name, value);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    #[test]
    fn headers_are_over_constants_those_over_the_source_and_that_over_the_caller() {
        let static_context = StaticContext {
            values: json!({"a": 1, "b": 1, "d": 1}).as_object().unwrap().clone(),
            headers: [("x-a", "a"), ("x-c", "c"), ("x-d", "d")]
                .map(|(header, name)| (HeaderName::from_static(header), name.to_owned()))
                .into(),
        };
        let caller = json!({"a": 0, "b": 0, "c": 0, "e": 0, "f": 0, "targetingKey": 0});
        let caller = caller.as_object().unwrap().clone();
        let source = json!({"a": 3, "b": 3, "f": 3, "g": 3, "targetingKey": 3});
        let source = source.as_object().unwrap();
        let mut headers = HeaderMap::new();
        for (name, value) in [("x-a", "2"), ("x-c", "2"), ("x-d", "")] {
            headers.insert(name, value.parse().unwrap());
        }
        let fields = |context: &dyn Context| {
            let mut fields = BTreeMap::new();
            context.each(&mut |name, value| {
                assert_eq!(
                    format!("{value:?}").contains('2'),
                    format!("{:?}", context.get(name)).contains('2')
                );
                let ValueRef::Json(value) = value else { panic!("{value:?}") };
                assert!(fields.insert(name.to_owned(), value.clone()).is_none(), "{name} twice");
            });
            json!(fields)
        };
        let seen = fields(static_context.over(&caller, &headers).as_context());
        let expected =
            json!({"a": "2", "b": 1, "c": "2", "d": 1, "e": 0, "f": 0, "targetingKey": 0});
        assert_eq!(seen, expected, "what the source sees");
        let merged = static_context.over(&caller, &headers).with_fields(Some(source));
        let expected =
            json!({"a": "2", "b": 1, "c": "2", "d": 1, "e": 0, "f": 3, "g": 3, "targetingKey": 0});
        assert_eq!(fields(merged.as_context()), expected);
        let nothing = StaticContext::default();
        assert_eq!(fields(nothing.over(&caller, &headers).as_context()), json!(caller));
    }
}
