//! The server: from a listener to the service of a connection, within limits.
//!
//! ```text
//! listen      accept a connection, wait for room
//!   |  one task for each connection
//! connection  WriteTimeout, TLS handshake, Detected: HTTP/1.1 or HTTP/2 (hyper)
//!   |  one call for each request
//! respond     Body (limited) -> the service -> discard what it did not read
//! ```
//!
//! A [shutdown](Server::shutdown) is a value that everything watches, the phase:
//! serve, drain, abort. No list of connections is kept. Each connection holds the
//! shared state, which contains the sender of a channel; when the last connection
//! drops it, the server is closed.

mod address;
mod body;
mod connection;
mod detect;
mod error;
mod limits;
mod listen;
mod peer;
mod phase;
mod reload;
mod server;
mod write_timeout;

pub use self::{
    address::Listen,
    body::{Body, BodyError},
    error::BindError,
    peer::Peer,
    phase::Draining,
    reload::Certificates,
    server::{Bound, Server, ServerBuilder},
};
