//! Facts on their way from a write to an evaluation: the library's client and the program
//! `flagstaff` against this store.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

mod changes;
mod client;
#[allow(dead_code, reason = "other tests need more of it")]
#[path = "../store/http.rs"]
mod http;
#[allow(dead_code, reason = "other tests need more of it")]
#[path = "../program/program.rs"]
mod program;
mod python;
mod support;
mod use_case;
