//! Protobuf, written from and read into what the provider works with, without messages between.
//!
//! It agrees with prost on all that is valid and on all that is not; the tests compare the two.

mod answer;
mod reader;
mod value;
mod writer;

pub(crate) use answer::Response;
pub(crate) use reader::{Malformed, Merge};
pub(crate) use value::{Object, Value};
pub(crate) use writer::Writer;
