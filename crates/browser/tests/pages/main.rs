//! The pages of the store in a real browser.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, unused_imports, reason = "other tests use the rest of what is shared")]

mod browser;
#[path = "../../../data-store/tests/store/http.rs"]
mod http;
#[path = "../../../data-store/tests/store/people.rs"]
mod people;
#[path = "../../../data-store/tests/store/support.rs"]
mod support;
