//! The description of the API and the server agree.

use std::{env, path::PathBuf, process::Command};

use reqwest::{Method, StatusCode};
use serde_json::Value;
use toggle_meister::api::openapi::{OPERATIONS, document};

use crate::support::{send, service};

/// The header `Allow` says which methods exist at a path.
#[tokio::test]
async fn each_operation_is_described_and_each_that_is_described_exists() {
    let service = service(&[]).await;
    let mut paths: Vec<&str> = OPERATIONS.iter().map(|it| it.path).collect();
    paths.dedup();
    for path in paths {
        let real = path.replace(['{', '}'], "");
        let answer = send(service.request(Method::PUT, &real)).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        let mut allowed: Vec<String> =
            answer.header("allow").split(',').map(str::to_owned).collect();
        allowed.retain(|it| !matches!(it.as_str(), "HEAD" | "OPTIONS"));
        allowed.sort();
        let described = OPERATIONS.iter().filter(|it| it.path == path);
        let mut described: Vec<String> = described.map(|it| it.method.to_uppercase()).collect();
        described.sort();
        assert_eq!(allowed, described, "{path}");
    }
    for operation in OPERATIONS.iter().filter(|it| !it.path.ends_with("/events")) {
        let path = operation.path.replace(['{', '}'], "");
        let method: Method = operation.method.to_uppercase().parse().unwrap();
        let status = send(service.open(method, &path).body("{}")).await.status;
        assert_eq!(status == StatusCode::UNAUTHORIZED, !operation.is_public, "{operation:?}");
    }
}

#[tokio::test]
async fn each_path_of_the_router_is_described() {
    // The router has no list of its routes, but the source of it does.
    let router = include_str!("../../src/api/mod.rs");
    let paths = router.split("\"/api").skip(1).map(|it| it.split('"').next().unwrap());
    let mut count = 0;
    for path in paths.filter(|it| !it.is_empty() && *it != "/openapi.json") {
        let path = format!("/api{path}");
        assert!(OPERATIONS.iter().any(|it| it.path == path), "{path} is not described");
        count += 1;
    }
    assert!(count > 10, "{count}");
}

#[tokio::test]
async fn the_role_that_an_operation_needs_is_the_least_that_may() {
    use toggle_meister::role::Role;
    let service = service(&[]).await;
    for operation in OPERATIONS {
        let Some(needed) = operation.needs.first().and_then(|it| Role::parse(it)) else { continue };
        let path = operation.path.replace("{id}", "77").replace(['{', '}'], "");
        for role in Role::ALL {
            let token = service.token(role.name()).await;
            let method: Method = operation.method.to_uppercase().parse().unwrap();
            let body = r#"{"toggle": {}, "name": "n", "title": "", "role": "x"}"#;
            let request = service.open(method, &path).bearer_auth(token).body(body);
            let status = send(request).await.status;
            assert_eq!(status == StatusCode::FORBIDDEN, role > needed, "{role:?} {operation:?}");
        }
    }
}

/// A feature that was deleted softly is a conflict that the original does not have.
#[test]
fn both_forms_of_a_conflict_are_described() {
    let conflict = |path: &str| -> Vec<(String, Value)> {
        let response = document()["paths"][path]["post"]["responses"]["409"].clone();
        let kinds = response["content"].as_object().unwrap();
        kinds.iter().map(|(kind, it)| (kind.clone(), it["schema"]["$ref"].clone())).collect()
    };
    let kind = |kind: &str, schema: &str| {
        (kind.to_owned(), Value::from(format!("#/components/schemas/{schema}")))
    };
    let message = kind("application/json", "Message");
    let problem = kind("application/problem+json", "Problem");
    assert_eq!(conflict("/api/features"), [message.clone(), problem]);
    assert_eq!(conflict("/api/envs"), [message]);
}

#[tokio::test]
async fn the_description_is_served_as_json_and_as_a_page() {
    let service = service(&[]).await;
    assert_eq!(service.public("/api/openapi.json").await.json(), document());
    let page = service.public("/api").await;
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    for operation in OPERATIONS {
        assert!(page.text.contains(operation.path) && page.text.contains(operation.summary));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_reads_the_description_finds_nothing_that_contradicts_it() {
    let installed = env::var_os("FLAGSTAFF_CLIENTS_DIR")
        .map(|it| PathBuf::from(it).join("schemathesis/bin/schemathesis"))
        .filter(|it| it.is_file());
    let Some(program) = installed else { return testing::skip("schemathesis") };
    let service = service(&[]).await;
    // It writes what it found to the working directory.
    let folder = tempfile::tempdir().unwrap();
    let statuses = "[checks.negative_data_rejection]\nexpected-statuses = \
                    [\"400\", \"401\", \"403\", \"404\", \"409\", \"413\"]\n";
    std::fs::write(folder.path().join("schemathesis.toml"), statuses).unwrap();
    let mut command = Command::new(program);
    command
        .current_dir(folder.path())
        .args(["run", &format!("{}/api/openapi.json", service.url), "--no-color"])
        .args(["-H", &format!("Authorization: Bearer {}", service.admin)])
        .args(["--max-time=60", "--seed=1"])
        // That an environment exists is beyond a schema; and like the original, the service
        // ignores fields and parameters that it does not know.
        .arg("--exclude-checks=positive_data_acceptance,negative_data_rejection")
        // A stream has no end, and is tested in `events`. The token of this test is not to be
        // revoked.
        .args([
            "--exclude-operation-id=get /api/envs/{env}/events",
            "--exclude-operation-id=delete /api/token/{id}",
        ]);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(service.get("/api/envs").await.status, StatusCode::OK, "the token is valid");
}
