//! Conversions between the SDK and protobuf: total functions, no panics.

pub(crate) mod context;
mod form;
pub(crate) mod json;
#[cfg(feature = "in-process")]
pub(crate) mod local;
pub(crate) mod metadata;
mod path;
pub(crate) mod value;

pub(crate) use context::request;
pub(crate) use json::object_to_json;
#[cfg(feature = "in-process")]
pub(crate) use json::{json_to_metadata, json_to_value};
pub(crate) use metadata::object_to_metadata;
pub(crate) use value::object_to_value;
