//! With OPA alone: polling.

use std::time::Duration;

use flagstaff::optoggles::{Config, Engine, PlannedAction};
use libtest_mimic::Trial;

use crate::{
    engine::{Synced, never, quoted},
    opa::{Opa, POLICY},
    peers::needs_opa,
    process::status,
    trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("opa_a_change_of_data_or_policy_reaches_a_program", needs_opa(), changes),
        trial("opa_an_undefined_rule_revokes_nobody", needs_opa(), undefined),
        trial("opa_that_has_lost_its_data_revokes_nobody", needs_opa(), lost_data),
        trial("opa_with_its_data_loaded_may_revoke_everybody_at_once", needs_opa(), vouched),
        trial("opa_is_started_late_and_stopped", needs_opa(), late),
        trial("opa_wants_a_token", needs_opa(), token),
        trial("opa_adds_a_decision_id", needs_opa(), decision_id),
        trial("opa_answers_with_something_else_than_a_set_of_names", needs_opa(), not_a_set),
        trial("opa_plan_and_live_check", needs_opa(), plan),
    ]
}

/// A source that is polled often.
fn source(opa: &Opa, more: &str) -> String {
    format!("{{id: policy, sourceType: opa, url: '{}/', pollInterval: 50ms{more}}}", opa.url)
}

async fn changes() {
    let opa = Opa::with(&[("alice", "US"), ("bob", "UK")]).await;
    let synced = Synced::start(&source(&opa, ""), &["us_users"], "").await;
    synced.becomes("us_users", &["alice"]).await;
    opa.put_users(&[("alice", "US"), ("bob", "US"), ("carol", "UK")]).await;
    synced.becomes("us_users", &["alice", "bob"]).await;
    opa.put_policy(&POLICY.replace("\"US\"", "\"UK\"")).await;
    synced.becomes("us_users", &["carol"]).await;
    let status = synced.status().await;
    assert!(status.started && status.healthy, "{status:?}");
    assert_eq!(status.toggles[0].users, Some(1));
    synced.running.shutdown().await;
}

async fn undefined() {
    let opa = Opa::with(&[("alice", "US")]).await;
    let synced = Synced::start(&source(&opa, ""), &["us_users"], "").await;
    synced.becomes("us_users", &["alice"]).await;
    opa.put_policy("package other\n").await;
    synced
        .says("us_users", "the rule to be undefined", |toggle| {
            toggle.failure.as_ref().is_some_and(|failure| failure.kind == "undefined")
        })
        .await;
    assert!(synced.is("us_users", &["alice"]).await);
    assert!(!synced.status().await.healthy);
    opa.put_policy(POLICY).await;
    synced.says("us_users", "the rule to be defined", |toggle| toggle.failure.is_none()).await;
    assert!(synced.status().await.healthy);
}

/// Restarted, with its policy and without its data: the rule is an empty set.
async fn lost_data() {
    let mut opa = Opa::with(&[("alice", "US")]).await;
    let synced = Synced::start(&source(&opa, ""), &["us_users"], "emptyConfirmation: 1h").await;
    synced.becomes("us_users", &["alice"]).await;
    opa.restart().await;
    opa.put_policy(POLICY).await;
    synced.says("us_users", "the empty set to wait", |toggle| toggle.empty_for.is_some()).await;
    assert!(synced.is("us_users", &["alice"]).await);
    opa.put_users(&[("alice", "US"), ("bob", "US")]).await;
    synced.becomes("us_users", &["alice", "bob"]).await;
    synced.says("us_users", "nothing to wait", |toggle| toggle.empty_for.is_none()).await;
}

async fn vouched() {
    let mut opa = Opa::with(&[("alice", "US")]).await;
    let source = source(&opa, ", guard: [users]");
    let synced = Synced::start(&source, &["us_users"], "emptyConfirmation: 1h").await;
    synced.becomes("us_users", &["alice"]).await;
    // Without its data, the guard is undefined.
    opa.restart().await;
    opa.put_policy(POLICY).await;
    synced.says("us_users", "the answer not to count", |toggle| toggle.failure.is_some()).await;
    assert!(synced.is("us_users", &["alice"]).await);
    opa.put_users(&[("alice", "UK")]).await;
    synced.becomes("us_users", &[]).await;
}

async fn late() {
    let mut opa = Opa::start(&[]).await;
    opa.stop();
    let synced = Synced::start(&source(&opa, ""), &["us_users"], "").await;
    synced.says("us_users", "the source to fail", |toggle| toggle.failure.is_some()).await;
    let health = format!("http://{}/health", synced.address());
    assert_eq!(status(&format!("{health}/live")).await, Some(200));
    assert_eq!(status(&format!("{health}/started")).await, Some(200), "everything was tried");
    assert_eq!(status(&health).await, Some(500));
    opa.restart().await;
    opa.put_policy(POLICY).await;
    opa.put_users(&[("bob", "US")]).await;
    synced.becomes("us_users", &["bob"]).await;
    assert_eq!(status(&health).await, Some(200));
    opa.stop();
    synced.says("us_users", "the source to fail", |toggle| toggle.failure.is_some()).await;
    assert!(synced.is("us_users", &["bob"]).await);
}

async fn token() {
    let directory = tempfile::tempdir().unwrap();
    let authorization = directory.path().join("authz.rego");
    let allowed = "package system.authz\n\nimport rego.v1\n\ndefault allow := false\n\n\
        allow if input.identity == \"hush\"\n\nallow if input.path == [\"health\"]\n";
    std::fs::write(&authorization, allowed).unwrap();
    let rbac = directory.path().join("rbac.rego");
    std::fs::write(&rbac, POLICY).unwrap();
    let data = directory.path().join("data.json");
    std::fs::write(&data, r#"{"users": {"bob": {"location": {"country": "US"}}}}"#).unwrap();
    let files = [&authorization, &rbac, &data].map(|path| path.to_str().unwrap());
    let options = ["--authentication=token", "--authorization=basic", files[0], files[1], files[2]];
    let opa = Opa::start(&options).await;
    // A token that is rejected at first, and renewed in its file.
    let file = directory.path().join("token");
    std::fs::write(&file, "wrong\n").unwrap();
    let source = source(&opa, &format!(", tokenFile: {}", quoted(&file)));
    let synced = Synced::start(&source, &["us_users"], "").await;
    synced
        .says("us_users", "the token to be rejected", |toggle| {
            toggle.failure.as_ref().is_some_and(|failure| {
                failure.kind == "permanent"
                    && failure.error.contains("401")
                    && !failure.error.contains("wrong")
            })
        })
        .await;
    std::fs::write(&file, "hush\n").unwrap();
    synced.becomes("us_users", &["bob"]).await;
}

/// A member of OPA's answer that comes and goes, with the logs of decisions switched on.
async fn decision_id() {
    let opa = Opa::start(&["--set=decision_logs.console=true"]).await;
    opa.put_policy(POLICY).await;
    opa.put_users(&[("bob", "US")]).await;
    let answer = crate::process::send(
        http::Request::get(format!("{}/v1/data/app/rbac/us_users", opa.url))
            .body(Vec::new())
            .unwrap(),
    );
    let (_, body) = answer.await.unwrap();
    assert!(body.contains("decision_id"), "{body}");
    let synced = Synced::start(&source(&opa, ""), &["us_users"], "").await;
    synced.becomes("us_users", &["bob"]).await;
}

async fn not_a_set() {
    let opa = Opa::with(&[("alice", "US"), ("bob", "US")]).await;
    let rules = ["not_a_set", "numbers", "us_users"];
    let synced = Synced::start(&source(&opa, ""), &rules, "").await;
    // They keep none of the others from being written.
    synced.becomes("us_users", &["alice", "bob"]).await;
    for rule in ["not_a_set", "numbers"] {
        synced
            .says(rule, "the value to be rejected", |toggle| {
                toggle.failure.as_ref().is_some_and(|failure| {
                    failure.error.contains("expected an array of strings")
                        && !failure.error.contains("alice")
                })
            })
            .await;
        assert_eq!(synced.is_on(rule, "alice").await, None);
    }
    never("a flag for what is no set", Duration::from_millis(300), async || {
        synced.is_on("numbers", "1").await.is_some()
    })
    .await;
}

async fn plan() {
    let opa = Opa::with(&[("alice", "US"), ("bob", "UK")]).await;
    let file = opa.directory().join("flags.json");
    let config = format!(
        "bind: 127.0.0.1:0\nmanagementBind: 127.0.0.1:0\nmaxRemoved: 0.5\nsources: [{}]\ntargets:\n\
         - {{id: file, targetType: flagd, targetSpec: {{file: {}}}}}\n\
         - {{id: rest, targetType: restapi, targetSpec: {{endpointUrl: 'http://127.0.0.1:1'}}}}\n\
         toggles: [{{key: us, usersPolicy: {{source: policy, package: app.rbac, rule: us_users}}}}]\n",
        source(&opa, ""),
        quoted(&file)
    );
    let engine = || Engine::from(Config::parse(&config).unwrap());
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let change = |added, removed, held_back| {
        let (added, removed) = (names(added), names(removed));
        PlannedAction::Change { added, removed, held_back }
    };
    let plan = engine().plan().await.unwrap();
    assert_eq!(plan.changes[0].action, change(&["alice"], &[], false));
    assert_eq!(plan.changes[1].action, PlannedAction::Write { users: names(&["alice"]) });
    assert!(plan.changes_anything() && plan.is_complete());
    assert!(!file.exists(), "a plan writes nothing");

    let running = engine().start().await.unwrap();
    crate::support::wait::eventually("the file to be written", || file.exists()).await;
    running.shutdown().await;
    let plan = engine().plan().await.unwrap();
    assert_eq!(plan.changes[0].action, PlannedAction::Nothing);
    opa.put_users(&[("alice", "UK"), ("bob", "US")]).await;
    let plan = engine().plan().await.unwrap();
    assert_eq!(plan.changes[0].action, change(&["bob"], &["alice"], true));

    let failures = engine().check().await.unwrap();
    let failed: Vec<_> = failures.iter().map(ToString::to_string).collect();
    assert_eq!(failed, ["target `rest`"], "{failures:?}");
}
