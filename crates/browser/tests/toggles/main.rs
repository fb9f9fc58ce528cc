//! Toggle-Meister's pages in a real browser, by keyboard.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "other tests use the rest of what is shared")]

mod pictures;
#[path = "../../../toggle-meister/tests/pages/support.rs"]
mod support;
mod walk;

use flagstaff_browser::Browser;
use toggle_meister::role::Role;

use crate::support::Server;

/// A browser in which an employee with a role has signed in.
async fn browser(server: &Server, username: &str, role: Role) -> Option<Browser> {
    let cookie = server.sign_in(username, role).await;
    Browser::start(&server.url, Some(&cookie)).await
}
