//! The values that rules work on.

pub(crate) mod path;

use std::{borrow::Cow, collections::BTreeMap, fmt, rc::Rc, time::SystemTime};

use serde_json::{Map as JsonMap, Value as Json, json};

use self::path::Path;
use super::{
    context::{Context, Items, ValueRef},
    json_text::write_text,
    number,
};

/// A rule that cannot be evaluated: what flagd calls a parse error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fail(pub(crate) &'static str);

/// What an evaluation gives, inside of a rule.
pub(crate) type Answer<'a> = Result<Value<'a>, Fail>;

/// A value, borrowed from the rule or the context where it can be.
#[derive(Clone, Debug)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    Number(f64),
    /// The whole-number zero of `{"-": []}` and `{"/": []}`, which flagd takes for another type than 0.
    IntegerZero,
    Text(Cow<'a, str>),
    List(List<'a>),
    Object(Object<'a>),
}

#[derive(Clone, Debug)]
pub(crate) enum List<'a> {
    Json(&'a [Json]),
    /// As the context holds it.
    Given(&'a dyn Items),
    Made(Rc<Vec<Value<'a>>>),
}

#[derive(Clone, Debug)]
pub(crate) enum Object<'a> {
    Json(&'a JsonMap<String, Json>),
    /// As the context holds it.
    Given(&'a dyn Context),
    Made(Rc<BTreeMap<String, Value<'a>>>),
    /// The whole context.
    Root(&'a Root<'a>),
    /// The field `$flagd` of the context.
    Flagd(&'a Root<'a>),
}

/// The variables of a context that were read.
pub(crate) trait Kept {
    /// The variable of this slot, which has this path.
    fn get(&self, slot: usize, path: &Path) -> &Value<'_>;
}

/// The context that the caller gave and what flagd adds to it.
pub(crate) struct Root<'a> {
    pub(crate) context: &'a dyn Context,
    pub(crate) flag_key: &'a str,
    /// Unix seconds; the clock is read when a rule asks.
    pub(crate) timestamp: Option<i64>,
    /// The variables that the rule reads more than once.
    pub(crate) kept: Option<&'a dyn Kept>,
}

impl fmt::Debug for Root<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Root").field("flag_key", &self.flag_key).finish_non_exhaustive()
    }
}

impl<'a> Root<'a> {
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn timestamp(&self) -> Value<'a> {
        let clock = || {
            let elapsed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            elapsed.map_or(0, |elapsed| i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX))
        };
        Value::Number(self.timestamp.unwrap_or_else(clock) as f64)
    }

    pub(crate) fn materialize(&'a self) -> BTreeMap<String, Value<'a>> {
        let mut fields = materialize(self.context);
        fields.insert("$flagd".to_owned(), Value::Object(Object::Flagd(self)));
        fields
    }
}

fn materialize<'a>(context: &dyn Context) -> BTreeMap<String, Value<'a>> {
    let mut fields = BTreeMap::new();
    context.each(&mut |name, value| {
        fields.insert(name.to_owned(), Value::from(value).into_owned());
    });
    fields
}

impl<'a> From<ValueRef<'a>> for Value<'a> {
    fn from(value: ValueRef<'a>) -> Self {
        match value {
            ValueRef::Null => Value::Null,
            ValueRef::Bool(value) => Value::Bool(value),
            ValueRef::Number(value) => Value::Number(value),
            ValueRef::Text(value) => Value::Text(Cow::Borrowed(value)),
            ValueRef::Json(value) => Value::from(value),
            ValueRef::List(value) => Value::List(List::Given(value)),
            ValueRef::Object(value) => Value::Object(Object::Given(value)),
            ValueRef::Owned(value) => Value::from(&value).into_owned(),
        }
    }
}

impl<'a> From<&'a Json> for Value<'a> {
    fn from(value: &'a Json) -> Self {
        match value {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(*value),
            Json::Number(value) => Value::Number(value.as_f64().unwrap_or(f64::NAN)),
            Json::String(value) => Value::Text(Cow::Borrowed(value)),
            Json::Array(value) => Value::List(List::Json(value)),
            Json::Object(value) => Value::Object(Object::Json(value)),
        }
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Value::Text(Cow::Owned(text))
    }
}

impl<'a> From<Vec<Value<'a>>> for Value<'a> {
    fn from(items: Vec<Value<'a>>) -> Self {
        Value::List(List::Made(Rc::new(items)))
    }
}

impl<'a> From<BTreeMap<String, Value<'a>>> for Value<'a> {
    fn from(fields: BTreeMap<String, Value<'a>>) -> Self {
        Value::Object(Object::Made(Rc::new(fields)))
    }
}

/// How many steps it takes to read or copy so many bytes of text: for a short text, none.
pub(crate) fn steps(bytes: usize) -> usize {
    bytes / 16
}

impl<'a> List<'a> {
    /// How many steps it takes to go through the list: each item is copied then.
    pub(crate) fn steps(&self) -> usize {
        match self {
            List::Made(items) => items.iter().map(|item| 1 + item.steps()).sum(),
            other => other.len(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            List::Json(items) => items.len(),
            List::Given(items) => items.count(),
            List::Made(items) => items.len(),
        }
    }

    pub(crate) fn get(&self, index: usize) -> Option<Value<'a>> {
        match self {
            List::Json(items) => items.get(index).map(Value::from),
            List::Given(items) => items.get(index).map(Value::from),
            List::Made(items) => items.get(index).cloned(),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Value<'a>> + '_ {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}

impl<'a> Object<'a> {
    pub(crate) fn get(&self, name: &str) -> Option<Value<'a>> {
        match self {
            Object::Json(fields) => fields.get(name).map(Value::from),
            Object::Given(fields) => fields.get(name).map(Value::from),
            Object::Made(fields) => fields.get(name).cloned(),
            Object::Root(root) if name == "$flagd" => Some(Value::Object(Object::Flagd(root))),
            Object::Root(root) => root.context.get(name).map(Value::from),
            Object::Flagd(root) => match name {
                "flagKey" => Some(Value::Text(Cow::Borrowed(root.flag_key))),
                "timestamp" => Some(root.timestamp()),
                _ => None,
            },
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Object::Json(fields) => fields.is_empty(),
            Object::Given(_) => self.count() == 0,
            Object::Made(fields) => fields.is_empty(),
            Object::Root(_) | Object::Flagd(_) => false,
        }
    }

    /// The fields in the order of their names.
    pub(crate) fn fields(&self) -> BTreeMap<String, Value<'a>> {
        match self {
            Object::Json(fields) => {
                fields.iter().map(|(name, value)| (name.clone(), value.into())).collect()
            }
            Object::Given(fields) => materialize(*fields),
            Object::Made(fields) => fields.as_ref().clone(),
            Object::Root(root) => root.materialize(),
            Object::Flagd(root) => BTreeMap::from([
                ("flagKey".to_owned(), Value::Text(Cow::Borrowed(root.flag_key))),
                ("timestamp".to_owned(), root.timestamp()),
            ]),
        }
    }

    fn count(&self) -> usize {
        let count = |context: &dyn Context, but: Option<&str>| {
            let mut count = 0;
            context.each(&mut |name, _| count += usize::from(Some(name) != but));
            count
        };
        match self {
            Object::Json(fields) => fields.len(),
            Object::Given(fields) => count(*fields, None),
            Object::Made(fields) => fields.len(),
            Object::Root(root) => count(root.context, Some("$flagd")) + 1,
            Object::Flagd(_) => 2,
        }
    }

    pub(crate) fn has_one_field(&self) -> bool {
        self.count() == 1
    }
}

impl<'a> Value<'a> {
    /// Whether a condition holds. NaN does; so does anything that is not empty.
    pub(crate) fn is_true(&self) -> bool {
        match self {
            Value::Null | Value::IntegerZero => false,
            Value::Bool(value) => *value,
            Value::Number(value) => *value != 0.0,
            Value::Text(text) => !text.is_empty(),
            Value::List(list) => list.len() > 0,
            Value::Object(object) => !object.is_empty(),
        }
    }

    /// How many steps it takes to read the value or copy it, beyond the usual.
    pub(crate) fn steps(&self) -> usize {
        self.as_text().map_or(0, |text| steps(text.len()))
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    pub(crate) fn is_number(&self) -> bool {
        matches!(self, Value::Number(_) | Value::IntegerZero)
    }

    pub(crate) fn as_object(&self) -> Option<&Object<'a>> {
        match self {
            Value::Object(object) => Some(object),
            _ => None,
        }
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number for arithmetic: a text that is none counts as 0, and other types fail.
    pub(crate) fn to_number(&self) -> Result<f64, Fail> {
        match self {
            Value::Number(number) => Ok(*number),
            Value::IntegerZero => Ok(0.0),
            Value::Text(text) => Ok(number::parse(text).unwrap_or(0.0)),
            _ => Err(Fail("expected a number")),
        }
    }

    /// The text for joining: null is empty, and booleans, lists and objects fail.
    pub(crate) fn to_text(&self) -> Result<Cow<'a, str>, Fail> {
        match self {
            Value::Null => Ok(Cow::Borrowed("")),
            Value::Text(text) => Ok(text.clone()),
            Value::Number(number) => Ok(Cow::Owned(number::plain(*number))),
            Value::IntegerZero => Ok(Cow::Borrowed("0")),
            _ => Err(Fail("expected a string")),
        }
    }

    /// A copy that borrows nothing.
    pub(crate) fn into_owned(self) -> Value<'static> {
        match self {
            Value::Null => Value::Null,
            Value::Bool(value) => Value::Bool(value),
            Value::Number(value) => Value::Number(value),
            Value::IntegerZero => Value::IntegerZero,
            Value::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Value::List(list) => list.iter().map(Value::into_owned).collect::<Vec<_>>().into(),
            Value::Object(object) => {
                let fields = object.fields().into_iter();
                let fields = fields.map(|(name, value)| (name, value.into_owned()));
                fields.collect::<BTreeMap<_, _>>().into()
            }
        }
    }

    /// The value as JSON, to be read as a rule: infinity and NaN, which no JSON holds, become the rule
    /// that gives them.
    pub(crate) fn to_json(&self) -> Json {
        match self {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Number(value) => match serde_json::Number::from_f64(*value) {
                Some(number) => Json::Number(number),
                None if value.is_nan() => json!({"/": [0, 0]}),
                None => json!({"/": [value.signum(), 0]}),
            },
            Value::IntegerZero => Json::from(0),
            Value::Text(text) => Json::String(text.to_string()),
            Value::List(list) => Json::Array(list.iter().map(|item| item.to_json()).collect()),
            Value::Object(object) => {
                let fields = object.fields().into_iter();
                Json::Object(fields.map(|(name, value)| (name, value.to_json())).collect())
            }
        }
    }

    /// Appends the JSON text that flagd would see, fields in the order of their names.
    pub(crate) fn write_json(&self, out: &mut String) -> Result<(), Fail> {
        match self {
            Value::Null => out.push_str("null"),
            Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Value::IntegerZero => out.push('0'),
            Value::Number(value) => {
                out.push_str(&number::json(*value).ok_or(Fail("a number without JSON form"))?);
            }
            Value::Text(text) => write_text(text, out),
            Value::List(list) => {
                out.push('[');
                for (index, item) in list.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write_json(out)?;
                }
                out.push(']');
            }
            Value::Object(object) => {
                out.push('{');
                for (index, (name, value)) in object.fields().iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    write_text(name, out);
                    out.push(':');
                    value.write_json(out)?;
                }
                out.push('}');
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
