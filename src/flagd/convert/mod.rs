//! Conversions between the SDK and protobuf: total functions, no panics.

mod context;
mod form;
mod json;
#[cfg(feature = "in-process")]
mod local;
mod metadata;
mod path;
#[cfg(feature = "in-process")]
mod received;
mod value;

#[cfg(all(test, feature = "in-process"))]
pub(crate) use context::context_to_struct;
pub(crate) use context::{request, shown};
pub(crate) use json::object_to_json;
#[cfg(feature = "in-process")]
pub(crate) use json::{json_to_metadata, json_to_value, struct_to_json};
#[cfg(feature = "in-process")]
pub use local::LocalContext;
pub(crate) use metadata::object_to_metadata;
pub(crate) use value::{NullInList, object_to_value};

/// 2^53: up to here, either way, a protobuf number (an `f64`) holds every whole number.
const MAX_EXACT_INT: u64 = 1 << 53;
