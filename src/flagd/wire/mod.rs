//! Protobuf, written from and read into what the provider works with, without messages between.
//!
//! It agrees with prost on all that is valid and on all that is not; the tests compare the two.

pub(crate) mod answer;
pub(crate) mod reader;
pub(crate) mod value;
pub(crate) mod writer;
