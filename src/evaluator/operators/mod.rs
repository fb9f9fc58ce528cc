//! The operators of rules: one table, and a function for each.
//!
//! Each function does what flagd's does, odd cases included. Where flagd panics and recovers, the
//! function fails, which makes the evaluation a parse error.

mod arithmetic;
mod compare;
mod lists;
mod objects;
mod text;

use super::{
    eval::Run,
    fractional, sem_ver,
    value::{Answer, Fail, Value},
};

/// The evaluated arguments of an operator.
#[derive(Clone, Copy, Debug)]
pub(super) enum Args<'v, 'a> {
    List(&'v [Value<'a>]),
    /// What is no list: `{"!": true}`.
    Single(&'v Value<'a>),
}

/// An operator on evaluated arguments, the data at hand, and what the evaluation carries along.
pub(super) type Eager = for<'v, 'a> fn(Args<'v, 'a>, &Value<'a>, &Run) -> Answer<'a>;

/// An operator that evaluates its arguments itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lazy {
    And,
    Or,
    If,
    Filter,
    Map,
    Reduce,
    All,
    None,
    Some,
}

/// An operator that compares two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Same,
    NotSame,
    Less,
    AtMost,
    Greater,
    AtLeast,
    StartsWith,
    EndsWith,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Operator {
    Compare(Comparison),
    Eager(Eager),
    Lazy(Lazy),
    Variable,
}

const TABLE: &[(&str, Operator)] = &[
    ("var", Operator::Variable),
    ("if", Operator::Lazy(Lazy::If)),
    ("?:", Operator::Lazy(Lazy::If)),
    ("and", Operator::Lazy(Lazy::And)),
    ("or", Operator::Lazy(Lazy::Or)),
    ("filter", Operator::Lazy(Lazy::Filter)),
    ("map", Operator::Lazy(Lazy::Map)),
    ("reduce", Operator::Lazy(Lazy::Reduce)),
    ("all", Operator::Lazy(Lazy::All)),
    ("none", Operator::Lazy(Lazy::None)),
    ("some", Operator::Lazy(Lazy::Some)),
    ("!", Operator::Eager(|args, _, _| Ok(Value::Bool(compare::not(args))))),
    ("!!", Operator::Eager(|args, _, _| Ok(Value::Bool(!compare::not(args))))),
    ("==", Operator::Compare(Comparison::Equal)),
    ("!=", Operator::Compare(Comparison::NotEqual)),
    ("===", Operator::Compare(Comparison::Same)),
    ("!==", Operator::Compare(Comparison::NotSame)),
    ("<", Operator::Compare(Comparison::Less)),
    ("<=", Operator::Compare(Comparison::AtMost)),
    (">", Operator::Compare(Comparison::Greater)),
    (">=", Operator::Compare(Comparison::AtLeast)),
    ("+", Operator::Eager(|args, _, _| arithmetic::add(args))),
    ("-", Operator::Eager(|args, _, _| arithmetic::subtract(args))),
    ("*", Operator::Eager(|args, _, _| arithmetic::multiply(args))),
    ("/", Operator::Eager(|args, _, _| arithmetic::divide(args))),
    ("%", Operator::Eager(|args, _, _| arithmetic::remainder(args))),
    ("abs", Operator::Eager(|args, _, _| arithmetic::abs(args))),
    ("max", Operator::Eager(|args, _, _| arithmetic::extreme(args, |new, best| new > best))),
    ("min", Operator::Eager(|args, _, _| arithmetic::extreme(args, |new, best| new < best))),
    ("cat", Operator::Eager(|args, _, run| text::cat(args, run))),
    ("substr", Operator::Eager(|args, _, _| text::substr(args))),
    ("starts_with", Operator::Compare(Comparison::StartsWith)),
    ("ends_with", Operator::Compare(Comparison::EndsWith)),
    ("in", Operator::Eager(|args, _, run| lists::is_in(args, run))),
    ("merge", Operator::Eager(|args, _, run| lists::merge(args, run))),
    ("missing", Operator::Eager(lists::missing)),
    ("missing_some", Operator::Eager(lists::missing_some)),
    ("contains_all", Operator::Eager(|args, _, run| lists::contains_all(args, run))),
    ("contains_any", Operator::Eager(|args, _, run| lists::contains_any(args, run, true))),
    ("contains_none", Operator::Eager(|args, _, run| lists::contains_any(args, run, false))),
    ("set", Operator::Eager(objects::set)),
    ("sem_ver", Operator::Eager(|args, _, _| Ok(sem_ver::compare(args)))),
    ("fractional", Operator::Eager(fractional::distribute)),
];

/// A text or a number: what is compared most.
#[derive(Clone, Copy, Debug)]
pub(super) enum Plain<'v> {
    Text(&'v str),
    Number(f64),
}

impl<'v> Plain<'v> {
    #[inline]
    pub(super) fn of(value: &'v Value<'_>) -> Option<Self> {
        match value {
            Value::Text(text) => Some(Self::Text(text)),
            Value::Number(number) => Some(Self::Number(*number)),
            _ => None,
        }
    }

    /// How many bytes of text a comparison looks at, at most.
    #[inline]
    pub(super) fn compared_with(self, other: Self) -> usize {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => a.len().min(b.len()),
            (Self::Text(text), Self::Number(_)) | (Self::Number(_), Self::Text(text)) => text.len(),
            (Self::Number(_), Self::Number(_)) => 0,
        }
    }

    fn to_value(self) -> Value<'v> {
        match self {
            Self::Text(text) => Value::Text(text.into()),
            Self::Number(number) => Value::Number(number),
        }
    }
}

impl Comparison {
    /// Compares two values; gives nothing, which is null, where they are no texts and must be.
    pub(super) fn of(self, a: &Value<'_>, b: &Value<'_>) -> Option<bool> {
        Some(match self {
            Self::Equal => compare::equals(a, b),
            Self::NotEqual => !compare::equals(a, b),
            Self::Same => compare::identical(a, b),
            Self::NotSame => !compare::identical(a, b),
            Self::Less => compare::less(a, b),
            Self::AtMost => compare::at_most(a, b),
            Self::Greater => compare::less(b, a),
            Self::AtLeast => compare::at_most(b, a),
            Self::StartsWith | Self::EndsWith => match (a, b) {
                (Value::Text(a), Value::Text(b)) => self.of_texts(a, b),
                _ => return None,
            },
        })
    }

    /// The same, of values that are read where they stand.
    #[inline]
    pub(super) fn of_plain(self, a: Plain<'_>, b: Plain<'_>) -> Option<bool> {
        match (a, b) {
            (Plain::Text(a), Plain::Text(b)) => Some(self.of_texts(a, b)),
            (Plain::Number(a), Plain::Number(b)) => self.of_numbers(a, b),
            (a, b) => self.of(&a.to_value(), &b.to_value()),
        }
    }

    #[inline]
    fn of_texts(self, a: &str, b: &str) -> bool {
        match self {
            Self::Equal | Self::Same => a == b,
            Self::NotEqual | Self::NotSame => a != b,
            Self::Less => a < b,
            Self::AtMost => a <= b,
            Self::Greater => a > b,
            Self::AtLeast => a >= b,
            Self::StartsWith => a.starts_with(b),
            Self::EndsWith => a.ends_with(b),
        }
    }

    #[inline]
    #[allow(clippy::float_cmp)]
    fn of_numbers(self, a: f64, b: f64) -> Option<bool> {
        Some(match self {
            Self::Equal | Self::Same => a == b,
            Self::NotEqual | Self::NotSame => a != b,
            Self::Less => a < b,
            Self::AtMost => a <= b,
            Self::Greater => a > b,
            Self::AtLeast => a >= b,
            Self::StartsWith | Self::EndsWith => return None,
        })
    }

    /// The operator on any other number of arguments.
    pub(super) fn eager(self) -> Eager {
        match self {
            Self::Equal => |args, _, _| compare::equal(args).map(Value::Bool),
            Self::NotEqual => |args, _, _| compare::equal(args).map(|equal| Value::Bool(!equal)),
            Self::Same => |args, _, _| Ok(Value::Bool(compare::same(args))),
            Self::NotSame => |args, _, _| Ok(Value::Bool(!compare::same(args))),
            Self::Less => |args, _, _| compare::ordered(args, compare::less),
            Self::AtMost => |args, _, _| compare::ordered(args, compare::at_most),
            Self::Greater => |args, _, _| compare::ordered(args, |a, b| compare::less(b, a)),
            Self::AtLeast => |args, _, _| compare::ordered(args, |a, b| compare::at_most(b, a)),
            Self::StartsWith => |args, _, _| Ok(compare::texts(args, Self::StartsWith)),
            Self::EndsWith => |args, _, _| Ok(compare::texts(args, Self::EndsWith)),
        }
    }
}

/// The operator of this name.
pub(super) fn find(name: &str) -> Option<Operator> {
    TABLE.iter().find(|(known, _)| *known == name).map(|(_, operator)| *operator)
}

/// How many operators there are.
#[cfg(test)]
pub(super) fn count() -> usize {
    TABLE.len()
}

/// Whether the operator of this name evaluates a part of the rule on other data than its own.
pub(super) fn is_scope(name: &str) -> bool {
    matches!(
        find(name),
        Some(Operator::Lazy(
            Lazy::Filter | Lazy::Map | Lazy::Reduce | Lazy::All | Lazy::None | Lazy::Some
        ))
    )
}

impl<'v, 'a> Args<'v, 'a> {
    /// The arguments of an operator that takes a list only.
    fn list(self) -> Result<&'v [Value<'a>], Fail> {
        match self {
            Args::List(items) => Ok(items),
            Args::Single(_) => Err(Fail("the arguments are no list")),
        }
    }
}

/// An argument that must be there.
fn argument<'v, 'a>(items: &'v [Value<'a>], index: usize) -> Result<&'v Value<'a>, Fail> {
    items.get(index).ok_or(Fail("an argument is missing"))
}

#[cfg(test)]
pub(super) mod testing {
    use serde_json::{Map, Value as Json, json};

    use super::super::{
        compile::compile,
        eval::{self, Run},
        fractional::Bucketing,
        slots::Slots,
        value::{Root, Value},
    };

    /// The JSON text of what a rule gives on a context, or `fails`.
    pub(in super::super) fn on(rule: &Json, context: &Json) -> String {
        let empty = Map::new();
        let context = context.as_object().unwrap_or(&empty);
        let root = Root { context, flag_key: "flag", timestamp: Some(7), kept: None };
        let rule = compile(rule).unwrap();
        let slots = Slots::many(&root, rule.slots);
        let root = Root { kept: Some(&slots), ..root };
        let data = Value::Object(super::super::value::Object::Root(&root));
        let mut text = String::new();
        let run = Run::new(Bucketing::String);
        match eval::eval(&rule.node, &data, &run).and_then(|value| value.write_json(&mut text)) {
            Ok(()) => text,
            Err(_) => String::from("fails"),
        }
    }

    /// The same without a context.
    pub(in super::super) fn of(rule: &Json) -> String {
        on(rule, &json!({}))
    }

    /// Asserts what rules give.
    #[track_caller]
    pub(in super::super) fn assert_all<const N: usize>(cases: [(Json, &str); N]) {
        for (rule, answer) in cases {
            assert_eq!(of(&rule), answer, "{rule}");
        }
    }

    #[test]
    fn unknown_operators_fail_where_they_are_evaluated() {
        assert_all([
            (json!({"nope": []}), "fails"),
            (json!({"if": [true, 1, {"nope": []}]}), "1"),
            (json!({"a": 1, "nope": []}), r#"{"a":1,"nope":[]}"#),
            (json!({}), "{}"),
        ]);
    }
}
