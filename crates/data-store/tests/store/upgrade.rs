//! A database of each older version of the program, with data, under this one.

use flagops_store::{MIGRATIONS, PERMISSIONS};
use reqwest::Method;
use secrecy::ExposeSecret as _;
use serde_json::json;
use service::{
    access::{Access, NewToken},
    storage::{Storage, StorageError},
};

use crate::support::{databases, settings, start};

/// What a program of the second version wrote, in its own words.
const FACTS: &[&str] = &[
    "INSERT INTO sequence (name, value) VALUES ('change', 2)",
    "INSERT INTO fact (identity, name, value, version, change, expires)
        VALUES ('acme', 'tier', 'gold', 2, 2, NULL)",
    "INSERT INTO fact_version (identity, name, version, change, value, at, actor)
        VALUES ('acme', 'tier', 1, 1, 'free', 1000, 'token:cms')",
    "INSERT INTO fact_version (identity, name, version, change, value, at, actor)
        VALUES ('acme', 'tier', 2, 2, 'gold', 2000, 'token:cms')",
];

#[tokio::test]
async fn a_database_of_the_first_migration_is_migrated_to_the_last_with_its_data() {
    for (count, last) in (1..=MIGRATIONS.len()).zip(1..) {
        let folder = tempfile::tempdir().unwrap();
        for database in databases(&folder) {
            let old = Storage::open(database.clone(), &MIGRATIONS[..count]).await.unwrap();
            let access = Access::new(old.clone(), PERMISSIONS, true);
            let new = NewToken {
                name: "cms".to_owned(),
                permissions: vec!["admin".to_owned()],
                prefixes: None,
                expires: None,
            };
            let (_, token) = access.create_token(new, "command line").await.unwrap();
            let has_facts = MIGRATIONS[count - 1].version >= 2;
            if has_facts {
                for statement in FACTS {
                    let written = old.write(|sql| sql.execute(statement, &[])).await;
                    written.map_err(|error: StorageError| error).unwrap();
                }
            }
            drop((old, access));

            let store = start(settings(database)).await;
            let get =
                |path: &str| store.request_with(token.expose_secret(), Method::GET, path).send();
            let audit = get("/api/audit?action=token.create&actor=command%20line").await.unwrap();
            assert_eq!(audit.status(), 200, "the token is valid");
            let audit: serde_json::Value = audit.json().await.unwrap();
            assert_eq!(audit["events"][0]["subject"], "cms", "{audit}");
            if has_facts {
                assert_eq!(store.json("/api/fact/acme").await, json!({ "tier": "gold" }));
                let history = store.json("/api/fact/acme/tier/history").await;
                assert_eq!(history["versions"][1]["value"], "free");
                assert_eq!(history["versions"][1]["at"], "1970-01-01T00:00:01Z");
            }
            // And it can be written to.
            store.fact("acme", "tier", "platinum").await;
            store.put("/api/secret/acme/k", json!({ "value": "v" })).await;
            assert_eq!(store.json("/api/secret/acme").await, json!({ "k": "v" }));
            let storage = store.running.store().storage().clone();
            let versions = storage.read(|sql| {
                sql.query("SELECT version FROM schema_history ORDER BY version", &[], |row| {
                    row.int(0)
                })
            });
            let versions = versions.await.map_err(|error: StorageError| error).unwrap();
            let expected: Vec<i64> = MIGRATIONS.iter().map(|it| it.version).collect();
            assert_eq!(versions, expected, "from {last}");
        }
    }
}
