//! The evaluation port: flagd's evaluation service in both versions, over gRPC
//! and Connect.
//!
//! | Module | Purpose |
//! |---|---|
//! | `router` | from path and content type to a protocol |
//! | `grpc`, `connect` | read requests and write responses of a protocol |
//! | `request` | what happens between the two, and results as protobuf |
//! | `resolve`, `resolve_all` | the evaluation of one flag, and of all flags |
//! | `events` | the event stream |
//!
//! `resolve` and `resolve_all` know no protocol, except that the versions of the
//! service differ in what they return. OFREP uses them too.
//!
//! # The two versions
//!
//! They have the same messages and procedures, except that only version 1 has
//! `ResolveAll`. Version 1 cannot say that a flag has no value, so it returns a
//! zero value for a disabled flag and `NOT_FOUND` for a flag without a default
//! variant; version 2 leaves the value out (docs/flagd.md, "Results").

mod connect;
mod events;
mod grpc;
pub(crate) mod request;
pub(crate) mod resolve;
pub(crate) mod resolve_all;
pub(crate) mod router;
