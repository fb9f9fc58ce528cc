//! Flag definitions, and evaluation of flags as flagd 0.16 does it, without any I/O.
//!
//! [`FlagSet::parse`] takes a flag definition and compiles its targeting rules;
//! [`FlagSet::evaluate`] gives a flag's value for a [`Context`].
//!
//! flagd is right, also where it is odd: conversions between types, the number of arguments, what is
//! true, how numbers are written, what is null and what is an error are flagd's. These rules differ,
//! where flagd would crash, hang or overflow, or where its answer depends on chance:
//!
//! | definition or question | flagd | here |
//! |---|---|---|
//! | an integer is asked for, and the number is beyond 64 bits | -2^63 | [`ErrorCode::TypeMismatch`] |
//! | a rule takes the string `0x1p4` or `1_000` for a number | 16, 1000 | is not a number |
//! | a definition or rule is nested more than about 120 deep | evaluates, or overflows its stack | is refused |
//! | a rule takes more than 5 million steps, or evaluates itself without end | hangs, runs out of memory or overflows its stack | [`ErrorCode::ParseError`] |
//! | a reference within an evaluator | is replaced or not, by chance, if written without spaces (always so in YAML); else not | is never replaced, so the rule is a [`ErrorCode::ParseError`] when it is evaluated |
//! | `"flags": {"$ref": "name"}` | is replaced as in a rule | is refused |
//! | references that make a definition more than 16 times as large, and 8 MiB larger | are replaced, or fill its memory | are refused |
//! | a list with two flags of one key and different `flagSetId` | keeps both; without a selector, the one whose `flagSetId` sorts last answers | the later stays |
//! | YAML: `!!binary` | is decoded | is refused |
//! | YAML: the escape `\/`, and control characters such as U+007F | are refused | are read |
//! | YAML: aliases that make a document more than 16 times as large | are refused by a limit of another kind | are refused |
//!
//! All numbers are 64-bit floats, in definitions, contexts and answers: 2^53 - 1 is the largest whole
//! number that every client of flagd agrees on. Give larger ones as text.
//!
//! # `fractional`
//!
//! Three generations of `fractional` exist, which put one user into different variants: see
//! [`Bucketing`](crate::Bucketing). The default is what the newest release of flagd does;
//! [`FlagSet::with_bucketing`] chooses.
//!
//! # Warnings
//!
//! flagd loads much that its published schema rejects, and rules that can never work: [`lint`] and
//! [`lint_yaml`] name it, with line and column. [`lint`] has the table of what they warn of.

mod by_name;
mod changes;
mod context;
mod diagnostic;
mod flag;
mod flag_set;
mod json_text;
mod lint;
pub(crate) mod load;
mod number;
mod outcome;
mod rule;
mod value;

pub use changes::Change;
pub use context::{Context, Items, ValueRef};
pub use diagnostic::{DefinitionError, Diagnostic};
pub use flag_set::FlagSet;
pub use lint::{lint, lint_yaml};
pub use outcome::{ErrorCode, Outcome, Reason};
