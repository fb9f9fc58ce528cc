//! Ports of 127.0.0.1 for servers that stop and restart on the same one.

use std::{
    hash::{BuildHasher, RandomState},
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr, TcpListener},
};

use super::wait::block_until;

/// Below the range that the system assigns to outgoing connections: otherwise a client that retries
/// a stopped server may take the port, or even connect to itself.
const FIRST: u16 = 10_240;
const COUNT: u16 = 22_000;

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    listen().local_addr().unwrap().port()
}

/// The address of `port` on 127.0.0.1.
pub fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// Listens on a free port.
pub fn listen() -> TcpListener {
    for _ in 0..1000 {
        // RandomState has a new seed each time, which is random enough.
        let random = RandomState::new().hash_one(());
        let port = FIRST + u16::try_from(random % u64::from(COUNT)).unwrap();
        if let Ok(listener) = TcpListener::bind(local(port)) {
            return listener;
        }
    }
    panic!("no free port from {FIRST} to {}", FIRST + COUNT);
}

/// Listens on this port (with `SO_REUSEADDR`, which std sets); waits while it is still in use.
pub fn listen_on(port: u16) -> TcpListener {
    let mut listener = None;
    block_until(&format!("port {port} to be free"), || {
        listener = match TcpListener::bind(local(port)) {
            Ok(listener) => Some(listener),
            Err(error) if error.kind() == ErrorKind::AddrInUse => None,
            Err(error) => panic!("cannot listen on port {port}: {error}"),
        };
        listener.is_some()
    });
    listener.unwrap()
}
