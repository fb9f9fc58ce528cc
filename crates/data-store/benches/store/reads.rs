//! Reads of an identity with 50 facts.

use std::{collections::BTreeMap, net::Ipv4Addr};

use axum::{Router, http::header, routing::get};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde_json::json;

use super::{
    load::{self, Load},
    peer::{Connection, Peer},
};

const PATH: &str = "/api/fact/acme-prod";

fn facts() -> BTreeMap<String, String> {
    (0..50).map(|n| (format!("fact-{n:02}"), format!("the value of number {n:02}"))).collect()
}

pub fn run() {
    let folder = tempfile::tempdir().unwrap();
    let store = Peer::store("facts.db", folder.path());
    let body = json!(facts()).to_string();
    Connection::to(&store.address).succeed(&store.request("PATCH", PATH, &body));
    let bare = Peer::bare();
    let etcd = Peer::etcd(folder.path());
    let mut loads =
        vec![Load::constant(&bare, "GET", PATH, ""), Load::constant(&store, "GET", PATH, "")];
    if let Some(etcd) = &etcd {
        let mut connection = Connection::to(&etcd.address);
        for (key, value) in facts() {
            let [key, value] = [format!("acme-prod/{key}"), value].map(|it| STANDARD.encode(it));
            let put = json!({"key": key, "value": value}).to_string();
            connection.succeed(&etcd.request("POST", "/v3/kv/put", &put));
        }
        let [from, to] = ["acme-prod/", "acme-prod0"].map(|it| STANDARD.encode(it));
        let range = json!({"key": from, "range_end": to}).to_string();
        loads.push(Load::constant(etcd, "POST", "/v3/kv/range", &range));
    }
    load::print_head();
    for (measured, load) in load::run(&loads, 16, folder.path()).iter().zip(&loads) {
        measured.print(load.peer.name);
    }
}

/// Answers with the facts, as a constant.
pub fn bare(port: u16) {
    let body = Bytes::from(json!(facts()).to_string());
    let answer = move || async move { ([(header::CONTENT_TYPE, "application/json")], body) };
    let router: Router = Router::new().route("/api/fact/{identity}", get(answer));
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        axum::serve(listener, router).await.unwrap();
    });
}
