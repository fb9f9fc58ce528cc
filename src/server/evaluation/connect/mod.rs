//! Calls of the evaluation service over Connect.

pub(crate) mod stream;
pub(crate) mod unary;
