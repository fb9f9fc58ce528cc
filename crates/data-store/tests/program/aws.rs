//! Secrets in AWS Secrets Manager, as moto speaks it.

use axum::{body::Bytes, http::HeaderMap};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use testing::{Moto, Postgres};
use tokio::task::JoinSet;

use crate::{
    http::{client, encode, problem},
    program::{Program, Server},
};

/// A call of AWS, without the program. Returns status and body.
async fn call(moto: &Moto, action: &str, body: Value) -> (StatusCode, Value) {
    let credential = "Credential=test/20260101/eu-central-1/secretsmanager/aws4_request";
    let response = client()
        .post(moto.url())
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", format!("secretsmanager.{action}"))
        .header("authorization", format!("AWS4-HMAC-SHA256 {credential}, Signature=0"))
        .body(body.to_string())
        .send()
        .await
        .unwrap();
    (response.status(), response.json().await.unwrap())
}

/// What AWS has under a name.
async fn stored(moto: &Moto, name: &str) -> Value {
    let (status, body) = call(moto, "GetSecretValue", json!({ "SecretId": name })).await;
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(body["SecretString"].as_str().unwrap()).unwrap()
}

async fn create(moto: &Moto, body: Value) {
    let (status, body) = call(moto, "CreateSecret", body).await;
    assert_eq!(status, 200, "{body}");
}

fn on(moto: &Moto, program: Program) -> Program {
    program
        .with("FLAGOPS_SECRET_PROVIDER", "asm")
        .with("FLAGOPS_SECRETS_KEYS", "")
        .with("AWS_ENDPOINT_URL", &moto.url())
        .with("AWS_REGION", "eu-central-1")
        .with("AWS_ACCESS_KEY_ID", "test")
        .with("AWS_SECRET_ACCESS_KEY", "test")
        .with("AWS_EC2_METADATA_DISABLED", "true")
}

/// A store on AWS, where moto is installed.
fn start() -> Option<(Moto, Program, Server)> {
    let moto = Moto::start()?;
    let program = on(&moto, Program::new());
    let server = program.serve();
    Some((moto, program, server))
}

macro_rules! start {
    () => {
        match start() {
            Some(started) => started,
            None => return testing::skip("moto"),
        }
    };
}

#[tokio::test]
async fn secrets_are_kept_as_the_original_keeps_them() {
    let (moto, program, server) = start!();
    server.set("/api/secret/acme-prod/password", "hunter2").await;
    server.set("/api/secret/acme-prod/user", "alice").await;
    let expected = json!({ "password": "hunter2", "user": "alice" });
    assert_eq!(stored(&moto, "flagops-secret-acme-prod").await, expected);
    assert_eq!(server.json("/api/secret/acme-prod").await, expected);
    // And what the original wrote is read.
    let text = "{\"a\":\"1\\u003c2\"}\n";
    create(&moto, json!({ "Name": "flagops-secret-old", "SecretString": text })).await;
    assert_eq!(server.json("/api/secret/old").await, json!({ "a": "1<2" }));
    assert_eq!(server.json("/secret/old/a").await, json!({ "a": "1<2" }));

    assert_eq!(server.delete("/api/secret/acme-prod/user").await.status(), 200);
    assert_eq!(server.delete("/api/secret/acme-prod/user").await.status(), 200, "again");
    let missing = server.get("/api/secret/acme-prod/user").await;
    assert_eq!(problem(missing, StatusCode::NOT_FOUND).await, "secret_not_found");
    let missing = server.get("/api/secret/none/k").await;
    assert_eq!(problem(missing, StatusCode::NOT_FOUND).await, "identity_not_found");
    problem(server.delete("/api/secret/none/k").await, StatusCode::NOT_FOUND).await;
    let blank = server.put("/api/secret/acme-prod/k", "").await;
    problem(blank, StatusCode::BAD_REQUEST).await;

    let audit = server.json("/api/audit?subject=acme-prod/user").await;
    let actions: Vec<_> =
        audit["events"].as_array().unwrap().iter().map(|it| it["action"].clone()).collect();
    assert_eq!(actions, ["secret.delete", "secret.write"]);
    let audit = server.json("/api/audit?subject=acme-prod&action=secret.read").await;
    assert_eq!(audit["events"].as_array().unwrap().len(), 1);
    let check = program.run(&["check"]);
    assert!(check.code == 0 && check.out.contains("AWS Secrets Manager lists them"), "{check:?}");
}

#[tokio::test]
async fn a_condition_is_about_the_version_in_aws() {
    let (_moto, _program, server) = start!();
    let put = |name: &'static str, tag: &str, value: &'static str| {
        let request = server.request(Method::PUT, "/api/secret/acme/k").header(name, tag);
        async move { request.json(&json!({ "value": value })).send().await.unwrap() }
    };
    let created = put("if-none-match", "*", "1").await;
    let tag = created.headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(server.get("/api/secret/acme/k").await.headers()["etag"], tag);
    let again = put("if-none-match", "*", "2").await;
    problem(again, StatusCode::PRECONDITION_FAILED).await;
    assert_eq!(put("if-match", &tag, "2").await.status(), 200);
    problem(put("if-match", &tag, "3").await, StatusCode::PRECONDITION_FAILED).await;
    assert_eq!(server.json("/api/secret/acme").await, json!({ "k": "2" }));
}

#[tokio::test]
async fn secrets_that_are_too_long_together_never_reach_aws() {
    let (moto, _program, server) = start!();
    server.set("/api/secret/acme/a", &"x".repeat(40_000)).await;
    let response = server.put("/api/secret/acme/b", &"x".repeat(30_000)).await;
    problem(response, StatusCode::BAD_REQUEST).await;
    let stored = stored(&moto, "flagops-secret-acme").await;
    assert_eq!(stored.as_object().unwrap().len(), 1);
    let response = server.put("/api/secret/new/b", &"x".repeat(65_530)).await;
    problem(response, StatusCode::BAD_REQUEST).await;
    let (status, _) =
        call(&moto, "DescribeSecret", json!({ "SecretId": "flagops-secret-new" })).await;
    assert!(status.is_client_error(), "it was not made");
}

#[tokio::test]
async fn an_identity_without_secrets_is_not_listed() {
    let (_moto, _program, server) = start!();
    server.set("/api/secret/acme/k", "1").await;
    assert_eq!(server.delete("/api/secret/acme/k").await.status(), 200);
    assert_eq!(server.json("/api/identity").await, json!({ "identities": {} }));
    problem(server.get("/api/secret/acme").await, StatusCode::NOT_FOUND).await;
    server.set("/api/secret/acme/l", "2").await;
    assert_eq!(server.json("/api/secret/acme").await, json!({ "l": "2" }));
}

#[tokio::test]
async fn pages_of_identities_have_those_of_aws_too() {
    let (_moto, _program, server) = start!();
    for number in 0..25 {
        let kind = if number % 2 == 0 { "fact" } else { "secret" };
        server.set(&format!("/api/{kind}/p-{number:02}/k"), "v").await;
    }
    server.set("/api/secret/q/k", "v").await;
    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let page = server.json(&format!("/api/identity?prefix=p-&limit=4&after={after}")).await;
        seen.extend(page["identities"].as_object().unwrap().keys().cloned());
        let Some(next) = page["next"].as_str() else { break };
        next.clone_into(&mut after);
    }
    let expected: Vec<String> = (0..25).map(|it| format!("p-{it:02}")).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn d15_what_is_stored_is_json() {
    let (moto, _program, server) = start!();
    let hostile = "a\",\"admin\":\"yes";
    let pem = "-----BEGIN X-----\n\"quotes\" \\ and\ttabs\n-----END X-----\n";
    server.set("/api/secret/acme/k", hostile).await;
    assert_eq!(stored(&moto, "flagops-secret-acme").await, json!({ "k": hostile }));
    server.set("/api/secret/acme/pem", pem).await;
    let expected = json!({ "k": hostile, "pem": pem });
    assert_eq!(stored(&moto, "flagops-secret-acme").await, expected);
    assert_eq!(server.json("/api/secret/acme").await, expected);
}

#[tokio::test]
async fn d16_a_write_restores_an_identity_that_will_be_deleted() {
    let (moto, _program, server) = start!();
    server.set("/api/secret/acme/old", "1").await;
    assert_eq!(server.delete("/api/identity/acme").await.status(), 200);
    problem(server.get("/api/secret/acme").await, StatusCode::NOT_FOUND).await;
    server.set("/api/secret/acme/new", "2").await;
    assert_eq!(server.json("/api/secret/acme").await, json!({ "new": "2" }));
    let name = json!({ "SecretId": "flagops-secret-acme" });
    let (_, described) = call(&moto, "DescribeSecret", name).await;
    assert!(described.get("DeletedDate").is_none_or(Value::is_null), "{described}");
}

/// Passes calls on to moto, except that one action fails, which moto cannot be made to do.
async fn failing(moto: &Moto, action: &'static str) -> String {
    let url = moto.url();
    let pass = move |headers: HeaderMap, body: Bytes| {
        let url = url.clone();
        async move {
            let target = headers["x-amz-target"].to_str().unwrap();
            if target.ends_with(action) {
                let error = json!({ "__type": "LimitExceededException", "message": "no" });
                return (StatusCode::BAD_REQUEST, error.to_string());
            }
            let request = client().post(url).body(body);
            let names = ["content-type", "x-amz-target", "authorization"];
            let request = names.iter().fold(request, |it, name| it.header(*name, &headers[*name]));
            let response = request.send().await.unwrap();
            (response.status(), response.text().await.unwrap())
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = axum::Router::new().fallback(pass);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    format!("http://{address}")
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_that_were_erased_stay_so_when_new_ones_cannot_be_stored() {
    let (moto, program, server) = start!();
    server.set("/api/secret/acme/old", "1").await;
    assert_eq!(server.delete("/api/identity/acme").await.status(), 200);
    let broken = failing(&moto, "PutSecretValue").await;
    let program = program.with("AWS_ENDPOINT_URL", &broken);
    let other = program.serve_under(&[], &server.token);
    let response = other.put("/api/secret/acme/new", "2").await;
    let code = problem(response, StatusCode::INTERNAL_SERVER_ERROR).await;
    assert_eq!(code, "secrets_rejected");
    problem(server.get("/api/secret/acme").await, StatusCode::NOT_FOUND).await;
    let name = json!({ "SecretId": "flagops-secret-acme" });
    let (_, described) = call(&moto, "DescribeSecret", name).await;
    assert!(described["DeletedDate"].is_number(), "{described}");
    server.set("/api/secret/acme/new", "2").await;
    assert_eq!(server.json("/api/secret/acme").await, json!({ "new": "2" }));
}

#[tokio::test]
async fn d17_concurrent_writers_on_two_replicas_lose_nothing() {
    let Some(moto) = Moto::start() else { return testing::skip("moto") };
    let Some(url) = Postgres::database() else { return testing::skip("PostgreSQL") };
    let program = on(&moto, Program::new().with("FLAGOPS_DATABASE", &url));
    let one = program.serve();
    let two = program.serve_under(&[], &one.token);
    let mut writers = JoinSet::new();
    for number in 0..24 {
        let server = if number % 2 == 0 { &one } else { &two };
        let path = format!("/api/secret/acme/{number:02}");
        let request = server.request(Method::PUT, &path).json(&json!({ "value": "v" }));
        writers.spawn(async move { request.send().await.unwrap().status() });
    }
    // And some of which one may win.
    for number in 0..8 {
        let server = if number % 2 == 0 { &one } else { &two };
        let request = server.request(Method::PUT, "/api/secret/acme/first");
        let request = request.header("if-none-match", "*").json(&json!({ "value": "v" }));
        writers.spawn(async move { request.send().await.unwrap().status() });
    }
    let mut succeeded = 0;
    while let Some(status) = writers.join_next().await {
        match status.unwrap() {
            StatusCode::OK => succeeded += 1,
            status => assert_eq!(status, StatusCode::PRECONDITION_FAILED),
        }
    }
    assert_eq!(succeeded, 25);
    assert_eq!(stored(&moto, "flagops-secret-acme").await.as_object().unwrap().len(), 25);
}

#[tokio::test]
async fn d18_only_names_that_the_store_writes_are_identities() {
    let (moto, _program, server) = start!();
    for name in ["flagops-secrets-x", "flagops-secret", "flagops-secret-a/b", "other"] {
        create(&moto, json!({ "Name": name, "SecretString": "{\"k\":\"v\"}" })).await;
    }
    server.set("/api/secret/x/k", "v").await;
    let expected = json!({ "identities": { "x": { "facts": false, "secrets": true } } });
    assert_eq!(server.json("/api/identity").await, expected);
}

#[tokio::test]
async fn d19_aws_keeps_erased_secrets_for_the_days_that_the_option_says() {
    let Some(moto) = Moto::start() else { return testing::skip("moto") };
    let program = on(&moto, Program::new()).with("FLAGOPS_ASM_DELETION_RECOVERY", "30");
    let server = program.serve();
    server.set("/api/secret/acme/k", "v").await;
    assert_eq!(server.delete("/api/identity/acme").await.status(), 200);
    let name = json!({ "SecretId": "flagops-secret-acme" });
    let (_, described) = call(&moto, "DescribeSecret", name).await;
    let at = described["DeletedDate"].as_f64().unwrap();
    let days = (at - f64::from(u32::try_from(service::time::now() / 1_000).unwrap())) / 86_400.0;
    assert!((29.0..=30.1).contains(&days), "{days}");
    let ran = program.with("FLAGOPS_ASM_DELETION_RECOVERY", "31").run(&["check"]);
    assert!(ran.code == 1 && ran.err.contains("expected a number from 7 to 30"), "{ran:?}");
}

#[tokio::test]
async fn d20_an_identity_may_have_characters_that_aws_does_not_allow() {
    let (_moto, _program, server) = start!();
    let identities = ["a:b", "a b", "100%", "\u{e4}", "*", "a", "ab"];
    for identity in identities {
        server.set(&format!("/api/secret/{}/k", encode(identity)), identity).await;
    }
    for identity in identities {
        let path = format!("/api/secret/{}", encode(identity));
        assert_eq!(server.json(&path).await, json!({ "k": identity }));
    }
    let list = server.json("/api/identity").await;
    let mut expected = identities;
    expected.sort_unstable();
    let listed: Vec<_> = list["identities"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(listed, expected);
    let list = server.json(&format!("/api/identity?prefix={}", encode("a:"))).await;
    assert_eq!(list["identities"].as_object().unwrap().len(), 1);
}

#[tokio::test]
async fn d26_facts_are_listed_while_aws_is_down_and_the_response_says_what_is_missing() {
    let (mut moto, program, server) = start!();
    server.set("/api/fact/acme/tier", "gold").await;
    server.set("/api/secret/acme/k", "v").await;
    moto.kill();
    let expected = json!({
        "identities": { "acme": { "facts": true } },
        "unavailable": ["secrets"],
    });
    assert_eq!(server.json("/api/identity").await, expected);
    assert_eq!(server.json("/api/identity?limit=10").await, expected);
    assert_eq!(server.json("/api/fact/acme").await, json!({ "tier": "gold" }));
    for response in [
        server.get("/api/secret/acme").await,
        server.put("/api/secret/acme/k", "w").await,
        server.delete("/api/secret/acme/k").await,
        server.delete("/api/identity/acme").await,
    ] {
        let code = problem(response, StatusCode::SERVICE_UNAVAILABLE).await;
        assert_eq!(code, "secrets_unavailable");
    }
    // Nothing of it was erased.
    assert_eq!(server.json("/api/fact/acme").await, json!({ "tier": "gold" }));
    drop(server);
    let server = program.serve();
    assert_eq!(server.json("/api/fact/acme").await, json!({ "tier": "gold" }), "it starts");
    let check = program.run(&["check"]);
    assert!(check.code == 1 && check.out.contains("PROBLEM secrets"), "{check:?}");
}

#[tokio::test]
async fn d40_erasing_again_is_done() {
    let (_moto, _program, server) = start!();
    server.set("/api/secret/acme/k", "v").await;
    for _ in 0..3 {
        assert_eq!(server.delete("/api/identity/acme").await.status(), 200);
    }
    assert_eq!(server.delete("/api/identity/never-there").await.status(), 200);
    let audit = server.json("/api/audit?action=identity.erase").await;
    assert_eq!(audit["events"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn d41_a_secret_that_is_not_an_object_of_strings_is_an_error_and_stays_as_it_is() {
    let (moto, _program, server) = start!();
    create(&moto, json!({ "Name": "flagops-secret-binary", "SecretBinary": "AP8=" })).await;
    for (identity, text) in
        [("null", "null"), ("list", "[\"a\"]"), ("number", "{\"k\":1}"), ("text", "hunter2")]
    {
        let name = format!("flagops-secret-{identity}");
        create(&moto, json!({ "Name": name, "SecretString": text })).await;
    }
    for identity in ["binary", "null", "list", "number", "text"] {
        let path = format!("/api/secret/{identity}");
        for response in [
            server.get(&path).await,
            server.get(&format!("{path}/k")).await,
            server.put(&format!("{path}/k"), "v").await,
            server.delete(&format!("{path}/k")).await,
        ] {
            let text = response.text().await.unwrap();
            assert!(text.contains("secret_unreadable"), "{identity}: {text}");
            assert!(text.contains(&format!("flagops-secret-{identity}")), "{text}");
            assert!(!text.contains("hunter2"), "{text}");
        }
    }
    let name = json!({ "SecretId": "flagops-secret-text" });
    assert_eq!(call(&moto, "GetSecretValue", name).await.1["SecretString"], "hunter2");
    // It can be erased.
    assert_eq!(server.delete("/api/identity/binary").await.status(), 200);
    server.set("/api/secret/binary/k", "v").await;
}
