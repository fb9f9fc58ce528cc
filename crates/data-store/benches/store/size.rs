//! A page and a read with a thousand and with a million identities, embedded and in PostgreSQL.

use std::path::Path;

use flagops_store::MIGRATIONS;
use service::storage::{Database, Storage, StorageError};
use testing::Postgres;

use super::{
    load::{self, Load},
    peer::Peer,
};

/// A page and a read look at no other table.
const FILL: &str = "INSERT INTO fact (identity, name, value, version, change, expires)
    WITH RECURSIVE n (i) AS (
        SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < CAST(?1 AS BIGINT))
    SELECT 'acme-' || (1000000 + i), f.name, 'gold', 1, 2 * i + f.place, NULL
    FROM n, (SELECT 'owner' AS name, 0 AS place UNION ALL SELECT 'tier', 1) AS f";

const SIZES: [i64; 2] = [1_000, 1_000_000];

pub fn run() {
    let folder = tempfile::tempdir().unwrap();
    let file = |size: i64| Some(format!("{}/{size}.db", folder.path().display()));
    measure("embedded", SIZES.map(file), folder.path());
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let databases = SIZES.map(|_| Postgres::database());
    if databases[0].is_none() {
        println!("no PostgreSQL: it is left out");
        return;
    }
    measure("PostgreSQL", databases, folder.path());
}

fn measure(kind: &str, databases: [Option<String>; 2], folder: &Path) {
    let databases = databases.map(Option::unwrap);
    for (database, size) in databases.iter().zip(SIZES) {
        fill(database, size);
    }
    let stores = databases.map(|database| Peer::store(&database, folder));
    load::print_head();
    // An identity, as an expression of Lua.
    let identity = |size: i64| format!("'acme-' .. (1000000 + math.random({size}))");
    for (name, before, after) in [
        ("a page of 50 identities", "/api/identity?limit=50&after=", ""),
        ("a page of 50 with facts", "/api/fact?limit=50&after=", ""),
        ("a fact", "/api/fact/", "/tier"),
        ("all facts of an identity", "/api/fact/", ""),
    ] {
        let loads: Vec<_> = stores
            .iter()
            .zip(SIZES)
            .map(|(store, size)| {
                let path = format!("'{before}' .. {} .. '{after}'", identity(size));
                Load::varied(store, "GET", &path, "''")
            })
            .collect();
        let measured = load::run(&loads, 1, folder);
        for (measured, size) in measured.iter().zip(SIZES) {
            measured.print(&format!("{name}, {size}"));
        }
        let [few, many] = &measured[..] else { unreachable!() };
        println!("{kind}: {:.2} of the CPU, {:.2} of p50", many.cpu / few.cpu, many.p50 / few.p50);
    }
}

fn fill(database: &str, size: i64) {
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let database = Database::parse(database, None).unwrap();
        let storage = Storage::open(database, MIGRATIONS).await.unwrap();
        let filled: Result<_, StorageError> = storage
            .write(move |sql| {
                sql.execute(FILL, &[size.into()])?;
                sql.execute("ANALYZE fact", &[])
            })
            .await;
        filled.unwrap();
    });
}
