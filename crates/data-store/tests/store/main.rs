//! The store over HTTP, on each of its databases.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod changes;
mod conditions;
mod defects;
mod facts;
mod http;
mod identities;
mod openapi;
mod pages;
mod people;
mod replicas;
mod secrets;
mod support;
mod upgrade;

use service::storage::{Storage, StorageError};

#[tokio::test]
async fn each_statement_compiles_on_both_databases() {
    let folder = tempfile::tempdir().unwrap();
    for database in support::databases(&folder) {
        let storage = Storage::open(database.clone(), flagops_store::MIGRATIONS).await.unwrap();
        for statement in flagops_store::statements() {
            let result: Result<(), StorageError> =
                storage.read(move |sql| sql.prepare(statement)).await;
            result.unwrap_or_else(|error| panic!("{database}: {statement}: {error:?}"));
        }
    }
}
