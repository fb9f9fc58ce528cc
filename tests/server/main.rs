//! The embedded server, called over the network as its clients do. What it must do is what flagd
//! does: docs/flagd.md, except for its "Differences".
// A failure panics; documentation names flags and states; each value is the one that it states.
#![allow(
    clippy::float_cmp,
    unreachable_pub,
    clippy::doc_markdown,
    clippy::unwrap_used,
    clippy::expect_used
)]

mod client;
mod connect;
mod context;
mod early;
mod events;
mod flag_sets;
mod grpc;
mod limits;
mod management;
mod observer;
mod ofrep;
mod provider;
mod shutdown;
mod sources;
mod sync;
mod tls;

#[path = "../support/mod.rs"]
#[allow(unused_imports)]
mod support;
