//! Servers other than the scripted flagd, and the accept loop under all of them.

pub mod http2;
pub mod raw;
pub mod resetting;
pub mod sync_server;
