//! The description of the API and the server agree.

use std::{env, path::PathBuf, process::Command};

use flagops_store::api::openapi::{OPERATIONS, document};
use reqwest::{Method, StatusCode};

use crate::support::{client, store};

#[tokio::test]
async fn d37_each_described_operation_exists() {
    let store = store().await;
    for operation in OPERATIONS {
        let path = operation.path.replace(['{', '}'], "");
        let method: Method = operation.method.to_uppercase().parse().unwrap();
        let response = client().request(method, format!("{}{path}", store.url)).send().await;
        // An operation that exists asks for a token first.
        assert_eq!(response.unwrap().status(), StatusCode::UNAUTHORIZED, "{operation:?}");
    }
}

#[tokio::test]
async fn the_description_is_served_as_json_and_as_a_page() {
    let store = store().await;
    let get = async |path: &str| client().get(format!("{}{path}", store.url)).send().await.unwrap();
    let json: serde_json::Value = get("/api/openapi.json").await.json().await.unwrap();
    assert_eq!(json, document());
    let page = get("/api").await;
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    let page = page.text().await.unwrap();
    for operation in OPERATIONS {
        assert!(page.contains(operation.path) && page.contains(operation.summary));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_reads_the_description_finds_nothing_that_contradicts_it() {
    let installed = env::var_os("FLAGSTAFF_CLIENTS_DIR")
        .map(|it| PathBuf::from(it).join("schemathesis/bin/schemathesis"))
        .filter(|it| it.is_file());
    let Some(program) = installed else { return testing::skip("schemathesis") };
    let store = store().await;
    let token = store.token(&["admin"], None).await;
    // It writes what it found to the working directory.
    let folder = tempfile::tempdir().unwrap();
    // It does not expect that a body is rejected for its length.
    let statuses = "[checks.negative_data_rejection]\nexpected-statuses = \
                    [\"400\", \"401\", \"403\", \"404\", \"412\", \"413\"]\n";
    std::fs::write(folder.path().join("schemathesis.toml"), statuses).unwrap();
    let mut command = Command::new(program);
    command
        .current_dir(folder.path())
        .args(["run", &format!("{}/api/openapi.json", store.url), "--no-color"])
        .args(["-H", &format!("Authorization: Bearer {token}"), "--max-time=120", "--seed=1"])
        // That a time lies in the future, or that a condition holds, is beyond a schema.
        .arg("--exclude-checks=positive_data_acceptance")
        // A stream has no end, and is tested in `changes`.
        .args([
            "--exclude-operation-id=get /api/changes",
            "--exclude-operation-id=post /api/changes",
        ]);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
