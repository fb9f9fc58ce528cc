//! The values that rules work on.

use std::{borrow::Cow, collections::BTreeMap, rc::Rc, time::SystemTime};

use serde_json::{Map as JsonMap, Value as Json, json};

use super::{
    context::{Context, Items, ValueRef},
    number,
    slots::Kept,
};

/// A rule that cannot be evaluated: what flagd calls a parse error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fail(pub(super) &'static str);

/// What an evaluation gives, inside of a rule.
pub(super) type Answer<'a> = Result<Value<'a>, Fail>;

/// A value, borrowed from the rule or the context where it can be.
#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
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
pub(super) enum List<'a> {
    Json(&'a [Json]),
    /// As the context holds it.
    Given(&'a dyn Items),
    Made(Rc<Vec<Value<'a>>>),
}

#[derive(Clone, Debug)]
pub(super) enum Object<'a> {
    Json(&'a JsonMap<String, Json>),
    /// As the context holds it.
    Given(&'a dyn Context),
    Made(Rc<BTreeMap<String, Value<'a>>>),
    /// The whole context.
    Root(&'a Root<'a>),
    /// The field `$flagd` of the context.
    Flagd(&'a Root<'a>),
}

/// The context that the caller gave and what flagd adds to it.
pub(super) struct Root<'a> {
    pub(super) context: &'a dyn Context,
    pub(super) flag_key: &'a str,
    /// Unix seconds; the clock is read when a rule asks.
    pub(super) timestamp: Option<i64>,
    /// The variables that the rule reads more than once.
    pub(super) kept: Option<&'a dyn Kept>,
}

impl std::fmt::Debug for Root<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Root").field("flag_key", &self.flag_key).finish_non_exhaustive()
    }
}

impl<'a> Root<'a> {
    #[allow(clippy::cast_precision_loss)]
    fn timestamp(&self) -> Value<'a> {
        let clock = || {
            let elapsed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            elapsed.map_or(0, |elapsed| i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX))
        };
        Value::Number(self.timestamp.unwrap_or_else(clock) as f64)
    }

    fn materialize(&'a self) -> BTreeMap<String, Value<'a>> {
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
pub(super) fn steps(bytes: usize) -> usize {
    bytes / 16
}

impl<'a> List<'a> {
    /// How many steps it takes to go through the list: each item is copied then.
    pub(super) fn steps(&self) -> usize {
        match self {
            List::Made(items) => items.iter().map(|item| 1 + item.steps()).sum(),
            other => other.len(),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            List::Json(items) => items.len(),
            List::Given(items) => items.count(),
            List::Made(items) => items.len(),
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<Value<'a>> {
        match self {
            List::Json(items) => items.get(index).map(Value::from),
            List::Given(items) => items.get(index).map(Value::from),
            List::Made(items) => items.get(index).cloned(),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Value<'a>> + '_ {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}

impl<'a> Object<'a> {
    pub(super) fn get(&self, name: &str) -> Option<Value<'a>> {
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
    pub(super) fn fields(&self) -> BTreeMap<String, Value<'a>> {
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

    pub(super) fn has_one_field(&self) -> bool {
        self.count() == 1
    }
}

impl<'a> Value<'a> {
    /// Whether a condition holds. NaN does; so does anything that is not empty.
    pub(super) fn is_true(&self) -> bool {
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
    pub(super) fn steps(&self) -> usize {
        self.as_text().map_or(0, |text| steps(text.len()))
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    pub(super) fn is_number(&self) -> bool {
        matches!(self, Value::Number(_) | Value::IntegerZero)
    }

    pub(super) fn as_object(&self) -> Option<&Object<'a>> {
        match self {
            Value::Object(object) => Some(object),
            _ => None,
        }
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number for arithmetic: a text that is none counts as 0, and other types fail.
    pub(super) fn to_number(&self) -> Result<f64, Fail> {
        match self {
            Value::Number(number) => Ok(*number),
            Value::IntegerZero => Ok(0.0),
            Value::Text(text) => Ok(number::parse(text).unwrap_or(0.0)),
            _ => Err(Fail("a number was expected")),
        }
    }

    /// The text for joining: null is empty, and booleans, lists and objects fail.
    pub(super) fn to_text(&self) -> Result<Cow<'a, str>, Fail> {
        match self {
            Value::Null => Ok(Cow::Borrowed("")),
            Value::Text(text) => Ok(text.clone()),
            Value::Number(number) => Ok(Cow::Owned(number::plain(*number))),
            Value::IntegerZero => Ok(Cow::Borrowed("0")),
            _ => Err(Fail("a text was expected")),
        }
    }

    /// A copy that borrows nothing.
    pub(super) fn into_owned(self) -> Value<'static> {
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
    pub(super) fn to_json(&self) -> Json {
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
    pub(super) fn write_json(&self, out: &mut String) -> Result<(), Fail> {
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

/// Whether the JSON text of a character is not the character itself: flagd escapes what HTML would
/// trip over as well.
fn is_escaped(c: char) -> bool {
    matches!(c, '"' | '\\' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}')
}

/// Whether the JSON text of `text` is `text` in quotes.
pub(super) fn is_plain(text: &str) -> bool {
    // What is escaped beyond ASCII begins with the byte E2.
    let is_simple = |b: u8| b >= b' ' && !matches!(b, b'"' | b'\\' | b'<' | b'>' | b'&' | 0xe2);
    text.bytes().all(is_simple) || !text.contains(is_escaped)
}

fn hexadecimal(digit: u32) -> char {
    char::from_digit(digit & 0xf, 16).unwrap_or('0')
}

/// Appends `text` between quotes, with flagd's escapes.
pub(super) fn write_text(text: &str, out: &mut String) {
    out.push('"');
    let (plain, rest) = if is_plain(text) { (text, "") } else { ("", text) };
    out.push_str(plain);
    for c in rest.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if is_escaped(c) => {
                let code = u32::from(c);
                out.push_str("\\u");
                out.extend([12, 8, 4, 0].map(|shift| hexadecimal(code >> shift)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truth(json: &Json) -> bool {
        Value::from(json).is_true()
    }

    #[test]
    fn what_is_not_empty_is_true() {
        for json in [json!(true), json!(-1), json!("0"), json!([0]), json!({"a": null})] {
            assert!(truth(&json), "{json}");
        }
        for json in
            [json!(null), json!(false), json!(0), json!(-0.0), json!(""), json!([]), json!({})]
        {
            assert!(!truth(&json), "{json}");
        }
        assert!(Value::Number(f64::NAN).is_true());
    }

    #[test]
    fn numbers_for_arithmetic() {
        assert_eq!(Value::from(&json!("1.5")).to_number(), Ok(1.5));
        assert_eq!(Value::from(&json!("x")).to_number(), Ok(0.0));
        for json in [json!(null), json!(true), json!([1]), json!({})] {
            assert!(Value::from(&json).to_number().is_err(), "{json}");
        }
    }

    #[test]
    fn json_text_has_the_escapes_of_html() {
        let value = json!({"b": "<a>&\"\\\n\u{7}\u{2028}", "a": [1.0, null]});
        let mut text = String::new();
        Value::from(&value).write_json(&mut text).unwrap();
        let escaped = r#"{"a":[1,null],"b":"\u003ca\u003e\u0026\"\\\n\u0007\u2028"}"#;
        assert_eq!(text, escaped);
        assert_eq!(
            Value::Number(f64::NAN).write_json(&mut text),
            Err(Fail("a number without JSON form"))
        );
    }
}
