//! The values that rules work on.
//!
//! A [`Value`] is what a variable, an argument or an operator gives during an
//! evaluation. It borrows from the rule, which lives as long as the flag set, and
//! from the context, which lives as long as the call. Only what an operator
//! builds, such as the string of `cat`, is owned. That is why arrays and objects
//! come in several forms:
//!
//! | form | from | cost of reading an item |
//! |---|---|---|
//! | `Json` | the rule, or a context of JSON | a borrow |
//! | `Given` | a context of another form | depends on the context |
//! | `Made` | an operator | a clone, cheap for what is behind an `Rc` |
//! | `Root`, `Flagd` | flagd's view of the context, which adds `$flagd` | a borrow |
//!
//! Conversions follow flagd's `JsonLogic` library, and each has its own rule about
//! what it accepts: [`Value::is_true`] accepts everything, [`Value::to_number`]
//! fails for what is neither number nor string, [`Value::to_text`] fails for
//! booleans, arrays and objects. A failure is a [`Fail`], which makes the whole
//! evaluation a `PARSE_ERROR`.
//!
//! Values are not `Send`: one evaluation runs on one thread, and does not wait.

pub(crate) mod path;

use std::{borrow::Cow, collections::BTreeMap, fmt, rc::Rc, time::SystemTime};

use serde_json::{Map as JsonMap, Value as Json, json};

use self::path::Path;
use super::{
    context::{Context, Items, ValueRef},
    json_text::write_text,
    number,
};

/// Why a rule cannot be evaluated. The evaluation ends as a `PARSE_ERROR`; the
/// reason is shown by the linter only, because flagd does not send one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fail(pub(crate) &'static str);

/// The result of evaluating a part of a rule.
pub(crate) type Evaluated<'a> = Result<Value<'a>, Fail>;

/// A value during an evaluation, borrowed from the rule or the context where
/// possible.
#[derive(Clone, Debug)]
pub(crate) enum Value<'a> {
    /// Null, which is also the value of a variable that does not exist.
    Null,
    /// A boolean.
    Bool(bool),
    /// A number of any kind. It may be infinite or NaN, which JSON cannot
    /// represent.
    Number(f64),
    /// The zero of `{"-": []}` and `{"/": []}`, which is an integer in flagd's
    /// library, and so of another type than the number 0: `===` finds that they
    /// differ.
    IntegerZero,
    /// A string.
    Text(Cow<'a, str>),
    /// An array.
    List(List<'a>),
    /// An object.
    Object(Object<'a>),
}

/// An array, in the form in which its owner has it.
#[derive(Clone, Debug)]
pub(crate) enum List<'a> {
    /// Items of the rule or of a context of JSON.
    Json(&'a [Json]),
    /// An array of the context in the form that it has there.
    Given(&'a dyn Items),
    /// An array that an operator built. Shared, because values are cloned when
    /// they are passed on.
    Made(Rc<Vec<Value<'a>>>),
}

/// An object, in the form in which its owner has it.
#[derive(Clone, Debug)]
pub(crate) enum Object<'a> {
    /// An object of the rule or of a context of JSON.
    Json(&'a JsonMap<String, Json>),
    /// An object of the context in the form that it has there.
    Given(&'a dyn Context),
    /// An object that an operator built, such as the one that the body of
    /// `reduce` sees.
    Made(Rc<BTreeMap<String, Value<'a>>>),
    /// The whole context, with `$flagd` over the caller's fields.
    Root(&'a Root<'a>),
    /// The field `$flagd` of the context.
    Flagd(&'a Root<'a>),
}

/// The variables of a context that were read during an evaluation.
///
/// A rule often compares one variable many times. Its path is then looked up in
/// the context once, and the value is kept in a slot. It is a trait because the
/// room for the slots has several sizes.
pub(crate) trait Kept {
    /// The value of the variable with this slot and path, looked up at the first
    /// call.
    fn get(&self, slot: usize, path: &Path) -> &Value<'_>;
}

/// The data that a rule is evaluated on: the caller's context, and what flagd
/// adds to it, which overrides a field `$flagd` of the caller.
pub(crate) struct Root<'a> {
    /// The context as the caller gave it.
    pub(crate) context: &'a dyn Context,
    /// The key of the flag, which is `$flagd.flagKey`.
    pub(crate) flag_key: &'a str,
    /// The time of `$flagd.timestamp`, in Unix seconds. If there is none, the
    /// clock is read whenever a rule reads it.
    pub(crate) timestamp: Option<i64>,
    /// The variables that the rule reads more than once; `None` if there are
    /// none, or while one of them is being read.
    pub(crate) kept: Option<&'a dyn Kept>,
}

impl fmt::Debug for Root<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Root").field("flag_key", &self.flag_key).finish_non_exhaustive()
    }
}

impl<'a> Root<'a> {
    /// The given time, or that of the clock. A clock before 1970 counts as 1970.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn timestamp(&self) -> Value<'a> {
        let clock = || {
            let elapsed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            elapsed.map_or(0, |elapsed| i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX))
        };
        Value::Number(self.timestamp.unwrap_or_else(clock) as f64)
    }

    /// All fields, as an object of the evaluation's own, with `$flagd` among
    /// them.
    pub(crate) fn materialize(&'a self) -> BTreeMap<String, Value<'a>> {
        let mut fields = materialize(self.context);
        fields.insert("$flagd".to_owned(), Value::Object(Object::Flagd(self)));
        fields
    }
}

/// Copies the fields of a context. They do not borrow from it, because
/// `Context::each` lends each value only during the call.
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
            ValueRef::String(value) => Value::Text(Cow::Borrowed(value)),
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

/// How many steps it takes to read or copy this many bytes of text. A short text is
/// free: the step for the operator that reads it covers it.
pub(crate) fn steps(bytes: usize) -> usize {
    bytes / 16
}

impl<'a> List<'a> {
    /// How many steps it takes to go through the array, where each item is
    /// copied.
    pub(crate) fn steps(&self) -> usize {
        match self {
            List::Made(items) => items.iter().map(|item| 1 + item.steps()).sum(),
            other => other.len(),
        }
    }

    /// The number of items.
    pub(crate) fn len(&self) -> usize {
        match self {
            List::Json(items) => items.len(),
            List::Given(items) => items.count(),
            List::Made(items) => items.len(),
        }
    }

    /// The item at a place, counted from 0.
    pub(crate) fn get(&self, index: usize) -> Option<Value<'a>> {
        match self {
            List::Json(items) => items.get(index).map(Value::from),
            List::Given(items) => items.get(index).map(Value::from),
            List::Made(items) => items.get(index).cloned(),
        }
    }

    /// The items in their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Value<'a>> + '_ {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}

impl<'a> Object<'a> {
    /// The field with this name. Names of fields are case-sensitive, unlike those
    /// in a definition.
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

    /// Whether the object has no fields. The context is never empty: it has
    /// `$flagd`.
    fn is_empty(&self) -> bool {
        match self {
            Object::Json(fields) => fields.is_empty(),
            Object::Given(_) => self.count() == 0,
            Object::Made(fields) => fields.is_empty(),
            Object::Root(_) | Object::Flagd(_) => false,
        }
    }

    /// The fields in the order of their names, copied.
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

    /// The number of fields, counted without copying them.
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

    /// Whether an object could be an operation: its only name is then the
    /// operator.
    pub(crate) fn has_one_field(&self) -> bool {
        self.count() == 1
    }
}

impl<'a> Value<'a> {
    /// Whether a condition holds, by the [rules of
    /// `JsonLogic`](https://jsonlogic.com/truthy.html): not for null, false, 0, and
    /// what is empty, here also an object. NaN holds, and so does the string
    /// `"0"`.
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

    /// How many steps it takes to read or copy the value, beyond the one that
    /// every operation takes.
    pub(crate) fn steps(&self) -> usize {
        self.as_text().map_or(0, |text| steps(text.len()))
    }

    /// Whether the value is null.
    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// Whether the value is a number, of either type.
    pub(crate) fn is_number(&self) -> bool {
        matches!(self, Value::Number(_) | Value::IntegerZero)
    }

    /// The object, if it is one.
    pub(crate) fn as_object(&self) -> Option<&Object<'a>> {
        match self {
            Value::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The string, if it is one.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number for arithmetic. A string that does not contain a number counts
    /// as 0.
    ///
    /// # Errors
    ///
    /// For null, booleans, arrays and objects.
    pub(crate) fn to_number(&self) -> Result<f64, Fail> {
        match self {
            Value::Number(number) => Ok(*number),
            Value::IntegerZero => Ok(0.0),
            Value::Text(text) => Ok(number::parse(text).unwrap_or(0.0)),
            _ => Err(Fail("expected a number")),
        }
    }

    /// The string for joining. Null is the empty string, and numbers are written
    /// without an exponent.
    ///
    /// # Errors
    ///
    /// For booleans, arrays and objects.
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

    /// The value as JSON that is to be read as a rule: infinity and NaN, which
    /// JSON cannot represent, become the division that results in them.
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

    /// Appends the JSON text that flagd would produce, with the fields of objects
    /// in the order of their names.
    ///
    /// # Errors
    ///
    /// For infinity and NaN, at any depth. What was written before stays in
    /// `out`.
    pub(crate) fn write_json(&self, out: &mut String) -> Result<(), Fail> {
        match self {
            Value::Null => out.push_str("null"),
            Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Value::IntegerZero => out.push('0'),
            Value::Number(value) => {
                out.push_str(
                    &number::json(*value).ok_or(Fail("a number that JSON cannot represent"))?,
                );
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
