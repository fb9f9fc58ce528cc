//! HTTP serving and the HTTP client, each used as another program would use it.
// A failure panics.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

mod certificates;
mod client;
mod limits;
mod peer;
mod serving;
mod shutdown;

#[path = "../support/certs.rs"]
#[allow(dead_code, reason = "shared with tests that need more of it")]
mod certs;
#[path = "../support/clock.rs"]
#[allow(dead_code, reason = "shared with tests that need more of it")]
mod clock;
#[path = "../support/tls.rs"]
mod tls;
#[path = "../support/wait.rs"]
#[allow(dead_code, reason = "shared with tests that need more of it")]
mod wait;
