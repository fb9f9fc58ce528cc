//! Proxies that misbehave on demand, or route on the authority.

pub mod authority_proxy;
mod frames;
pub mod gate;
