//! `--facts` of `start`, `eval` and `render`, with a double of the store.

use std::{fs, time::Duration};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    double::{Does, Store},
    program::{Finished, finish, flagstaff, run},
    start::{addresses, start},
    support::wait::becomes_true,
};

/// A directory with a flag that depends on the fact `tier`.
fn directory() -> TempDir {
    let rule = json!({"if": [{"==": [{"var": "tier"}, "gold"]}, "five", "one"]});
    let variants = json!({"five": 5, "one": 1});
    let flag = json!({"state": "ENABLED", "variants": variants, "defaultVariant": "one", "targeting": rule});
    let directory = tempfile::tempdir().unwrap();
    let flags = json!({"flags": {"replicas": flag}});
    fs::write(directory.path().join("flags.json"), flags.to_string()).unwrap();
    fs::write(directory.path().join("token"), "hush\n").unwrap();
    directory
}

#[tokio::test]
async fn the_server_evaluates_with_facts() {
    let store = Store::start().await;
    store.requires("hush");
    store.set("acme-1", "tier", "gold");
    store.set("other", "tier", "gold");
    let directory = directory();
    let args = ["--uri", "file:flags.json", "--facts", &store.url, "--facts-token-file", "token"];
    let mut command = start(&directory, &[&args[..], &["--facts-prefix", "acme-"]].concat());
    command.env("FLAGD_LOG_FORMAT", "json");
    let (child, addresses) = addresses(command).await;
    let (_, evaluation) = addresses.iter().find(|(service, _)| service == "evaluation").unwrap();
    let port = evaluation.port().to_string();
    let replicas = async |key: &str| -> Value {
        let key = format!("targetingKey={key}");
        let options = ["eval", "--deadline-ms", "10000", "--port", &port, "--json"];
        run(&[&options[..], &["replicas", "-c", &key]].concat()).await.json()["value"].clone()
    };
    assert_eq!(replicas("acme-1").await, json!(5));
    assert_eq!(replicas("acme-2").await, json!(1));
    assert_eq!(replicas("other").await, json!(1), "not in the prefix");
    store.set("acme-2", "tier", "gold");
    becomes_true("the change", async || replicas("acme-2").await == json!(5)).await;
    assert!(store.asked("GET /api/fact/").is_empty(), "no request for an evaluation");
    drop(child);
}

#[tokio::test]
async fn one_evaluation_with_facts() {
    let store = Store::start().await;
    store.set("acme", "tier", "gold");
    let directory = directory();
    let eval = async || {
        let options = ["eval", "replicas", "--file", "flags.json", "-c", "targetingKey=acme"];
        let mut command = flagstaff(&options);
        command.args(["--deadline-ms", "10000"]).current_dir(directory.path());
        command.env("FLAGSTAFF_FACTS", &store.url);
        finish(command).await
    };
    let Finished { code, out, err } = eval().await;
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("replicas = 5"), "{out}");
    store.does(|_| Some(Does::Status(403)));
    let Finished { code, err, .. } = eval().await;
    assert_eq!(code, Some(1));
    assert!(err.contains("403 Forbidden"), "{err}");
}

#[tokio::test]
async fn manifests_with_facts() {
    let store = Store::start().await;
    store.requires("hush");
    store.set("acme-prod", "tier", "gold");
    let directory = directory();
    let template = r#"replicas: [{ env "replicas" }]"#;
    fs::write(directory.path().join("web.yaml"), template).unwrap();
    let render = async |options: &[&str]| {
        let mut command = flagstaff(&["render", "web.yaml", "--file", "flags.json"]);
        command.args(["--deadline-ms", "10000"]).args(options).current_dir(directory.path());
        command.env("FLAGSTAFF_FACTS_TOKEN_FILE", "token").env("ARGOCD_APP_NAME", "acme-prod");
        finish(command).await
    };
    let rendered = render(&["--facts", &store.url]).await;
    assert_eq!((rendered.code, &*rendered.out), (Some(0), "replicas: 5\n"), "{rendered:?}");
    let other = render(&["--facts", &store.url, "--identity", "other"]).await;
    assert_eq!((other.code, &*other.out), (Some(0), "replicas: 1\n"), "{other:?}");
    for (identity, reason) in [("a/b", "--identity"), ("", "--identity IDENTITY")] {
        let mut command = flagstaff(&["render", "web.yaml", "--file", "flags.json"]);
        command.args(["--facts", &store.url, "--property", "tier=gold"]);
        command.current_dir(directory.path()).env("ARGOCD_APP_NAME", identity);
        let Finished { code, out, err } = finish(command).await;
        assert_eq!((code, &*out), (Some(2), ""), "{err}");
        assert!(err.contains(reason), "{err}");
    }
    store.requires("another");
    let Finished { code, out, err } = render(&["--facts", &store.url]).await;
    assert_eq!((code, &*out), (Some(1), ""), "{err}");
    assert!(err.contains("web.yaml:1:") && err.contains("401 Unauthorized"), "{err}");
    assert!(!err.contains("hush"), "{err}");
}

#[tokio::test]
async fn options_that_cannot_be_are_named() {
    for invalid in [["eval", "flag"], ["render", "web.yaml"]] {
        let invalid = [&invalid[..], &["--facts", "ftp://zoe:hush@facts"]].concat();
        let Finished { code, err, .. } = run(&invalid).await;
        assert_eq!(code, Some(2));
        assert!(err.contains("--facts") && err.contains("http://"), "{err}");
        assert!(!err.contains("hush"), "{err}");
    }
    let alone = ["start", "--uri", "file:flags.json", "--facts-prefix", "acme-"];
    let Finished { code, err, .. } = run(&alone).await;
    assert_eq!(code, Some(2));
    assert!(err.contains("--facts"), "{err}");
}

/// An outage of the store must not keep the server from starting.
#[tokio::test]
async fn the_server_starts_without_facts() {
    let store = Store::start().await;
    store.does(|_| Some(Does::Status(503)));
    let directory = directory();
    let mut command = start(&directory, &["--uri", "file:flags.json", "--facts", &store.url]);
    command.env("FLAGD_LOG_FORMAT", "json");
    let begun = std::time::Instant::now();
    let (child, _) = addresses(command).await;
    // The program waits by its own clock: less than this means that it did not.
    assert!(begun.elapsed() >= Duration::from_secs(5), "it waits for them a while");
    drop(child);
}
