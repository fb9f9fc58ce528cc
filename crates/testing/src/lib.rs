//! Databases and other programs that the tests of the services run against.
//!
//! Each is started on a free port of loopback with an empty directory, and killed when its
//! value is dropped. A test gets `None` where the program is not installed, says so with
//! [`skip`], and ends; with `FLAGSTAFF_REQUIRE_PEERS` in the environment it fails instead.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that cannot start its peer fails"
)]

mod chromedriver;
mod installed;
mod issuer;
mod moto;
mod postgres;
mod process;
mod redis;

pub use self::{
    chromedriver::Chromedriver,
    installed::installed,
    issuer::Issuer,
    moto::Moto,
    postgres::Postgres,
    process::{Process, free_port, skip},
    redis::Redis,
};
