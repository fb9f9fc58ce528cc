//! OPAL clients that answer as a test wants.

mod callbacks;
mod client;
mod discovery;
mod replicas;

pub use client::{Opal, config, post};
