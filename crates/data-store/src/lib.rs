//! FlagOps' store: what a deployment or a customer is like, for the rules of feature flags.
//!
//! - [`name`]: what identities and keys may be called.
//! - [`identity`]: identities, which exist while they have a fact or a secret.
//! - [`fact`]: facts, their versions and their changes in the database.
//! - [`secret`]: secrets, encrypted in the database or in AWS Secrets Manager.
//! - `import`: facts of the original, read from its Redis.
//! - [`token`]: who may hand out which tokens.
//! - [`feed`]: the stream of changes: who wants to hear of which.
//! - [`api`]: the HTTP API.
//! - [`ui`]: the pages for people.
//! - [`store`]: what the handlers share, from the database to the cache.
//! - [`serve`]: starts and stops all of it.

pub mod api;
pub mod fact;
pub mod feed;
pub mod identity;
#[cfg(feature = "redis")]
pub mod import;
pub mod name;
pub mod secret;
pub mod serve;
pub mod settings;
pub mod store;
pub mod token;
pub mod ui;

use service::{access::Permission, storage::Migration};

/// The permissions; the first includes all others.
pub const PERMISSIONS: &[Permission] = &[
    Permission { id: "admin", name: "Admin" },
    Permission { id: "facts-read", name: "Read Facts" },
    Permission { id: "facts-write", name: "Write Facts" },
    Permission { id: "secrets-read", name: "Read Secrets" },
    Permission { id: "secrets-write", name: "Write Secrets" },
    Permission { id: "users-read", name: "Read Users" },
    Permission { id: "users-write", name: "Write Users" },
];

/// The schema, step by step.
pub const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "access", sql: service::SCHEMA },
    Migration { version: 2, name: "facts and secrets", sql: include_str!("schema.sql") },
    Migration { version: 3, name: "removals", sql: include_str!("schema_removals.sql") },
];

/// Each statement of this program, for a test that prepares them on both databases.
#[must_use]
pub fn statements() -> Vec<&'static str> {
    [service::statements().as_slice(), fact::STATEMENTS, secret::STATEMENTS].concat()
}
