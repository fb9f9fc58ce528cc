//! The operators, as warnings know them: one table. What it says of an operator holds for every
//! context, since flagd's conversions are the evaluator's.

use std::{fmt, ops::BitOr};

use serde_json::Value as Json;

use crate::evaluator::load::tree::{Kind, Tree};

/// The types that a value may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kinds(u8);

impl Kinds {
    pub(crate) const NULL: Self = Self(1);
    pub(crate) const BOOLEAN: Self = Self(2);
    pub(crate) const NUMBER: Self = Self(4);
    pub(crate) const STRING: Self = Self(8);
    pub(crate) const ARRAY: Self = Self(16);
    pub(crate) const OBJECT: Self = Self(32);
    pub(crate) const ANY: Self = Self(63);

    /// The type of a value that is not a rule.
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

    /// Whether a value can be of these and of those types.
    pub(crate) const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitOr for Kinds {
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

/// How an operator takes its arguments, by flagd's schema.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Takes {
    /// So many at least and at most, in an array.
    Arguments(usize, usize),
    /// One argument, in an array or not.
    One,
    /// The name of a variable, with or without its default value.
    Variable,
    Names,
    SomeNames,
    /// Two strings, or rules for them.
    Strings,
    Versions,
    Buckets,
    /// flagd's library has it, its schema does not.
    Unknown,
}

type Accepts = &'static [(Kinds, &'static str)];

/// What there is to know of an operator.
#[derive(Debug)]
pub(crate) struct Operator {
    pub(crate) names: &'static [&'static str],
    pub(crate) takes: Takes,
    /// What each argument may be, and what happens with any other, in every context; the last
    /// stands for all that follow.
    accepts: Accepts,
    /// What it may give, unless it fails.
    pub(crate) gives: Kinds,
}

impl Operator {
    /// What an argument may be, and what happens with any other.
    pub(crate) fn accepts(&self, argument: usize) -> (Kinds, &'static str) {
        let accepted = self.accepts.get(argument).or(self.accepts.last());
        accepted.copied().unwrap_or((Kinds::ANY, ""))
    }

    /// Whether so many arguments are looked at, and no others.
    pub(crate) fn fits(&self, arguments: usize) -> bool {
        match self.takes {
            Takes::Arguments(least, most) => (least..=most).contains(&arguments),
            Takes::Strings => arguments == 2,
            Takes::Versions => arguments == 3,
            _ => true,
        }
    }

    /// Whether it gives true or false, or null where it cannot compare.
    pub(crate) fn compares(&self) -> bool {
        !self.gives.meets(Kinds(!TRUTH.0))
    }

    /// Whether it reads the context itself, so that the same arguments may give different results.
    pub(crate) fn reads(&self) -> bool {
        matches!(self.takes, Takes::Variable | Takes::Names | Takes::SomeNames | Takes::Buckets)
    }
}

const MANY: usize = usize::MAX;
const FAILS: &str = "fails (PARSE_ERROR)";
const NULL: &str = "is always null";
const FALSE: &str = "is always false";
const TRUE: &str = "is always true";
const IDLE: &str = "has no array to iterate";

/// Numbers, or strings that stand for them.
const NUMERIC: Kinds = Kinds(Kinds::NUMBER.0 | Kinds::STRING.0);
const WRITABLE: Kinds = Kinds(NUMERIC.0 | Kinds::NULL.0);
const SCALAR: Kinds = Kinds(WRITABLE.0 | Kinds::BOOLEAN.0);
const TRUTH: Kinds = Kinds(Kinds::BOOLEAN.0 | Kinds::NULL.0);
const HAYSTACK: Kinds = Kinds(Kinds::STRING.0 | Kinds::ARRAY.0);
/// What `reduce` may start with.
const START: Kinds = Kinds(NUMERIC.0 | Kinds::BOOLEAN.0);
/// The greatest of nothing is null.
const EXTREME: Kinds = Kinds(Kinds::NUMBER.0 | Kinds::NULL.0);

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
const NUMBERS: Accepts = &[(NUMERIC, FAILS)];
/// A start that lies outside of the text makes the length of no matter.
const TEXTS: Accepts = &[(WRITABLE, FAILS), (NUMERIC, FAILS), (Kinds::ANY, "")];
const LISTS: Accepts = &[(Kinds::ARRAY, IDLE), (Kinds::ANY, "")];
const REDUCED: Accepts = &[(Kinds::ARRAY, IDLE), (Kinds::ANY, ""), (START, FAILS)];
const NEEDLE: Accepts = &[(SCALAR, "never holds"), (HAYSTACK, "never holds")];

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

/// The operator of this name.
pub(crate) fn find(name: &str) -> Option<&'static Operator> {
    OPERATORS.iter().find(|operator| operator.names.contains(&name))
}

/// The names that flagd's schema knows.
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
