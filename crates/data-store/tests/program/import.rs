//! `flagops-store import`.

use reqwest::StatusCode;
use serde_json::json;
use testing::Redis;

use crate::{
    http::encode,
    program::{Program, Ran},
};

/// What the original stores, and what it does not.
fn fill(redis: &Redis) {
    redis.run(&[
        &[b"SELECT", b"2"],
        &[b"SET", b"acme-prod:tier", b"gold"],
        &[b"SET", b"acme-prod:cluster", b"eu1"],
        &[b"SET", b"a:b:x", "f\u{fc}nf".as_bytes()],
        &[b"SET", b"no-colon", b"v"],
        &[b"SET", b":no-identity", b"v"],
        &[b"SET", b"acme-prod:a/b", b"v"],
        &[b"SET", b"acme-prod:\xff", b"v"],
        &[b"SET", b"acme-prod:blank", b""],
        &[b"SET", b"acme-prod:binary", b"\xff"],
        &[b"HSET", b"sessions:1", b"user", b"7"],
    ]);
}

fn skipped(ran: &Ran) -> Vec<&str> {
    let mut lines: Vec<_> = ran.err.lines().filter_map(|it| it.strip_prefix("skipped ")).collect();
    lines.sort_unstable();
    lines
}

const SKIPPED: [&str; 7] = [
    ":no-identity: the identity must not be empty",
    "acme-prod:a/b: the key must not contain \"/\"",
    "acme-prod:binary: the value is not UTF-8",
    "acme-prod:blank: the value must not be empty",
    "acme-prod:\u{fffd}: the name is not UTF-8",
    "no-colon: the name has no colon",
    "sessions:1: holds a hash, not a string",
];

#[tokio::test]
async fn facts_of_the_original_are_imported_and_the_rest_is_named() {
    let Some(redis) = Redis::start() else { return testing::skip("Redis") };
    fill(&redis);
    for program in Program::on_each() {
        let ran = program.run(&["import", &redis.url(2)]);
        assert_eq!(ran.code, 3, "{ran:?}");
        assert_eq!(skipped(&ran), SKIPPED);
        assert_eq!(
            ran.out,
            "imported 3 facts, of which 3 were new or had changed, and skipped 7 keys\n"
        );
        let server = program.serve();
        let expected = json!({ "tier": "gold", "cluster": "eu1" });
        assert_eq!(server.json("/api/fact/acme-prod").await, expected);
        // The first colon separates.
        assert_eq!(server.json("/api/fact/a").await, json!({ "b:x": "f\u{fc}nf" }));
        let history = server.json("/api/fact/acme-prod/tier/history").await;
        assert_eq!(history["versions"][0]["by"], "import");
        let audit = server.json("/api/audit?actor=import").await;
        assert_eq!(audit["events"].as_array().unwrap().len(), 3);
    }
}

#[tokio::test]
async fn an_import_that_is_repeated_writes_what_has_changed_since() {
    let Some(redis) = Redis::start() else { return testing::skip("Redis") };
    redis.run(&[&[b"SET", b"a:k", b"1"], &[b"SET", b"a:l", b"1"]]);
    for program in Program::on_each() {
        redis.run(&[&[b"SET", b"a:k", b"1"]]);
        let run = |expected: &str| {
            let ran = program.run(&["import", &redis.url(0)]);
            assert_eq!(ran.code, 0, "{ran:?}");
            assert!(ran.out.contains(expected), "{ran:?}");
        };
        run("imported 2 facts, of which 2 were new");
        run("imported 2 facts, of which 0 were new");
        redis.run(&[&[b"SET", b"a:k", b"2"]]);
        run("imported 2 facts, of which 1 were new");
        let server = program.serve();
        assert_eq!(server.json("/api/fact/a").await, json!({ "k": "2", "l": "1" }));
        let versions = server.json("/api/fact/a/k/history").await["versions"].clone();
        assert_eq!(versions.as_array().unwrap().len(), 2);
    }
}

#[tokio::test]
async fn a_dry_run_writes_nothing_and_says_what_it_would() {
    let Some(redis) = Redis::start() else { return testing::skip("Redis") };
    fill(&redis);
    let program = Program::new();
    let ran = program.run(&["import", &redis.url(2), "--dry-run"]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert_eq!(ran.out, "would import 3 facts and skip 7 keys\n");
    assert_eq!(skipped(&ran), SKIPPED);
    assert!(!program.database().exists());
}

#[tokio::test]
async fn an_import_only_reads_from_redis() {
    let Some(redis) = Redis::start() else { return testing::skip("Redis") };
    fill(&redis);
    redis.run(&[&[b"CONFIG", b"RESETSTAT"]]);
    Program::new().run(&["import", &redis.url(2)]);
    let statistics = String::from_utf8(redis.reply(&[&[b"INFO", b"commandstats"]])).unwrap();
    let commands = statistics.lines().filter_map(|line| line.strip_prefix("cmdstat_"));
    let mut seen = Vec::new();
    for command in commands.map(|line| line.split(':').next().unwrap()) {
        let reads = ["scan", "mget", "type", "select", "info", "config|resetstat"];
        // How a client introduces itself.
        let greets = ["hello", "client|setinfo"];
        assert!(reads.contains(&command) || greets.contains(&command), "{command}");
        seen.push(command);
    }
    assert!(seen.contains(&"scan") && seen.contains(&"mget"), "{seen:?}");
}

#[tokio::test]
async fn many_keys_are_imported_in_pages() {
    let Some(redis) = Redis::start() else { return testing::skip("Redis") };
    let keys: Vec<String> = (0..1_700).map(|it| format!("identity-{it:04}:key")).collect();
    let many: Vec<&[u8]> = keys.iter().flat_map(|key| [key.as_bytes(), b"value"]).collect();
    redis.run(&[&[&[&b"MSET"[..]], &many[..]].concat()]);
    // One identity has more facts than the store allows.
    let keys: Vec<String> = (0..1_003).map(|it| format!("greedy:{it:04}")).collect();
    let many: Vec<&[u8]> = keys.iter().flat_map(|key| [key.as_bytes(), b"value"]).collect();
    redis.run(&[&[&[&b"MSET"[..]], &many[..]].concat()]);
    let program = Program::new();
    let ran = program.run(&["import", &redis.url(0)]);
    assert_eq!(ran.code, 3, "{ran:?}");
    let skipped = skipped(&ran);
    assert_eq!(skipped.len(), 3, "{skipped:?}");
    assert!(skipped[0].contains("has 1000 facts, and more are not allowed"), "{skipped:?}");
    assert!(ran.out.starts_with("imported 2700 facts"), "{ran:?}");
    let server = program.serve();
    let all = server.json("/api/identity").await;
    assert_eq!(all["identities"].as_object().unwrap().len(), 1_701);
}

#[tokio::test]
async fn a_running_server_notices_an_import() {
    let Some(redis) = Redis::start() else { return testing::skip("Redis") };
    redis.run(&[&[b"SET", b"acme:tier", b"gold"]]);
    let program = Program::new();
    let server = program.serve();
    server.set("/api/fact/acme/tier", "free").await;
    // From now on the server has it in its cache.
    assert_eq!(server.json("/api/fact/acme").await, json!({ "tier": "free" }));
    let mut stream = server.stream(None).await;
    stream.expect("ready").await;
    assert_eq!(program.run(&["import", &redis.url(0)]).code, 0);
    assert_eq!(stream.expect("change").await.data["value"], "gold");
    assert_eq!(server.json("/api/fact/acme").await, json!({ "tier": "gold" }));
}

#[tokio::test]
async fn an_unreachable_redis_is_an_error_without_the_password() {
    let program = Program::new();
    let url = format!("redis://user:hunter2@127.0.0.1:{}", testing::free_port());
    let ran = program.run(&["import", &url]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("cannot read from Redis"), "{ran:?}");
    assert!(!ran.err.contains("hunter2"), "{ran:?}");
    assert_eq!(program.run(&["import", "postgres://db"]).code, 1);
}

/// Names that Redis treats as patterns are names like all others.
#[tokio::test]
async fn d13_d14_each_key_is_read_by_its_name() {
    let Some(redis) = Redis::start() else { return testing::skip("Redis") };
    redis.run(&[&[b"SET", b"*:k", b"star"], &[b"SET", b"c?:k", b"mark"], &[b"SET", b"cc:k", b"c"]]);
    let program = Program::new();
    assert_eq!(program.run(&["import", &redis.url(0)]).code, 0);
    let server = program.serve();
    for (identity, value) in [("*", "star"), ("c?", "mark"), ("cc", "c")] {
        let facts = server.json(&format!("/api/fact/{}", encode(identity))).await;
        assert_eq!(facts, json!({ "k": value }));
    }
    assert_eq!(server.get("/api/fact/c").await.status(), StatusCode::NOT_FOUND);
}

#[test]
fn a_url_that_is_none_is_rejected_with_what_is_expected() {
    for url in ["foo", "http://user:hush@redis.internal"] {
        let ran = Program::new().run(&["import", url]);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.err.contains("expected redis://"), "{ran:?}");
        assert!(!ran.err.contains("hush"), "{ran:?}");
    }
}
