//! What the services of flagstaff share, so that each of them is only what it is for.
//!
//! - [`storage`]: one SQL text for SQLite and PostgreSQL.
//! - [`access`]: who is calling, and what they may do: tokens, people, sessions and permissions.
//! - [`signin`]: how people sign in, with GitHub or an issuer of OpenID Connect.
//! - [`audit`]: who did what, and when.
//! - [`command`]: commands that the programs have alike.
//! - [`health`]: the check that an image has for its service.
//! - [`lease`]: a job that one replica runs at a time.
//! - [`limit`]: how often a client may attempt something.
//! - [`metrics`]: metrics of HTTP requests.
//! - [`openapi`]: descriptions of APIs.
//! - [`page`]: pages for people: their frame, style sheet and script.
//! - [`problem`]: errors as problem details.
//! - [`program`]: what the programs do alike.
//! - [`request`]: what handlers read from requests.
//! - [`settings`]: options from flags, variables and a file.
//! - [`time`]: milliseconds since 1970, and RFC 3339.
//!
//! A service includes [`SCHEMA`] among its migrations.

pub mod access;
pub mod audit;
pub mod command;
pub mod health;
pub mod lease;
pub mod limit;
pub mod metrics;
pub mod openapi;
pub mod page;
pub mod problem;
pub mod program;
pub mod request;
pub mod settings;
pub mod signin;
pub mod storage;
pub mod time;

use std::error::Error;

/// An error with its sources in one text: for people, and where one error has several receivers.
#[must_use]
pub fn describe(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        // Some errors repeat their cause.
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    text
}

/// The tables of this crate, for the first migration of a service.
pub const SCHEMA: &str = include_str!("schema.sql");

/// Each statement of this crate, for a test that prepares them on both databases.
#[must_use]
pub fn statements() -> Vec<&'static str> {
    let own = [storage::sql::statements::ALL, audit::ALL, lease::ALL];
    [own.as_slice(), access::STATEMENTS].concat().concat()
}
