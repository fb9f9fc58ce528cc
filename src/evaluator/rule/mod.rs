//! Targeting rules: compiled once for each definition, then evaluated.
//!
//! A rule is [JsonLogic](https://jsonlogic.com/operations.html) with flagd's
//! additions `fractional`, `sem_ver`, `starts_with` and `ends_with`, the
//! operators that flagd's library adds (such as `contains_any`), and the
//! variables `$flagd.flagKey` and `$flagd.timestamp`. What counts is not the page
//! on the language but what flagd returns, odd cases included: see "Targeting
//! rules" in `docs/flagd.md`.
//!
//! ```text
//!  JSON of a rule                      fields of a context
//!        │ compile, switch, slots             │ variable, slots
//!        ▼                                    ▼
//!      Rule ────────────── eval ───────────▶ Value, or Fail
//!                operators, within Run
//! ```
//!
//! | Step | Modules |
//! |---|---|
//! | the names of the operators | [`operator`] |
//! | a rule as a tree | [`node`], made in [`compile`] |
//! | many conditions on one variable as a table | [`switch`] |
//! | variables that a rule reads more than once | [`slots`] |
//! | the fields of the context that a rule reads | `reads` |
//! | reading a variable | [`variable`] |
//! | walking the tree | [`eval`], within the limits of [`run`] |
//! | operators on evaluated arguments | [`operators`], with [`args`] |
//! | `fractional` | [`fractional`], [`murmur3`], [`cbor`] |
//! | `sem_ver` | [`sem_ver`] |
//!
//! # Example
//!
//! ```json
//! {"if": [{"==": [{"var": "user.plan"}, "pro"]}, "on", "off"]}
//! ```
//!
//! is compiled to
//!
//! ```text
//! If
//! ├─ Compare(Equal)
//! │  ├─ Variable(user, plan)
//! │  └─ Constant("pro")
//! ├─ Constant("on")
//! └─ Constant("off")
//! ```
//!
//! and returns the string `on` for the context `{"user": {"plan": "pro"}}`. That
//! the string names a variant of the flag is not known here: a rule returns any
//! value, and the caller looks for the variant.
//!
//! # Invariants
//!
//! - A compiled rule is immutable and has no state. What changes during an
//!   evaluation is in [`run::Run`] and [`slots::Slots`], which belong to that
//!   evaluation alone.
//! - Compiling and evaluating are recursive, and both are bounded:
//!   [`compile::MAX_NESTING`] limits the depth of a rule, and [`run::Run`] the
//!   depth and the work of an evaluation. Definitions and contexts come from
//!   elsewhere, and none of them may exhaust the stack, the processor or the
//!   memory.
//! - A [`Value`](super::value::Value) borrows from the rule and the context as
//!   far as it can, so that common rules are evaluated without allocating.
//! - Nothing here does I/O. The clock is read only if a rule reads
//!   `$flagd.timestamp` and the caller did not set the time.

pub(crate) mod args;
pub(crate) mod cbor;
pub(crate) mod compile;
pub(crate) mod eval;
pub(crate) mod fractional;
pub(crate) mod murmur3;
pub(crate) mod node;
pub(crate) mod operator;
pub(crate) mod operators;
#[cfg(feature = "in-process")]
pub(crate) mod reads;
pub(crate) mod run;
pub(crate) mod sem_ver;
pub(crate) mod slots;
pub(crate) mod switch;
pub(crate) mod variable;
