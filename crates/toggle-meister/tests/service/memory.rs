//! What is in memory follows the database.

use service::storage::{Sql, StorageError};
use toggle_meister::{
    model::{PRODUCTION, change, toggle},
    toggle::Toggle,
};

use crate::support::{Service, services};

/// Changes the database as another replica would, and takes that in.
async fn elsewhere(
    service: &Service,
    change: impl FnOnce(&mut Sql<'_>) -> Result<(), StorageError> + Send + 'static,
) {
    let last = service.change(move |sql| {
        change(sql)?;
        sql.last(change::CHANGES)
    });
    service.running.store().live.catch_up(last.await).await.unwrap();
}

fn note(sql: &mut Sql<'_>, name: &str) -> Result<(), StorageError> {
    change::note(sql, &change::Changed::Feature(name.to_owned()))
}

fn create(sql: &mut Sql<'_>, name: &str) -> Result<(), StorageError> {
    sql.execute(
        "INSERT INTO feature (name, created, created_by) VALUES (?1, 0, 'x')",
        &[name.into()],
    )?;
    note(sql, name)
}

async fn count(service: &Service) -> usize {
    let listed = service.public("/api/features").await.json();
    listed["features"].as_array().unwrap().len()
}

#[tokio::test]
async fn more_changes_than_are_read_at_a_time_are_all_taken_in() {
    for service in services().await {
        elsewhere(&service, |sql| {
            (0..2_100).try_for_each(|number| create(sql, &format!("f{number}")))
        })
        .await;
        assert_eq!(count(&service).await, 2_100);
        assert!(!service.is_on("production", "f2099", "").await);
    }
}

#[tokio::test]
async fn where_changes_are_no_longer_known_everything_is_read_again() {
    for service in services().await {
        for feature in ["gone", "on", "off"] {
            service.feature(feature).await;
        }
        service.set("production", "off", "ON").await;
        service.set("production", "gone", "ON").await;
        elsewhere(&service, |sql| {
            sql.execute("DELETE FROM feature WHERE name = 'gone'", &[])?;
            toggle::put(sql, "on", PRODUCTION, Toggle::On { since: 1 })?;
            toggle::put(sql, "off", PRODUCTION, Toggle::Off)?;
            for _ in 0..3 {
                note(sql, "other")?;
            }
            // The last change stays, so that the numbers go on.
            sql.execute("DELETE FROM change WHERE number < (SELECT MAX(number) FROM change)", &[])
                .map(drop)
        })
        .await;
        assert_eq!(count(&service).await, 2);
        for (feature, expected) in [("gone", false), ("on", true), ("off", false)] {
            assert_eq!(service.is_on("production", feature, "").await, expected, "{feature}");
        }
    }
}

#[tokio::test]
async fn a_start_reads_what_was_there_before() {
    for service in services().await {
        service.feature("f").await;
        service.env("stage").await;
        service.set("production", "f", "ROLL:100").await;
        let database = service.running.store().storage.database().clone();
        let before = service.get("/api/toggles").await.json();
        let token = service.admin.clone();
        service.running.shutdown().await;
        let service = crate::support::start(crate::support::settings(database, &[])).await;
        let request = service.open(reqwest::Method::GET, "/api/toggles").bearer_auth(token);
        crate::support::send(request).await.is(200, before);
    }
}
