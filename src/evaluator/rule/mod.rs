//! Targeting rules: compiled once for each definition, then evaluated.

pub(crate) mod args;
pub(crate) mod cbor;
pub(crate) mod compile;
pub(crate) mod eval;
pub(crate) mod fractional;
pub(crate) mod murmur3;
pub(crate) mod node;
pub(crate) mod operator;
pub(crate) mod operators;
pub(crate) mod run;
pub(crate) mod sem_ver;
pub(crate) mod slots;
pub(crate) mod switch;
pub(crate) mod variable;
