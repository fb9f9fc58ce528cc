//! The service over HTTP, on each of its databases.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod audit;
mod browser;
mod defects;
mod employees;
mod endpoints;
mod evaluation;
mod events;
mod http;
mod memory;
mod notes;
mod openapi;
mod parameters;
mod signin;
mod support;
mod transitions;

use service::storage::{Storage, StorageError};

#[tokio::test]
async fn each_statement_compiles_on_both_databases() {
    let folder = tempfile::tempdir().unwrap();
    for database in support::databases(&folder) {
        let storage = Storage::open(database.clone(), toggle_meister::MIGRATIONS).await.unwrap();
        for statement in toggle_meister::statements() {
            let result: Result<(), StorageError> =
                storage.read(move |sql| sql.prepare(statement)).await;
            result.unwrap_or_else(|error| panic!("{database}: {statement}: {error:?}"));
        }
    }
}
