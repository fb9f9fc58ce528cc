//! The embedded server, asked over the network as its clients do. The contract is flagd's: "What
//! flagd 0.16.1 was seen to do".
// A failure panics; the documentation quotes the contract; each value is what a line of it says.
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
