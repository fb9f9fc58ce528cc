//! What the benchmarks share.

pub(crate) mod data;
pub(crate) mod peer;
