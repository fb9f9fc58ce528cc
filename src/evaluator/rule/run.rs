//! The limits of an evaluation.
//!
//! flagd has none: a rule can make it hang, run out of memory or overflow its
//! stack (see "Differences in evaluation" in `docs/flagd.md`). Here such a rule
//! fails, and a failing rule is an ordinary result, `PARSE_ERROR`.
//!
//! Steps are counted rather than time, so that a rule fails on every machine or on
//! none. Everything counts whose amount a rule or a context can make large:
//!
//! | Work | Steps |
//! |---|---|
//! | evaluate a node that has parts | 1 |
//! | read or copy a string | 1 for each 16 bytes, so none for a short one |
//! | iterate over an array, or copy it | 1 for each item; to search it, 1 for 4 items |
//! | compile a rule during the evaluation, or copy its result | 1 for each value in it |
//!
//! The steps are taken before the work if its size is known, and otherwise
//! immediately after it.

use std::cell::Cell;

use crate::{
    bucketing::Bucketing,
    evaluator::value::{Evaluated, Fail},
};

/// The most steps of one evaluation: as a rule of thumb, the number of operators
/// that it evaluates.
const MAX_STEPS: u32 = 5_000_000;

/// How deeply evaluations may be nested. [`MAX_NESTING`] limits each rule, but a
/// rule that is read from the context can read further rules, or itself.
///
/// [`MAX_NESTING`]: super::compile::MAX_NESTING
const MAX_DEPTH: u32 = 200;

/// What is passed on through one evaluation: its limits, and the generation of
/// `fractional`.
///
/// The counters are cells, so that a shared reference is enough for the whole
/// recursion. A `Run` therefore belongs to one thread.
pub(crate) struct Run {
    /// How `fractional` chooses a variant.
    pub(crate) bucketing: Bucketing,
    /// The steps that are left.
    steps: Cell<u32>,
    /// How many nodes with parts are being evaluated, one within the other.
    depth: Cell<u32>,
}

impl Run {
    /// The start of an evaluation, with all its steps left.
    pub(crate) fn new(bucketing: Bucketing) -> Self {
        Self { bucketing, steps: Cell::new(MAX_STEPS), depth: Cell::new(0) }
    }

    /// Takes a number of steps at once, or fails if fewer are left.
    pub(crate) fn charge(&self, steps: usize) -> Result<(), Fail> {
        let steps = u32::try_from(steps).unwrap_or(u32::MAX);
        let left = self.steps.get().checked_sub(steps).ok_or(Fail("the rule takes too long"))?;
        self.steps.set(left);
        Ok(())
    }

    /// Calls `inner` one level further down, or fails if that is too deep.
    ///
    /// The level is left again whether `inner` fails or not.
    #[inline]
    pub(crate) fn deeper<'a>(&self, inner: impl FnOnce() -> Evaluated<'a>) -> Evaluated<'a> {
        let depth = self.depth.get();
        if depth >= MAX_DEPTH {
            return Err(Fail("the rule is nested too deeply"));
        }
        self.depth.set(depth + 1);
        let result = inner();
        self.depth.set(depth);
        result
    }
}
