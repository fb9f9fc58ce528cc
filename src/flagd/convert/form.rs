//! What the values of an evaluation context are turned into.

use std::collections::BTreeMap;

use prost_types::value::Kind;
#[cfg(feature = "in-process")]
use serde_json::Value as Json;

/// A form of values: protobuf's for the wire, JSON for evaluation in this process.
pub(super) trait Form: Sized {
    fn null() -> Self;
    fn boolean(value: bool) -> Self;
    /// The number is finite.
    fn number(value: f64) -> Self;
    fn text(value: String) -> Self;
    fn list(items: Vec<Self>) -> Self;
    fn object(fields: Vec<(String, Self)>) -> Self;
}

impl Form for prost_types::Value {
    fn null() -> Self {
        Kind::NullValue(0).into()
    }

    fn boolean(value: bool) -> Self {
        value.into()
    }

    fn number(value: f64) -> Self {
        value.into()
    }

    fn text(value: String) -> Self {
        value.into()
    }

    fn list(items: Vec<Self>) -> Self {
        items.into()
    }

    fn object(fields: Vec<(String, Self)>) -> Self {
        fields.into_iter().collect::<BTreeMap<_, _>>().into()
    }
}

#[cfg(feature = "in-process")]
impl Form for Json {
    fn null() -> Self {
        Json::Null
    }

    fn boolean(value: bool) -> Self {
        Json::Bool(value)
    }

    fn number(value: f64) -> Self {
        Json::from(value)
    }

    fn text(value: String) -> Self {
        Json::String(value)
    }

    fn list(items: Vec<Self>) -> Self {
        Json::Array(items)
    }

    fn object(fields: Vec<(String, Self)>) -> Self {
        Json::Object(fields.into_iter().collect())
    }
}
