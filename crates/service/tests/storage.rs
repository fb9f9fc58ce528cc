//! The storage on each of its databases.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use service::storage::{Database, Migration, Storage, StorageError};
use tempfile::TempDir;
use testing::Postgres;
use tokio::time;

const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "things",
        sql: "CREATE TABLE thing (name KEYTEXT PRIMARY KEY, count BIGINT, data BYTES)",
    },
    Migration { version: 2, name: "colours", sql: "ALTER TABLE thing ADD COLUMN colour TEXT" },
];
const INSERT: &str = "INSERT INTO thing (name, count, data, colour) VALUES (?1, ?2, ?3, ?4)";
const ALL: &str = "SELECT name, count, data, colour FROM thing ORDER BY name";

type Thing = (String, Option<i64>, Vec<u8>, Option<String>);

/// A database of each kind that is installed.
fn databases() -> (Vec<Database>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut databases = vec![Database::Sqlite(folder.path().join("new/folder/data.db"))];
    match Postgres::database() {
        Some(url) => databases.push(Database::parse(&url, None).unwrap()),
        None => testing::skip("PostgreSQL"),
    }
    (databases, folder)
}

async fn all(storage: &Storage) -> Vec<Thing> {
    storage
        .read(|sql| {
            sql.query(ALL, &[], |row| {
                Ok((row.text(0)?, row.optional_int(1)?, row.bytes(2)?, row.optional_text(3)?))
            })
        })
        .await
        .map_err(|error: StorageError| error)
        .unwrap()
}

#[derive(Debug)]
enum Failure {
    Mine,
    Storage(StorageError),
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

#[tokio::test]
async fn text_with_nul_is_rejected_by_both_databases_alike() {
    let (databases, _folder) = databases();
    for database in databases {
        let storage = Storage::open(database, MIGRATIONS).await.unwrap();
        let insert = |sql: &mut service::storage::Sql<'_>| {
            let name = "a\0b".to_owned();
            sql.execute(INSERT, &[(&name).into(), 1_i64.into(), (&b"\0"[..]).into(), "".into()])
        };
        let result: Result<u64, StorageError> = storage.write(insert).await;
        assert!(matches!(result, Err(StorageError::Nul)), "{result:?}");
        assert!(all(&storage).await.is_empty());
    }
}

#[tokio::test]
async fn a_statement_whose_result_only_one_database_can_read_is_found() {
    let Some(url) = Postgres::database() else { return testing::skip("PostgreSQL") };
    let storage = Storage::open(Database::parse(&url, None).unwrap(), MIGRATIONS).await.unwrap();
    for (statement, is_read) in
        [(ALL, true), ("SELECT COUNT(*) FROM thing", true), ("SELECT 1 FROM thing", false)]
    {
        let result: Result<(), StorageError> =
            storage.read(move |sql| sql.prepare(statement)).await;
        assert_eq!(result.is_ok(), is_read, "{statement}: {result:?}");
    }
}

#[tokio::test]
async fn what_is_written_is_read_back_exactly() {
    let (databases, _folder) = databases();
    for database in databases {
        let storage = Storage::open(database.clone(), MIGRATIONS).await.unwrap();
        for name in ["b", "B", "ä", "%", "a\tb"] {
            storage
                .write(move |sql| {
                    let params =
                        [name.into(), 7_i64.into(), (&[0, 255][..]).into(), None::<&str>.into()];
                    sql.execute(INSERT, &params)
                })
                .await
                .map_err(|error: StorageError| error)
                .unwrap();
        }
        let names: Vec<String> = all(&storage).await.into_iter().map(|it| it.0).collect();
        assert_eq!(names, ["%", "B", "a\tb", "b", "ä"], "sorted by bytes on {database}");
        assert_eq!(all(&storage).await[0], ("%".to_owned(), Some(7), vec![0, 255], None));
    }
}

#[tokio::test]
async fn a_change_that_fails_leaves_no_trace_and_the_others_stay() {
    let (databases, _folder) = databases();
    for database in databases {
        let storage = Storage::open(database, MIGRATIONS).await.unwrap();
        let changes = (0..64_i64).map(|number| {
            let storage = storage.clone();
            tokio::spawn(async move {
                storage
                    .write(move |sql| {
                        let name = format!("{number:02}");
                        let params =
                            [(&name).into(), number.into(), (&[][..]).into(), None::<&str>.into()];
                        sql.execute(INSERT, &params)?;
                        match number % 4 {
                            1 => Err(Failure::Mine),
                            2 => sql.execute(INSERT, &params).map_err(Failure::from),
                            _ => Ok(1),
                        }
                    })
                    .await
            })
        });
        let mut failures = 0;
        for change in changes.collect::<Vec<_>>() {
            match change.await.unwrap() {
                Ok(_) => {}
                Err(Failure::Mine | Failure::Storage(StorageError::Statement { .. })) => {
                    failures += 1;
                }
                Err(other) => panic!("{other:?}"),
            }
        }
        assert_eq!(failures, 32);
        let numbers: Vec<i64> = all(&storage).await.into_iter().filter_map(|it| it.1).collect();
        let expected: Vec<i64> = (0..64).filter(|it| it % 4 == 0 || it % 4 == 3).collect();
        assert_eq!(numbers, expected);
    }
}

#[tokio::test]
async fn a_panic_in_a_change_is_an_error_for_its_caller_alone() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::Sqlite(folder.path().join("data.db"));
    let storage = Storage::open(database, MIGRATIONS).await.unwrap();
    let result: Result<(), StorageError> = storage.write(|_| panic!("on purpose")).await;
    assert!(matches!(result, Err(StorageError::Closed)));
    let written: Result<i64, StorageError> = storage.write(|sql| sql.next("test")).await;
    assert_eq!(written.unwrap(), 1);
}

#[tokio::test]
async fn a_sequence_has_no_gaps_and_no_number_twice() {
    let (databases, _folder) = databases();
    for database in databases {
        // Two processes on one database.
        let storages = [
            Storage::open(database.clone(), MIGRATIONS).await.unwrap(),
            Storage::open(database.clone(), MIGRATIONS).await.unwrap(),
        ];
        let numbers = Arc::new(Mutex::new(Vec::new()));
        let writers = (0..100).map(|index| {
            let storage = storages[index % 2].clone();
            let numbers = Arc::clone(&numbers);
            tokio::spawn(async move {
                let number = storage.write(|sql| sql.next("test")).await;
                numbers.lock().unwrap().push(number.map_err(|error: StorageError| error).unwrap());
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
        let mut numbers = numbers.lock().unwrap().clone();
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=100).collect::<Vec<_>>(), "{database}");
    }
}

#[tokio::test]
async fn migrations_are_applied_once_and_keep_the_data() {
    let (databases, _folder) = databases();
    for database in databases {
        let first = Storage::open(database.clone(), &MIGRATIONS[..1]).await.unwrap();
        let insert = "INSERT INTO thing (name, count, data) VALUES ('a', 1, ?1)";
        first
            .write(move |sql| sql.execute(insert, &[(&b"x"[..]).into()]))
            .await
            .map_err(|error: StorageError| error)
            .unwrap();
        drop(first);
        let (one, two) = tokio::join!(
            Storage::open(database.clone(), MIGRATIONS),
            Storage::open(database.clone(), MIGRATIONS)
        );
        two.unwrap();
        assert_eq!(all(&one.unwrap()).await, [("a".to_owned(), Some(1), b"x".to_vec(), None)]);
        let older = Storage::open(database, &MIGRATIONS[..1]).await;
        assert!(matches!(older, Err(StorageError::Newer { found: 2, known: 1 })));
    }
}

#[tokio::test]
async fn a_lost_server_is_an_error_and_its_return_mends_it() {
    let Some(mut postgres) = Postgres::start() else { return testing::skip("PostgreSQL") };
    let database = Database::parse(&postgres.url(), None).unwrap();
    let storage = Storage::open(database, MIGRATIONS).await.unwrap();
    let next = || storage.write(|sql| sql.next("test"));
    assert_eq!(next().await.map_err(|error: StorageError| error).unwrap(), 1);
    all(&storage).await;
    postgres.kill();
    let error = next().await.unwrap_err();
    assert!(error.is_temporary(), "{error:?}");
    let read: Result<i64, StorageError> = storage.read(|sql| sql.last("test")).await;
    assert!(read.unwrap_err().is_temporary());
    postgres.restart();
    let mut tries = 0;
    while let Err(error) = next().await {
        tries += 1;
        assert!(tries < 1_000, "{error:?}");
    }
    let read: Result<i64, StorageError> = storage.read(|sql| sql.last("test")).await;
    assert_eq!(read.unwrap(), 2);
}

#[tokio::test]
async fn each_statement_compiles_on_both_databases() {
    const SERVICE: &[Migration] =
        &[Migration { version: 1, name: "service", sql: service::SCHEMA }];
    let (databases, _folder) = databases();
    for database in databases {
        let storage = Storage::open(database.clone(), SERVICE).await.unwrap();
        for statement in service::statements() {
            let result: Result<(), StorageError> =
                storage.read(move |sql| sql.prepare(statement)).await;
            result.unwrap_or_else(|error| panic!("{database}: {statement}: {error:?}"));
        }
    }
}

#[tokio::test]
async fn writers_of_two_programs_take_rows_in_any_order() {
    let (databases, _folder) = databases();
    for database in databases {
        // Only one program writes to a file of SQLite, but two may.
        let one = Storage::open(database.clone(), MIGRATIONS).await.unwrap();
        let other = Storage::open(database, MIGRATIONS).await.unwrap();
        let changes = (0..100_usize).flat_map(|_| {
            [(one.clone(), ["a", "b"]), (other.clone(), ["b", "a"])].map(|(storage, order)| {
                tokio::spawn(async move {
                    storage
                        .write(move |sql| order.map(|it| sql.next(it)).into_iter().collect())
                        .await
                })
            })
        });
        let mut numbers = Vec::new();
        for change in changes.collect::<Vec<_>>() {
            let result: Result<Vec<i64>, StorageError> = change.await.unwrap();
            let result = result.unwrap();
            assert_eq!(result[0], result[1], "one writes at a time");
            numbers.push(result[0]);
        }
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=200).collect::<Vec<i64>>());
    }
}

#[tokio::test]
async fn callers_do_not_wait_for_a_database_that_stands_still() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::Sqlite(folder.path().join("data.db"));
    let storage = Storage::open(database, MIGRATIONS).await.unwrap();
    // Dropped at the end, they let the threads go on.
    let (_first, read_waits) = mpsc::channel::<()>();
    let (_second, write_waits) = mpsc::channel::<()>();
    let waiting = storage.clone();
    let read = tokio::spawn(async move {
        waiting
            .read(move |_| {
                let _ = read_waits.recv();
                Ok::<(), StorageError>(())
            })
            .await
    });
    let write = tokio::spawn(async move {
        storage
            .write(move |_| {
                let _ = write_waits.recv();
                Ok::<(), StorageError>(())
            })
            .await
    });
    tokio::task::yield_now().await;
    time::pause();
    time::advance(Duration::from_secs(41)).await;
    let read = read.await.unwrap().unwrap_err();
    assert!(matches!(read, StorageError::Unreachable(_)), "{read:?}");
    let write = write.await.unwrap().unwrap_err();
    assert!(matches!(write, StorageError::Uncertain(_)), "{write:?}");
    assert_eq!(
        service::describe(&write),
        "the database did not confirm the change, which may have been stored or not: the database \
         has not answered for 40 seconds"
    );
}

#[tokio::test]
async fn what_was_deleted_is_not_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.db");
    let storage = Storage::open(Database::Sqlite(path.clone()), MIGRATIONS).await.unwrap();
    let marker = "this text must not stay in the file";
    let insert = |sql: &mut service::storage::Sql<'_>| {
        sql.execute(INSERT, &["a".into(), 1_i64.into(), (&b""[..]).into(), marker.into()])
    };
    let inserted: Result<u64, StorageError> = storage.write(insert).await;
    inserted.unwrap();
    let copy = folder.path().join("copy.db");
    let is_in = |path: &std::path::Path| {
        fs::read(path).unwrap().windows(marker.len()).any(|it| it == marker.as_bytes())
    };
    service::storage::backup::backup(path.clone(), copy.clone()).await.unwrap();
    assert!(is_in(&copy), "otherwise this test shows nothing");
    let deleted: Result<u64, StorageError> =
        storage.write(|sql| sql.execute("DELETE FROM thing", &[])).await;
    assert_eq!(deleted.unwrap(), 1);
    service::storage::backup::backup(path, copy.clone()).await.unwrap();
    assert!(!is_in(&copy));
}

#[test]
fn a_server_is_named_by_a_url_or_by_keywords() {
    for (address, shown) in [
        ("postgres://app:hunter2@db.internal/facts?sslmode=verify-full", "db.internal"),
        ("host=db.internal user=app password=hunter2 dbname=facts", "db.internal"),
        ("dbname=facts sslmode=disable host = other.internal password='hunter2'", "other.internal"),
    ] {
        let database = Database::parse(address, None).unwrap();
        assert_eq!(database.to_string(), format!("PostgreSQL at {shown}"));
        assert!(!format!("{database:?}").contains("hunter2"));
    }
    for address in ["host=db password=hunter2 TimeZone=UTC", "host=db password=hunter2 port=many"] {
        let error = service::describe(&Database::parse(address, None).unwrap_err());
        assert!(error.starts_with("invalid address of the database"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    let path = Database::parse("data/host=1.db", None).unwrap();
    assert_eq!(path.to_string(), "SQLite in data/host=1.db");
}

#[tokio::test]
async fn a_database_that_cannot_store_every_text_is_rejected() {
    let Some(url) = Postgres::database() else { return testing::skip("PostgreSQL") };
    let latin = ["--encoding=LATIN1", "--template=template0", "--locale=C", "latin"];
    let server = format!("--maintenance-db={url}");
    let _ = Postgres::run("createdb", &[&[server.as_str()][..], &latin].concat());
    let (server, _) = url.rsplit_once('/').unwrap();
    let database = Database::parse(&format!("{server}/latin?sslmode=disable"), None).unwrap();
    let Err(error) = Storage::open(database, MIGRATIONS).await else { panic!("it was opened") };
    assert!(matches!(&error, StorageError::Encoding(it) if it == "LATIN1"), "{error:?}");
}

#[tokio::test]
async fn a_commit_waits_for_the_disk_of_the_server() {
    let Some(url) = Postgres::database() else { return testing::skip("PostgreSQL") };
    let (_, name) = url.rsplit_once('/').unwrap();
    let name = name.split('?').next().unwrap();
    let alter = format!("ALTER DATABASE {name} SET synchronous_commit = off");
    let _ = Postgres::run("psql", &[&url, "-c", &alter]);
    let setting = "SELECT current_setting('synchronous_commit')";
    assert_eq!(Postgres::run("psql", &[&url, "-Atc", setting]).trim(), "off");
    let storage = Storage::open(Database::parse(&url, None).unwrap(), MIGRATIONS).await.unwrap();
    let found: Result<_, StorageError> =
        storage.write(move |sql| sql.query_one(setting, &[], |row| row.text(0))).await;
    assert_eq!(found.unwrap().as_deref(), Some("on"));
}

#[tokio::test]
async fn the_certificate_of_a_server_is_verified() {
    let authority = rcgen::KeyPair::generate().unwrap();
    let mut made = rcgen::CertificateParams::new(Vec::new()).unwrap();
    made.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let root = made.self_signed(&authority).unwrap();
    let issuer = rcgen::Issuer::new(made, authority);
    let key = rcgen::KeyPair::generate().unwrap();
    let server = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let server = server.signed_by(&key, &issuer).unwrap();
    let Some(postgres) = Postgres::start_with_tls(&server.pem(), &key.serialize_pem()) else {
        return testing::skip("PostgreSQL");
    };
    let folder = tempfile::tempdir().unwrap();
    let roots = folder.path().join("roots.pem");
    fs::write(&roots, root.pem()).unwrap();
    let url = |host| postgres.url().replace("127.0.0.1", host).replace("disable", "verify-full");

    let database = Database::parse(&url("localhost"), Some(roots.clone())).unwrap();
    let storage = Storage::open(database, MIGRATIONS).await.unwrap();
    let version = "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let found: Result<_, StorageError> =
        storage.read(move |sql| sql.query_one(version, &[], |row| row.text(0))).await;
    assert_eq!(found.unwrap().as_deref(), Some("TLSv1.3"));

    for (url, roots, reason) in [
        (url("localhost"), None, "database-ca-file"),
        // The certificate is not of this name.
        (url("127.0.0.1"), Some(roots), "certificate"),
    ] {
        let opened = Storage::open(Database::parse(&url, roots).unwrap(), MIGRATIONS).await;
        let Err(error) = opened else { panic!("{url} was trusted") };
        assert!(matches!(error, StorageError::Unreachable(_)), "{error:?}");
        assert!(service::describe(&error).contains(reason), "{error:?}");
    }
}
