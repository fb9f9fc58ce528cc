//! What the tests, examples and benchmarks share: scripted and raw servers, proxies that misbehave
//! on demand, certificates, and a real flagd, if available.
// Each program uses a part of it; all of it is private to that program, and a failure panics.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

pub mod ask;
pub mod background;
pub mod certs;
pub mod clock;
pub mod flagd;
pub mod installed;
pub mod json;
pub mod memory;
pub mod ports;
pub mod proto;
#[cfg(feature = "rpc")]
pub mod provider;
pub mod proxy;
pub mod scripted;
#[cfg(feature = "in-process")]
pub mod sent;
pub mod servers;
pub mod tls;
pub mod wait;
