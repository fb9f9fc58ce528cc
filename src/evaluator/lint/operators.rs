//! What the linter knows of operators: one table.
//!
//! A row says of one or several operators which arguments flagd's schema accepts,
//! which types each argument may have, what always happens with another type, and
//! what types the result may have. With that, the walk over a rule needs no code
//! for most operators:
//!
//! ```text
//! {"cat": ["a", [1]]}
//!   cat accepts null, a number or a string, and otherwise fails
//!   [1] is an array  ->  `cat` fails (PARSE_ERROR): expected null, a number or a string, got an array
//! ```
//!
//! The schema is stricter than the evaluator, and both are in the table: `takes`
//! is the schema's, `accepts` and `gives` the evaluator's. What `accepts` says
//! must hold in every context, since a warning that is false is worse than none.
//! The tests therefore evaluate rules with many combinations of arguments in many
//! contexts.

use std::{fmt, ops::BitOr};

use serde_json::Value as Json;

use crate::evaluator::load::tree::{Kind, Tree};

/// A set of types, those that a value may have.
///
/// A literal has exactly one. An operation has those of its operator, and a
/// variable usually any. Two sets that do not meet are a certain mismatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kinds(u8);

impl Kinds {
    /// Null.
    pub(crate) const NULL: Self = Self(1);
    /// True and false.
    pub(crate) const BOOLEAN: Self = Self(2);
    /// Numbers.
    pub(crate) const NUMBER: Self = Self(4);
    /// Strings.
    pub(crate) const STRING: Self = Self(8);
    /// Arrays.
    pub(crate) const ARRAY: Self = Self(16);
    /// Objects that are values, and not operations.
    pub(crate) const OBJECT: Self = Self(32);
    /// Every type: nothing is known.
    pub(crate) const ANY: Self = Self(63);

    /// The type of a value as it is written. For an operation that is an object.
    pub(crate) fn of(tree: &Tree) -> Self {
        match &tree.kind {
            Kind::Scalar(Json::Bool(_)) => Self::BOOLEAN,
            Kind::Scalar(Json::Number(_)) => Self::NUMBER,
            Kind::Scalar(Json::String(_)) => Self::STRING,
            Kind::Scalar(_) => Self::NULL,
            Kind::List(_) => Self::ARRAY,
            Kind::Object(_) => Self::OBJECT,
        }
    }

    /// Whether the two sets have a type in common.
    pub(crate) const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitOr for Kinds {
    /// The union.
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Display for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [(Kinds, &str); 6] = [
            (Kinds::NULL, "null"),
            (Kinds::BOOLEAN, "a boolean"),
            (Kinds::NUMBER, "a number"),
            (Kinds::STRING, "a string"),
            (Kinds::ARRAY, "an array"),
            (Kinds::OBJECT, "an object"),
        ];
        let names: Vec<_> = NAMES.iter().filter(|(kind, _)| kind.meets(*self)).collect();
        for (index, (_, name)) in names.iter().enumerate() {
            let joint = match index {
                0 => "",
                last if last + 1 == names.len() => " or ",
                _ => ", ",
            };
            write!(f, "{joint}{name}")?;
        }
        Ok(())
    }
}

/// Which arguments flagd's schema accepts for an operator.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Takes {
    /// At least and at most this many arguments, in an array.
    Arguments(usize, usize),
    /// One argument, in an array or not.
    One,
    /// The name of a variable, alone or in an array with a default value.
    Variable,
    /// Names of variables, in an array.
    Names,
    /// A number and an array with names of variables.
    SomeNames,
    /// Two strings, or rules that return them.
    Strings,
    /// A version, an operator of `sem_ver`, and another version.
    Versions,
    /// Buckets of `fractional`, with or without a value to bucket by.
    Buckets,
    /// Anything: flagd's library has the operator, but the schema does not.
    Unknown,
}

/// For each argument, the types that it may have, and what happens with any
/// other.
type Accepts = &'static [(Kinds, &'static str)];

/// What the linter knows of one operator, or of several that are alike.
#[derive(Debug)]
pub(crate) struct Operator {
    /// The names of the operators that this row is for.
    pub(crate) names: &'static [&'static str],
    /// What the schema accepts.
    pub(crate) takes: Takes,
    /// The types that each argument may have, and what happens in every context
    /// with any other. The last entry stands for all that follow; without
    /// entries, every type is accepted.
    accepts: Accepts,
    /// The types that the result may have, unless the operator fails.
    pub(crate) gives: Kinds,
}

impl Operator {
    /// The types that an argument may have, and what happens with any other.
    /// Arguments count from 0.
    pub(crate) fn accepts(&self, argument: usize) -> (Kinds, &'static str) {
        let accepted = self.accepts.get(argument).or(self.accepts.last());
        accepted.copied().unwrap_or((Kinds::ANY, ""))
    }

    /// Whether the evaluator reads exactly this many arguments. Otherwise their
    /// types may not matter, and the linter does not check them.
    pub(crate) fn fits(&self, arguments: usize) -> bool {
        match self.takes {
            Takes::Arguments(least, most) => (least..=most).contains(&arguments),
            Takes::Strings => arguments == 2,
            Takes::Versions => arguments == 3,
            _ => true,
        }
    }

    /// Whether the result is always true, false, or null where it cannot compare.
    pub(crate) fn compares(&self) -> bool {
        !self.gives.meets(Kinds(!TRUTH.0))
    }

    /// Whether the operator reads the context itself, so that the same arguments
    /// may lead to different results.
    pub(crate) fn reads(&self) -> bool {
        matches!(self.takes, Takes::Variable | Takes::Names | Takes::SomeNames | Takes::Buckets)
    }
}

/// Any number of arguments.
const MANY: usize = usize::MAX;
/// What happens with a wrong type: the evaluation ends as an error.
const FAILS: &str = "fails (PARSE_ERROR)";
/// What happens with a wrong type: null.
const NULL: &str = "is always null";
/// What happens with a wrong type: false.
const FALSE: &str = "is always false";
/// What happens with a wrong type: true.
const TRUE: &str = "is always true";
/// What happens with a wrong type: the body is never evaluated.
const IDLE: &str = "has no array to iterate";

/// Numbers, and strings, which are converted to numbers.
const NUMERIC: Kinds = Kinds(Kinds::NUMBER.0 | Kinds::STRING.0);
/// What `cat` can join.
const WRITABLE: Kinds = Kinds(NUMERIC.0 | Kinds::NULL.0);
/// What can be equal to something.
const SCALAR: Kinds = Kinds(WRITABLE.0 | Kinds::BOOLEAN.0);
/// The results of comparisons.
const TRUTH: Kinds = Kinds(Kinds::BOOLEAN.0 | Kinds::NULL.0);
/// What `in` can look through.
const HAYSTACK: Kinds = Kinds(Kinds::STRING.0 | Kinds::ARRAY.0);
/// What `reduce` may begin with.
const START: Kinds = Kinds(NUMERIC.0 | Kinds::BOOLEAN.0);
/// The results of `max` and `min`: the greatest of no numbers is null.
const EXTREME: Kinds = Kinds(Kinds::NUMBER.0 | Kinds::NULL.0);

/// A row of the table.
const fn row(
    names: &'static [&'static str],
    takes: Takes,
    accepts: Accepts,
    gives: Kinds,
) -> Operator {
    Operator { names, takes, accepts, gives }
}

/// Arguments of any type.
const ANY: Accepts = &[];
/// Arguments of arithmetic.
const NUMBERS: Accepts = &[(NUMERIC, FAILS)];
/// Arguments of `substr`. Of any type is the length, which does not matter if the
/// start is outside of the string.
const TEXTS: Accepts = &[(WRITABLE, FAILS), (NUMERIC, FAILS), (Kinds::ANY, "")];
/// Arguments of `map` and its like: an array, and the rule for its items.
const LISTS: Accepts = &[(Kinds::ARRAY, IDLE), (Kinds::ANY, "")];
/// Arguments of `reduce`: an array, the rule for its items, and the value to
/// begin with.
const REDUCED: Accepts = &[(Kinds::ARRAY, IDLE), (Kinds::ANY, ""), (START, FAILS)];
/// Arguments of `in`: what to look for, and where.
const NEEDLE: Accepts = &[(SCALAR, "never holds"), (HAYSTACK, "never holds")];

/// All operators that flagd knows. A test compares the names with those of the
/// evaluator.
const OPERATORS: &[Operator] = &[
    row(&["var"], Takes::Variable, ANY, Kinds::ANY),
    row(&["if"], Takes::Arguments(1, MANY), ANY, Kinds::ANY),
    row(&["==", "==="], Takes::Arguments(2, 2), &[(SCALAR, FALSE)], Kinds::BOOLEAN),
    row(&["!=", "!=="], Takes::Arguments(2, 2), &[(SCALAR, TRUE)], Kinds::BOOLEAN),
    row(&[">=", ">"], Takes::Arguments(2, 2), &[(SCALAR, FALSE)], Kinds::BOOLEAN),
    row(&["<=", "<"], Takes::Arguments(2, 3), &[(SCALAR, FALSE)], Kinds::BOOLEAN),
    row(&["and", "or"], Takes::Arguments(1, MANY), ANY, Kinds::ANY),
    row(&["!", "!!"], Takes::One, ANY, Kinds::BOOLEAN),
    row(&["in"], Takes::Arguments(2, 2), NEEDLE, Kinds::BOOLEAN),
    row(&["starts_with", "ends_with"], Takes::Strings, &[(Kinds::STRING, NULL)], TRUTH),
    row(&["sem_ver"], Takes::Versions, &[(NUMERIC, NULL)], TRUTH),
    row(&["fractional"], Takes::Buckets, ANY, Kinds::ANY),
    row(&["+", "-"], Takes::Arguments(1, MANY), NUMBERS, Kinds::NUMBER),
    row(&["*"], Takes::Arguments(2, MANY), NUMBERS, Kinds::NUMBER),
    row(&["/", "%"], Takes::Arguments(2, 2), NUMBERS, Kinds::NUMBER),
    row(&["max", "min"], Takes::Arguments(1, MANY), NUMBERS, EXTREME),
    row(&["cat"], Takes::Arguments(1, MANY), &[(WRITABLE, FAILS)], Kinds::STRING),
    row(&["substr"], Takes::Arguments(2, 3), TEXTS, Kinds::STRING),
    row(&["merge"], Takes::Arguments(1, MANY), ANY, Kinds::ARRAY),
    row(&["missing"], Takes::Names, ANY, Kinds::ARRAY),
    row(&["missing_some"], Takes::SomeNames, ANY, Kinds::ARRAY),
    row(&["map", "filter"], Takes::Arguments(2, 2), LISTS, Kinds::ARRAY),
    row(&["all", "none", "some"], Takes::Arguments(2, 2), LISTS, Kinds::BOOLEAN),
    row(&["reduce"], Takes::Arguments(3, 3), REDUCED, Kinds::ANY),
    row(&["?:", "set"], Takes::Unknown, ANY, Kinds::ANY),
    row(&["abs"], Takes::Unknown, &[(NUMERIC, FAILS), (Kinds::ANY, "")], Kinds::NUMBER),
    row(
        &["contains_all", "contains_any"],
        Takes::Unknown,
        &[(Kinds::ARRAY, FALSE)],
        Kinds::BOOLEAN,
    ),
    row(&["contains_none"], Takes::Unknown, &[(Kinds::ARRAY, TRUE)], Kinds::BOOLEAN),
];

/// The row for the operator of this name.
pub(crate) fn find(name: &str) -> Option<&'static Operator> {
    OPERATORS.iter().find(|operator| operator.names.contains(&name))
}

/// The names of the operators in flagd's schema, which are the ones to suggest.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    let known = OPERATORS.iter().filter(|operator| !matches!(operator.takes, Takes::Unknown));
    known.flat_map(|operator| operator.names).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluator::rule::operator;

    #[test]
    fn each_operator_is_known() {
        for name in OPERATORS.iter().flat_map(|operator| operator.names) {
            assert!(operator::find(name).is_some(), "{name}");
        }
        let known: Vec<_> = OPERATORS.iter().flat_map(|operator| operator.names).collect();
        assert_eq!(known.len(), operator::count());
    }

    #[test]
    fn kinds_are_told() {
        assert_eq!((Kinds::NULL | Kinds::STRING).to_string(), "null or a string");
        assert_eq!(Kinds::OBJECT.to_string(), "an object");
        assert_eq!(SCALAR.to_string(), "null, a boolean, a number or a string");
    }
}
