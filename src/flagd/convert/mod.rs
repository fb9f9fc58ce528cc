//! Conversions between values of the SDK, protobuf and JSON: total functions, no
//! panics, no I/O.
//!
//! | from | to | module |
//! |---|---|---|
//! | evaluation context | a framed request | [`context`] |
//! | evaluation context | what rules read | `local` |
//! | protobuf struct, received by the server | what rules read | `received` |
//! | protobuf object | the SDK's `StructValue` | [`value`] |
//! | protobuf object, the SDK's values | JSON | [`json`] |
//! | protobuf object, JSON | the SDK's metadata | [`metadata`], [`json`] |
//!
//! The three systems differ in what they can hold, and the conversions define
//! what becomes of the rest:
//!
//! | | protobuf, JSON | the SDK |
//! |---|---|---|
//! | null | a value | none: a field is left out, an array item is an error |
//! | integers | floats, exact up to 2^53 | `i64`: an error beyond 2^53 when sent |
//! | NaN, infinity | not in JSON | a float: an error when sent |
//! | dates | none | RFC 3339 strings when sent |
//!
//! The resolvers must agree, so each rule is written once and used for all of
//! them ([`form`]), or both versions are compared by a property test. See
//! "Null" in `docs/resolvers.md`.

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
