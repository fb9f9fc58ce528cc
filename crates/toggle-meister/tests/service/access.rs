//! Who may do what: each role against each action, and those who are nobody.

use reqwest::Method;
use serde_json::{Value, json};
use toggle_meister::role::{Action, Role};

use crate::support::{Answer, Service, send, service, services};

/// What every action is sent as.
fn request(action: Action) -> (Method, &'static str, Value) {
    let toggle = |env: &str| json!({ "toggle": { "env": env, "feature": "f", "state": "ON" } });
    match action {
        Action::ToggleProduction => (Method::PATCH, "/api/toggles", toggle("Production")),
        Action::Toggle => (Method::PATCH, "/api/toggles", toggle("stage")),
        Action::CreateEnvironment => (Method::POST, "/api/envs", json!({ "name": "new" })),
        Action::DeleteEnvironment => (Method::DELETE, "/api/envs/new", json!(null)),
        Action::CreateFeature => (Method::POST, "/api/features", json!({ "name": "new" })),
        Action::DeleteFeature => (Method::DELETE, "/api/features/new", json!(null)),
        Action::HardDeleteFeature => (Method::DELETE, "/api/features/new?hard=True", json!(null)),
        Action::ManageReleaseNotes => (Method::POST, "/api/release_notes", json!({ "title": "t" })),
        Action::ManageTokens => (Method::POST, "/api/token", json!({ "name": "n", "role": "dev" })),
    }
}

async fn act(service: &Service, action: Action, token: Option<&str>) -> Answer {
    let (method, path, body) = request(action);
    let mut request = service.open(method, path).json(&body);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    send(request).await
}

/// Paths that everybody who is signed in may read.
const READS: [&str; 7] = [
    "/api/toggles",
    "/api/envs",
    "/api/auditlog",
    "/api/metrics/f",
    "/api/release_notes",
    "/api/employees",
    "/metrics",
];

#[tokio::test]
async fn each_role_may_do_what_the_matrix_says() {
    for service in services().await {
        service.feature("f").await;
        service.env("stage").await;
        for role in Role::ALL {
            let token = service.token(role.name()).await;
            for action in Action::ALL {
                // The matrix, written once more by hand.
                let allowed = match action {
                    Action::ToggleProduction
                    | Action::Toggle
                    | Action::CreateFeature
                    | Action::DeleteFeature
                    | Action::ManageReleaseNotes => role != Role::ReadOnly,
                    Action::CreateEnvironment
                    | Action::DeleteEnvironment
                    | Action::HardDeleteFeature
                    | Action::ManageTokens => role == Role::Admin,
                };
                match action {
                    Action::DeleteEnvironment => {
                        service.post("/api/envs", json!({ "name": "new" })).await;
                    }
                    Action::DeleteFeature | Action::HardDeleteFeature => {
                        service.post("/api/features", json!({ "name": "new" })).await;
                    }
                    _ => {
                        service.delete("/api/envs/new").await;
                        service.delete("/api/features/new?hard=true").await;
                    }
                }
                let before = service.audited(1).await;
                let answer = act(&service, action, Some(&token)).await;
                if allowed {
                    assert!(answer.status.is_success(), "{role:?} {action:?}: {answer:?}");
                } else {
                    answer.is_forbidden();
                    assert_eq!(service.audited(1).await, before, "{role:?} {action:?}");
                }
            }
            for path in READS {
                let read = send(service.open(Method::GET, path).bearer_auth(&token)).await;
                assert_eq!(read.status, 200, "{role:?} {path}");
            }
        }
    }
}

#[tokio::test]
async fn nobody_may_do_and_read_nothing_but_what_is_public() {
    let service = service(&[]).await;
    service.feature("f").await;
    service.env("stage").await;
    let trail = service.get("/api/auditlog").await.text;
    for token in [None, Some(""), Some("guessed")] {
        for action in Action::ALL {
            let answer = act(&service, action, token).await;
            answer.is_unauthenticated();
            assert_eq!(answer.header("www-authenticate"), "Bearer");
        }
        for path in READS.into_iter().chain(["/api/token"]) {
            let mut request = service.open(Method::GET, path);
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            send(request).await.is_unauthenticated();
        }
    }
    assert_eq!(service.get("/api/auditlog").await.text, trail);
    for path in [
        "/api/features",
        "/api/envs/stage/toggles?feature=f",
        "/api/envs/stage/release_notes",
        "/heartbeat",
    ] {
        // Whoever sends something that is no token gets what is public all the same.
        let request = service.open(Method::GET, path).bearer_auth("guessed");
        assert_eq!(send(request).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn who_may_switch_production_is_an_option() {
    for (least, allowed) in [
        ("admin", [true, false, false, false]),
        ("qa", [true, true, false, false]),
        ("dev", [true, true, true, false]),
    ] {
        let service = service(&[("production-role", least)]).await;
        service.feature("f").await;
        service.env("stage").await;
        for (role, allowed) in Role::ALL.into_iter().zip(allowed) {
            let token = service.token(role.name()).await;
            let production = act(&service, Action::ToggleProduction, Some(&token)).await;
            assert_eq!(production.status.is_success(), allowed, "{least} {role:?}");
            let stage = act(&service, Action::Toggle, Some(&token)).await;
            assert_eq!(stage.status.is_success(), role != Role::ReadOnly, "{least} {role:?}");
        }
    }
}

#[tokio::test]
async fn where_nobody_signs_in_everybody_is_the_local_administrator() {
    let service = service(&[("dev", "true")]).await;
    let created = service.open(Method::POST, "/api/features").json(&json!({ "name": "f" }));
    send(created).await.is(201, json!({ "name": "f" }));
    assert_eq!(service.audited(1).await[0]["user"], "admin.user");
    let admin = json!({ "username": "admin.user", "name": "Admin User",
                        "email": "admin.user@sampledomain.com", "role": "admin" });
    service.public("/api/employees").await.is(200, json!({ "employees": [admin] }));
    // A page of another website cannot reach it through somebody's browser.
    let hostile = service.open(Method::POST, "/api/features").json(&json!({ "name": "g" }));
    let hostile = send(hostile.header("origin", "https://evil.example")).await;
    hostile.is_problem(403, "cross_site");
}

#[tokio::test]
async fn a_token_is_shown_once_works_at_once_and_is_of_no_use_once_revoked() {
    for service in services().await {
        let new = json!({ "name": "pipeline", "role": "dev" });
        let created = service.post("/api/token", new).await;
        assert_eq!(created.status, 201, "{created:?}");
        let created = created.json();
        let token = created["token"].as_str().unwrap();
        assert_eq!(token.len(), 43, "256 bits");
        let create = async |name: &str| {
            let request = service.open(Method::POST, "/api/features").bearer_auth(token);
            send(request.json(&json!({ "name": name }))).await
        };
        create("f").await.is(201, json!({ "name": "f" }));
        assert_eq!(service.audited(1).await[0]["user"], "token:pipeline");
        service.running.store().access.flush_use().await.unwrap();
        let listed = service.get("/api/token").await;
        assert!(!listed.text.contains(token));
        let listed = listed.json()["tokens"].as_array().unwrap().last().unwrap().clone();
        assert_eq!(listed["id"], created["id"]);
        assert_eq!((&listed["name"], &listed["role"]), (&json!("pipeline"), &json!("dev")));
        assert_eq!(listed["created_by"], "token:admin");
        assert!(listed["last_used"].is_string() && listed["expires"].is_null(), "{listed}");
        let path = format!("/api/token/{}", created["id"]);
        service.delete(&path).await.is_empty();
        create("g").await.is_unauthenticated();
        service.delete(&path).await.is_problem(404, "token_not_found");
        assert_eq!(service.audited(1).await[0]["event"], "token.revoke");
    }
}

#[tokio::test]
async fn a_token_that_is_invalid_is_not_made() {
    let service = service(&[]).await;
    for body in [
        json!({ "name": "", "role": "dev" }),
        json!({ "name": "x", "role": "root" }),
        json!({ "name": "x" }),
        json!({ "role": "dev" }),
        json!({ "name": "x", "role": ["dev"] }),
        json!({ "name": "x", "role": "dev", "expires_at": "2020-01-01T00:00:00Z" }),
        json!({ "name": "x", "role": "dev", "expires_at": "tomorrow" }),
        json!({ "name": "x", "role": "dev", "expires": "2100-01-01T00:00:00Z" }),
        json!({ "name": "x\0", "role": "dev" }),
        json!([]),
    ] {
        let answer = service.post("/api/token", body.clone()).await;
        assert_eq!(answer.status, 400, "{body}: {answer:?}");
    }
    for id in ["0", "x", "-1", "99999999999999999999999"] {
        let status = service.delete(&format!("/api/token/{id}")).await.status.as_u16();
        assert!(matches!(status, 400 | 404), "{id}: {status}");
    }
}

#[tokio::test]
async fn whoever_may_not_switch_production_does_not_switch_it_off_by_deleting() {
    let service = service(&[("production-role", "admin")]).await;
    service.env("stage").await;
    let mut tokens = std::collections::HashMap::new();
    for role in ["admin", "qa", "dev"] {
        tokens.insert(role, service.token(role).await);
    }
    let delete = async |role: &str, path: &str| {
        let token = &tokens[role];
        send(service.open(Method::DELETE, &format!("/api/features/{path}")).bearer_auth(token))
            .await
    };
    for states in [&["ON"][..], &["ROLL:2"], &["ROLL:2", "PAUSE"]] {
        service.feature("live").await;
        for state in states {
            service.set("production", "live", state).await;
        }
        let before = service.audited(1).await;
        for role in ["dev", "qa"] {
            delete(role, "live").await.is_forbidden();
            delete(role, "live?hard=true").await.is_forbidden();
        }
        assert_eq!(service.audited(1).await, before);
        let listed = json!({ "features": [{ "name": "live" }] });
        service.public("/api/features").await.is(200, listed);
        delete("admin", "live").await.is_empty();
        // One that is deleted already stays as it is.
        delete("dev", "live").await.is_empty();
        delete("admin", "live?hard=true").await.is_empty();
    }
    // What is off in production switches nothing off there.
    service.feature("tried").await;
    service.set("stage", "tried", "ON").await;
    delete("dev", "tried").await.is_empty();
}

#[tokio::test]
async fn where_nobody_can_sign_in_a_page_names_no_provider_that_cannot_be_configured() {
    let service = service(&[]).await;
    let page = service.public("/ui").await;
    assert_eq!(page.status, 401);
    assert!(page.text.contains("configure sign-in") && !page.text.contains("GitHub"), "{page:?}");
}
