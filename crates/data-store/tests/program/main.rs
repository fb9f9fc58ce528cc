//! The program, as it is started from a command line: its commands, its death, what it writes to
//! the disk.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

mod aws;
mod backup;
mod check;
mod health;
#[path = "../store/http.rs"]
mod http;
mod import;
mod kill;
mod manifests;
mod program;
mod start;
mod trace;
