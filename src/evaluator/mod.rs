//! Flag definitions, and the evaluation of flags as flagd 0.16 does it, without
//! any I/O.
//!
//! [`FlagSet::parse`] checks a flag definition and compiles its targeting rules,
//! and [`FlagSet::evaluate`] returns a flag's value for a [`Context`]:
//!
//! ```
//! use flagstaff::evaluator::{FlagSet, Reason};
//! use serde_json::{Map, json};
//!
//! let flags = FlagSet::parse(
//!     r#"{
//!         "$evaluators": {"staff": {"ends_with": [{"var": "email"}, "@corp.example"]}},
//!         "flags": {"new-checkout": {
//!             "state": "ENABLED",
//!             "variants": {"on": true, "off": false},
//!             "defaultVariant": "off",
//!             "targeting": {"if": [{"$ref": "staff"}, "on"]}
//!         }}
//!     }"#,
//! )?;
//! let context = Map::from_iter([("email".to_owned(), json!("jane@corp.example"))]);
//! let outcome = flags.evaluate("new-checkout", &context);
//! assert_eq!(outcome.boolean(), Ok(Some(true)));
//! assert_eq!(outcome.variant, Some("on"));
//! assert_eq!(outcome.reason, Reason::TargetingMatch);
//! # Ok::<(), flagstaff::evaluator::DefinitionError>(())
//! ```
//!
//! The module opens no files or connections, starts no tasks, and keeps nothing
//! between evaluations. It reads the clock, and that only for rules that read
//! `$flagd.timestamp`.
//!
//! ```text
//! text of a definition --parse--> FlagSet --evaluate(key, context)--> Outcome
//!                      --lint---> warnings
//! FlagSet, former FlagSet --changes_since--> what happened to each flag
//! ```
//!
//! # How it follows flagd
//!
//! A flag must have the same value whether flagd evaluates it or this module. So
//! flagd is right, even where it is odd: conversions between types, the number of
//! arguments, what counts as true, how numbers are written, what is null and what
//! is an error are all flagd's. It differs on purpose where flagd would crash,
//! hang or overflow, or where flagd's result depends on chance:
//!
//! | definition or request | flagd | here |
//! |---|---|---|
//! | an integer is requested, and the number exceeds 64 bits | -2^63 | [`TYPE_MISMATCH`] |
//! | a rule converts the string `0x1p4` or `1_000` to a number | 16, 1000 | it is not a number |
//! | a definition or rule is nested more than about 120 levels deep | evaluated, or flagd's stack overflows | rejected |
//! | a rule takes more than 5 million steps, or evaluates itself endlessly | hangs, runs out of memory or overflows its stack | [`PARSE_ERROR`] |
//! | a reference within a shared rule | replaced or not, by chance, if written without spaces (always in YAML); otherwise not replaced | never replaced, so that the rule is a [`PARSE_ERROR`] when it is evaluated |
//! | `"flags": {"$ref": "name"}` | replaced as in a rule | rejected |
//! | references that make a definition more than 16 times as large, and 8 MiB larger | replaced, or flagd runs out of memory | rejected |
//! | an array with two flags that have the same key and different `flagSetId` | both are kept; without a selector, the one whose `flagSetId` sorts last is evaluated | the later one is kept |
//! | YAML: `!!binary` | decoded | rejected |
//! | YAML: the escape `\/`, and control characters such as U+007F | rejected | accepted |
//! | YAML: aliases that make a document more than 16 times as large | rejected by a limit of another kind | rejected |
//!
//! [`PARSE_ERROR`]: ErrorCode::ParseError
//! [`TYPE_MISMATCH`]: ErrorCode::TypeMismatch
//!
//! # Results
//!
//! The first case that applies decides:
//!
//! | the flag | value and variant | reason | error |
//! |---|---|---|---|
//! | does not exist | none | `ERROR` | `FLAG_NOT_FOUND` |
//! | is disabled | none | `DISABLED` | |
//! | has no rule | those of the default variant | `STATIC` | |
//! | has a rule, which returns null | those of the default variant | `DEFAULT` | |
//! | has a rule, which names a variant | those of this variant | `TARGETING_MATCH` | |
//! | has a rule, which returns anything else | none | `ERROR` | `GENERAL` |
//! | has a rule, which fails | none | `ERROR` | `PARSE_ERROR` |
//!
//! Where the default variant is needed and there is none, the outcome has no
//! value and the reason `DEFAULT`, with or without a rule. A caller then uses its
//! own default value.
//!
//! # Numbers
//!
//! All numbers are 64-bit floats, in definitions, contexts and results: 2^53 - 1
//! is the largest integer that every client of flagd agrees on. Write larger ones
//! as strings.
//!
//! # `fractional`
//!
//! There are three generations of `fractional`, which put the same user into
//! different variants: see [`Bucketing`](crate::Bucketing). The default is that
//! of the newest release of flagd; [`FlagSet::with_bucketing`] chooses another.
//!
//! # Warnings
//!
//! flagd loads much that its published schema rejects, and rules that can never
//! work. [`lint`](lint()) and [`lint_yaml`] report them with line and column. The
//! documentation of [`lint`](lint()) has a table of what they warn about.
//!
//! # Untrusted input
//!
//! Definitions and contexts may come from elsewhere. Loading and evaluating are
//! bounded: nesting, the growth of a definition by references and aliases, and
//! the steps and the depth of an evaluation have limits, beyond which the
//! definition is rejected or the evaluation fails. The size of a definition is
//! not limited here, but by what reads it.

mod by_name;
mod changes;
mod context;
mod diagnostic;
mod flag_set;
mod json_text;
mod lint;
pub(crate) mod load;
pub(crate) mod location;
mod number;
mod outcome;
#[cfg(feature = "in-process")]
pub(crate) mod readers;
mod rule;
mod value;

pub use changes::Change;
pub use context::{Context, Items, ValueRef};
pub use diagnostic::{DefinitionError, Diagnostic};
pub use flag_set::FlagSet;
pub use lint::{lint, lint_yaml};
pub use outcome::{ErrorCode, Outcome, Reason};
