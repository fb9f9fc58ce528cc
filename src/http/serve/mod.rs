//! Serving: from a listener to the service of a connection, within limits.

mod address;
mod body;
mod connection;
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
