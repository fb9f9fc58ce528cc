//! Flag definitions, and evaluation of flags as flagd 0.16 does it, without any I/O.
//!
//! [`FlagSet::parse`] takes a flag definition and compiles its targeting rules;
//! [`FlagSet::evaluate`] gives a flag's value for a [`Context`].
//!
//! flagd is right, also where it is odd: conversions between types, the number of arguments, what is
//! true, how numbers are written, what is null and what is an error are flagd's. Three rules keep
//! safe where flagd would crash, hang or overflow:
//!
//! | definition or question | flagd | here |
//! |---|---|---|
//! | an integer is asked for, and the number is beyond 64 bits | -2^63 | [`ErrorCode::TypeMismatch`] |
//! | a definition or rule is nested more than about 120 deep | evaluates, or overflows its stack | is refused |
//! | a rule takes more than 5 million steps, or evaluates itself without end | hangs, runs out of memory or overflows its stack | [`ErrorCode::ParseError`] |

mod cbor;
mod changes;
mod compile;
mod context;
mod definition;
mod eval;
mod flag;
mod flag_set;
mod fractional;
mod json_text;
mod lint;
mod location;
mod murmur3;
mod number;
mod operators;
mod outcome;
mod path;
mod problem;
mod references;
mod sem_ver;
mod slots;
mod surrogates;
mod switch;
mod tree;
mod value;
mod yaml;

pub use crate::bucketing::Bucketing;
pub use changes::Change;
pub use context::{Context, Items, ValueRef};
pub use flag_set::FlagSet;
pub use lint::{Warning, lint, lint_yaml};
pub use outcome::{ErrorCode, Outcome, Reason};
pub use problem::{DefinitionError, Problem};
