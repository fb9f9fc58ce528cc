//! Toggle-Meister: short-lived feature toggles with gradual rollout, over HTTP and as flags of
//! flagd.
//!
//! - [`rollout`], [`toggle`], [`rule`]: what a toggle is at a time, and the flag that it makes,
//!   without a clock.
//! - [`name`], [`role`]: what things may be called, and who may do what.
//! - [`model`]: what is in the database.
//! - [`world`], [`live`]: what is in memory, and how it follows the database and the clock.
//! - [`usage`], [`metrics`]: how often features are asked for; metrics of the server.
//! - [`store`], [`caller`]: what handlers share, and who calls them.
//! - [`api`]: the HTTP API.
//! - [`jobs`], [`reminder`]: what one replica does for all, and the weekly reminder.
//! - [`due`], [`occurrences`]: which features should leave the code, and where they are in it.
//! - [`import`]: the database of the original.
//! - [`ui`]: the pages for people.
//! - [`settings`], [`serve`]: options; starts and stops all of it.

pub mod api;
pub mod caller;
pub mod due;
pub mod import;
pub mod jobs;
pub mod live;
pub mod metrics;
pub mod model;
pub mod name;
pub mod occurrences;
pub mod reminder;
pub mod role;
pub mod rollout;
pub mod rule;
pub mod serve;
pub mod settings;
pub mod store;
pub mod toggle;
pub mod ui;
pub mod usage;
pub mod world;

use service::{access::Permission, storage::Migration};

/// What a token may be for: the roles. The first includes all others.
pub const PERMISSIONS: &[Permission] = &[
    Permission { id: "admin", name: "Administrator" },
    Permission { id: "qa", name: "Quality assurance" },
    Permission { id: "dev", name: "Developer" },
    Permission { id: "read_only", name: "Read only" },
];

/// The schema, step by step.
pub const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "access", sql: service::SCHEMA },
    Migration { version: 2, name: "toggles", sql: include_str!("schema.sql") },
    Migration { version: 3, name: "notes", sql: include_str!("schema_notes.sql") },
];

/// Each statement of this program, for a test that prepares them on both databases.
#[must_use]
pub fn statements() -> Vec<&'static str> {
    [service::statements().as_slice(), &model::STATEMENTS.concat(), import::write::ALL, jobs::ALL]
        .concat()
}
