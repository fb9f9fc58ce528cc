//! Jobs, replicas, and the commands beside the server.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod commands;
#[path = "../flags/hash.rs"]
mod hash;
mod import;
mod jobs;
mod outage;
mod program;
mod replicas;
mod support;
