//! The limits on what a client of a server may use, in one place with their
//! defaults.

use std::time::Duration;

/// The limits of a server. Each field has a method of
/// [`ServerBuilder`](super::server::ServerBuilder) with the same name, which documents
/// it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) head_timeout: Duration,
    pub(crate) first_request_timeout: Duration,
    pub(crate) body_timeout: Duration,
    pub(crate) write_timeout: Duration,
    pub(crate) max_head: usize,
    pub(crate) max_body: usize,
    pub(crate) max_streams: u32,
    pub(crate) max_connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_timeout: Duration::from_secs(10),
            first_request_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(60),
            max_head: 64 << 10,
            max_body: 2 << 20,
            max_streams: 200,
            max_connections: 10_000,
        }
    }
}
