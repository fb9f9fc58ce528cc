//! Evaluation in this process: the resolvers `in-process` and `file`, and your own
//! source.
//!
//! [`rules`] holds the rules in force and evaluates by them; [`supervisor`] is the
//! task that replaces them. The two share nothing but an atomic pointer, so an
//! evaluation takes no lock and sees an update either whole or not at all.

pub(crate) mod rules;
pub(crate) mod supervisor;
