//! What is in the database, a file for each table. Functions run inside a transaction and know
//! nothing of HTTP but the status of a problem.

pub mod change;
pub mod employee;
pub mod environment;
pub mod feature;
pub mod metric;
pub mod note;
pub mod reminder;
pub mod toggle;

/// Each statement of this module, for a test that prepares them on both databases.
pub(crate) const STATEMENTS: &[&[&str]] = &[
    change::ALL,
    employee::ALL,
    environment::ALL,
    feature::ALL,
    metric::ALL,
    note::ALL,
    reminder::ALL,
    toggle::ALL,
];

/// The environment from which changes spread to all others.
pub const PRODUCTION: &str = "production";
