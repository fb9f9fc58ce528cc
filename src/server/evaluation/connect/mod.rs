//! Calls of the evaluation service over Connect.
//!
//! Unary calls and streams are two protocols in Connect, with their own content
//! types, encodings and errors, and so have a file each.

pub(crate) mod stream;
pub(crate) mod unary;
