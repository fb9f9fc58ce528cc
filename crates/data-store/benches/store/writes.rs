//! Durable writes of one fact, by 64 clients and by one alone.

use std::{
    fs::File,
    io::{Seek as _, Write as _},
    path::Path,
    time::Instant,
};

use super::{
    load::{self, Load},
    peer::{Peer, median},
};

/// What etcd expects is base64: the keys and values of this load have none but its letters.
const KEY: &str = "n % 1000 + 1000";

pub fn run() {
    let folder = tempfile::tempdir().unwrap();
    let store = Peer::store("facts.db", folder.path());
    let etcd = Peer::etcd(folder.path());
    let path = format!("'/api/fact/acme-' .. ({KEY}) .. '/tier'");
    let mut loads = vec![Load::varied(
        &store,
        "PUT",
        &path,
        r#"'{"value":"' .. os.time() .. '-' .. n .. '"}'"#,
    )];
    if let Some(etcd) = &etcd {
        let body = format!(r#"'{{"key":"' .. ({KEY}) .. '","value":"' .. (n + 10000000) .. '"}}'"#);
        loads.push(Load::varied(etcd, "POST", "'/v3/kv/put'", &body));
    }
    load::print_head();
    for connections in [64, 1] {
        let before = fsync(folder.path());
        for (measured, load) in load::run(&loads, connections, folder.path()).iter().zip(&loads) {
            measured.print(&format!("{}, {connections} clients", load.peer.name));
        }
        let after = fsync(folder.path());
        println!("{:32} {before:29.0} before, {after:.0} after", "fsync of 4 KiB");
    }
}

/// How long the disk takes for 4 KiB in a file that has its length already, as the log of SQLite
/// mostly has, in microseconds: the median.
fn fsync(folder: &Path) -> f64 {
    let page = [7; 4096];
    let mut file = File::create(folder.join("fsync")).unwrap();
    file.write_all(&page).unwrap();
    file.sync_all().unwrap();
    let times = (0..1000).map(|_| {
        let started = Instant::now();
        file.rewind().unwrap();
        file.write_all(&page).unwrap();
        file.sync_data().unwrap();
        started.elapsed().as_secs_f64() * 1e6
    });
    median(times.collect())
}
