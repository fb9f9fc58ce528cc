//! Evaluation in this process.

pub(crate) mod rules;
pub(crate) mod supervisor;
