//! The operators on evaluated arguments: a function for each.
//!
//! Each function returns what flagd does, odd cases included. Where flagd's library
//! panics and flagd recovers, the function fails, which makes the evaluation a
//! `PARSE_ERROR`: see "Targeting rules" in `docs/flagd.md`.
//!
//! | Module | Operators |
//! |---|---|
//! | [`arithmetic`] | `+`, `-`, `*`, `/`, `%`, `abs`, `max`, `min` |
//! | [`compare`] | `==`, `!=`, `===`, `!==`, `<`, `<=`, `>`, `>=`, `starts_with`, `ends_with`, `!`, `!!` |
//! | [`text`] | `cat`, `substr` |
//! | [`lists`] | `in`, `merge`, `missing`, `missing_some`, `contains_all`, `contains_any`, `contains_none` |
//! | [`objects`] | `set` |
//!
//! A function takes its arguments as [`Args`], and beside them only what it needs: the
//! data that the rule is evaluated on, and the [`Run`] if its work can exceed that of
//! reading the arguments once, which the caller has charged.
//!
//! A comparison of two values is also called directly, through [`Comparison::of`]
//! and, for strings and numbers, [`Comparison::of_plain`].

mod arithmetic;
mod compare;
mod lists;
mod objects;
mod text;

use super::{
    args::Args,
    fractional,
    operator::{Comparison, Eager},
    run::Run,
    sem_ver,
};
use crate::evaluator::value::{Evaluated, Value};

/// Calls an operator on its arguments.
///
/// `data` is what the rule is evaluated on. `missing` and `missing_some` read variables
/// from it, `fractional` the targeting key, and `set` evaluates its value on it.
pub(crate) fn call<'a>(
    operator: Eager,
    args: Args<'_, 'a>,
    data: &Value<'a>,
    run: &Run,
) -> Evaluated<'a> {
    match operator {
        Eager::Compare(comparison) => compare_any(comparison, args),
        Eager::Not => Ok(Value::Bool(compare::not(args))),
        Eager::IsTrue => Ok(Value::Bool(!compare::not(args))),
        Eager::Add => arithmetic::add(args),
        Eager::Subtract => arithmetic::subtract(args),
        Eager::Multiply => arithmetic::multiply(args),
        Eager::Divide => arithmetic::divide(args),
        Eager::Remainder => arithmetic::remainder(args),
        Eager::Abs => arithmetic::abs(args),
        Eager::Max => arithmetic::extreme(args, |new, best| new > best),
        Eager::Min => arithmetic::extreme(args, |new, best| new < best),
        Eager::Cat => text::cat(args, run),
        Eager::Substring => text::substr(args),
        Eager::In => lists::is_in(args, run),
        Eager::Merge => lists::merge(args, run),
        Eager::Missing => lists::missing(args, data, run),
        Eager::MissingSome => lists::missing_some(args, data, run),
        Eager::ContainsAll => lists::contains_all(args, run),
        Eager::ContainsAny => lists::contains_any(args, run, true),
        Eager::ContainsNone => lists::contains_any(args, run, false),
        Eager::Set => objects::set(args, data, run),
        Eager::SemVer => Ok(sem_ver::compare(args)),
        Eager::Fractional => fractional::distribute(args, data, run),
    }
}

/// A comparison of any number of arguments, whether they are an array or not.
fn compare_any<'a>(comparison: Comparison, args: Args<'_, 'a>) -> Evaluated<'a> {
    match comparison {
        Comparison::Equal => compare::equal(args).map(Value::Bool),
        Comparison::NotEqual => compare::equal(args).map(|equal| Value::Bool(!equal)),
        Comparison::Same => Ok(Value::Bool(compare::same(args))),
        Comparison::NotSame => Ok(Value::Bool(!compare::same(args))),
        Comparison::Less => compare::ordered(args, compare::less),
        Comparison::AtMost => compare::ordered(args, compare::at_most),
        Comparison::Greater => compare::ordered(args, |a, b| compare::less(b, a)),
        Comparison::AtLeast => compare::ordered(args, |a, b| compare::at_most(b, a)),
        Comparison::StartsWith => Ok(compare::texts(args, Comparison::StartsWith)),
        Comparison::EndsWith => Ok(compare::texts(args, Comparison::EndsWith)),
    }
}

/// A string or a number, which most comparisons are between.
///
/// It is small enough to be copied, and refers to a string where it is, so that a
/// comparison needs no [`Value`].
#[derive(Clone, Copy, Debug)]
pub(crate) enum Plain<'v> {
    /// A string.
    Text(&'v str),
    /// A number.
    Number(f64),
}

impl<'v> Plain<'v> {
    /// The string or number that a value is, if it is one. The whole-number zero is not.
    #[inline]
    pub(crate) fn of(value: &'v Value<'_>) -> Option<Self> {
        match value {
            Value::Text(text) => Some(Self::Text(text)),
            Value::Number(number) => Some(Self::Number(*number)),
            _ => None,
        }
    }

    /// How many bytes of strings a comparison looks at, at most: of two strings as many
    /// as the shorter one has, and of a string and a number all of the string, which is
    /// parsed.
    #[inline]
    pub(crate) fn compared_with(self, other: Self) -> usize {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => a.len().min(b.len()),
            (Self::Text(text), Self::Number(_)) | (Self::Number(_), Self::Text(text)) => text.len(),
            (Self::Number(_), Self::Number(_)) => 0,
        }
    }

    /// The same as a value, for comparisons between types.
    fn to_value(self) -> Value<'v> {
        match self {
            Self::Text(text) => Value::Text(text.into()),
            Self::Number(number) => Value::Number(number),
        }
    }
}

impl Comparison {
    /// Compares two values. `None`, which is null in a rule, if they must be strings and
    /// are not.
    pub(crate) fn of(self, a: &Value<'_>, b: &Value<'_>) -> Option<bool> {
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

    /// The same for strings and numbers that are read where they are.
    #[inline]
    pub(crate) fn of_plain(self, a: Plain<'_>, b: Plain<'_>) -> Option<bool> {
        match (a, b) {
            (Plain::Text(a), Plain::Text(b)) => Some(self.of_texts(a, b)),
            (Plain::Number(a), Plain::Number(b)) => self.of_ordered(a, b),
            (a, b) => self.of(&a.to_value(), &b.to_value()),
        }
    }

    /// Compares two strings, by their bytes.
    #[inline]
    fn of_texts(self, a: &str, b: &str) -> bool {
        match self {
            Self::StartsWith => a.starts_with(b),
            Self::EndsWith => a.ends_with(b),
            _ => self.of_ordered(a, b) == Some(true),
        }
    }

    /// Compares two values of one type by their order. `None` for `starts_with` and
    /// `ends_with`, which are not about order; of numbers, they are null.
    #[inline]
    fn of_ordered<T: Copy + PartialOrd>(self, a: T, b: T) -> Option<bool> {
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
}

#[cfg(test)]
pub(crate) mod testing {
    use serde_json::{Map, Value as Json, json};

    use crate::{
        bucketing::Bucketing,
        evaluator::{
            rule::{compile::compile, eval, run::Run, slots::Slots},
            value::{Root, Value},
        },
    };

    /// The JSON text of what a rule returns for a context, or `fails`. The flag is
    /// called `flag`, and the time is 7.
    pub(crate) fn on(rule: &Json, context: &Json) -> String {
        let empty = Map::new();
        let context = context.as_object().unwrap_or(&empty);
        let root = Root { context, flag_key: "flag", timestamp: Some(7), kept: None };
        let rule = compile(rule).unwrap();
        let slots = Slots::many(&root, rule.slots);
        let root = Root { kept: Some(&slots), ..root };
        let data = Value::Object(crate::evaluator::value::Object::Root(&root));
        let mut text = String::new();
        let run = Run::new(Bucketing::String);
        match eval::eval(&rule.node, &data, &run).and_then(|value| value.write_json(&mut text)) {
            Ok(()) => text,
            Err(_) => String::from("fails"),
        }
    }

    /// The same for an empty context.
    pub(crate) fn of(rule: &Json) -> String {
        on(rule, &json!({}))
    }

    /// Asserts what rules return for an empty context.
    #[track_caller]
    pub(crate) fn assert_all<const N: usize>(cases: [(Json, &str); N]) {
        for (rule, expected) in cases {
            assert_eq!(of(&rule), expected, "{rule}");
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
