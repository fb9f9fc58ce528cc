//! What an evaluation carries along: its bounds.

use std::cell::Cell;

use crate::{
    bucketing::Bucketing,
    evaluator::value::{Answer, Fail},
};

/// The most steps of one evaluation. A rule that would run, or build a string, without end fails;
/// flagd would hang or run out of memory.
const MAX_STEPS: u32 = 5_000_000;

/// How deep rules may be evaluated: a rule read from the context that reads itself fails, where
/// flagd would overflow its stack.
const MAX_DEPTH: u32 = 200;

/// What an evaluation carries along.
pub(crate) struct Run {
    pub(crate) bucketing: Bucketing,
    steps: Cell<u32>,
    depth: Cell<u32>,
}

impl Run {
    pub(crate) fn new(bucketing: Bucketing) -> Self {
        Self { bucketing, steps: Cell::new(MAX_STEPS), depth: Cell::new(0) }
    }

    /// Takes so many steps at once.
    pub(crate) fn charge(&self, steps: usize) -> Result<(), Fail> {
        let steps = u32::try_from(steps).unwrap_or(u32::MAX);
        let left = self.steps.get().checked_sub(steps).ok_or(Fail("the rule takes too long"))?;
        self.steps.set(left);
        Ok(())
    }

    /// Does `inner` one level deeper.
    #[inline]
    pub(crate) fn deeper<'a>(&self, inner: impl FnOnce() -> Answer<'a>) -> Answer<'a> {
        let depth = self.depth.get();
        if depth >= MAX_DEPTH {
            return Err(Fail("the rule is nested too deeply"));
        }
        self.depth.set(depth + 1);
        let answer = inner();
        self.depth.set(depth);
        answer
    }
}
