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

mod certificates;
mod client;
mod connect;
mod connect_stream;
mod context;
mod context_source;
mod early;
mod encodings;
mod encrypted;
mod envelopes;
mod events;
mod flag_sets;
mod hostile;
mod http_source;
mod keep_alive;
mod load;
mod management;
mod ofrep;
mod provider;
mod quoting;
mod shutdown;
mod sources;
mod statuses;
mod sync;
mod unary;
mod warnings;

#[path = "../support/mod.rs"]
#[allow(unused_imports)]
mod support;
