//! What the original did wrong, one test for each of its defects that a source has to do with. Those of
//! targets are in `tests/optoggles`.

use flagstaff::optoggles::{Config, Engine};
use libtest_mimic::Trial;

use crate::{
    engine::Synced,
    opa::{Opa, POLICY},
    opal::{Opal, Store},
    peers::{needs_opa, needs_opal},
    process::status,
    support::{
        ports::{free_port, listen},
        wait::becomes_true,
    },
    trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(
            "defect_an_undefined_rule_at_start_ends_the_program",
            needs_opa(),
            undefined_at_start,
        ),
        trial("defect_one_failing_toggle_blocks_all_others", needs_opa(), failing_toggle),
        trial("defect_health_flags_are_shared_by_all_sources", needs_opa(), shared_health),
        trial("defect_a_result_of_null_is_written", needs_opa(), null),
        trial("defect_there_are_no_timeouts", needs_opa(), no_timeouts),
        trial("defect_two_sources_at_one_opal_client", needs_opal(), two_sources),
    ]
}

fn source(id: &str, url: &str) -> String {
    format!("{{id: {id}, sourceType: opa, url: '{url}', pollInterval: 50ms}}")
}

async fn undefined_at_start() {
    let opa = Opa::start(&[]).await;
    let synced = Synced::start(&source("policy", &opa.url), &["us_users"], "").await;
    synced
        .says("us_users", "the rule to be undefined", |toggle| {
            toggle.failure.as_ref().is_some_and(|failure| failure.kind == "undefined")
        })
        .await;
    assert_eq!(synced.is_on("us_users", "alice").await, None, "nothing is written");
    opa.put_policy(POLICY).await;
    opa.put_users(&[("alice", "US")]).await;
    synced.becomes("us_users", &["alice"]).await;
}

async fn failing_toggle() {
    let opa = Opa::with(&[("alice", "US")]).await;
    let rules = ["numbers", "us_users", "no_such_rule"];
    let synced = Synced::start(&source("policy", &opa.url), &rules, "").await;
    synced.becomes("us_users", &["alice"]).await;
    opa.put_users(&[("bob", "US")]).await;
    synced.becomes("us_users", &["bob"]).await;
    let status = synced.status().await;
    let failing: Vec<_> = status.toggles.iter().map(|toggle| toggle.failure.is_some()).collect();
    assert_eq!(failing, [true, false, true]);
}

/// Two sources, of which one is down.
async fn shared_health() {
    let opa = Opa::with(&[("alice", "US")]).await;
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let port = free_port();
    let config = format!(
        "bind: 127.0.0.1:0\nmanagementBind: 127.0.0.1:0\nsources: [{}, {}]\n\
         target: {{targetType: flagd, targetSpec: {{evaluationBind: '127.0.0.1:{port}'}}}}\ntoggles:\n\
         - {{key: a, usersPolicy: {{source: up, package: app.rbac, rule: us_users}}}}\n\
         - {{key: b, usersPolicy: {{source: down, package: app.rbac, rule: us_users}}}}\n",
        source("up", &opa.url),
        source("down", &nobody)
    );
    let running = Engine::from(Config::parse(&config).unwrap()).start().await.unwrap();
    running.started().await;
    becomes_true("both to be told apart", async || {
        let status = running.status().await.unwrap();
        let failing: Vec<_> =
            status.sources.iter().map(|source| (&*source.id, source.failing)).collect();
        failing == [("up", 0), ("down", 1)] && status.toggles[0].targets[0].in_step.is_some()
    })
    .await;
    let url = format!("http://{}/metrics", running.management_address().unwrap());
    let request = http::Request::get(url).body(Vec::new()).unwrap();
    let (_, metrics) = crate::process::send(request).await.unwrap();
    assert!(metrics.contains("flagstaff_optoggles_source_up{source=\"up\"} 1"), "{metrics}");
    assert!(metrics.contains("flagstaff_optoggles_source_up{source=\"down\"} 0"), "{metrics}");
    let health = format!("http://{}/health", running.address().unwrap());
    assert_eq!(status(&health).await, Some(500));
}

async fn null() {
    let opa = Opa::with(&[("alice", "US")]).await;
    let synced = Synced::start(&source("policy", &opa.url), &["us_users"], "").await;
    synced.becomes("us_users", &["alice"]).await;
    opa.put_policy("package app.rbac\n\nus_users := null\n").await;
    synced.says("us_users", "the value not to count", |toggle| toggle.failure.is_some()).await;
    assert!(synced.is("us_users", &["alice"]).await);
}

/// A source that accepts connections, and never answers.
async fn no_timeouts() {
    let silent = listen();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let synced = Synced::start(&source("policy", &url), &["us_users"], "").await;
    synced
        .says("us_users", "the question to time out", |toggle| {
            let failure = toggle.failure.as_ref();
            failure.is_some_and(|failure| failure.error.contains("did not respond within 10s"))
        })
        .await;
    drop(silent);
}

/// Two sources of one engine, and two toggles.
async fn two_sources() {
    let opa = Opa::start(&[]).await;
    let opal = Opal::start(Store::External(&opa.url), &[("alice", "US")], &[]).await;
    let port = free_port();
    let source = |id: &str| format!("{{id: {id}, url: '{}'}}", opal.url);
    let config = format!(
        "bind: 127.0.0.1:0\nmanagementBind: 127.0.0.1:0\nresyncInterval: 0\nsources: [{}, {}]\n\
         target: {{targetType: flagd, targetSpec: {{evaluationBind: '127.0.0.1:{port}'}}}}\ntoggles:\n\
         - {{key: a, usersPolicy: {{source: one, package: app.rbac, rule: us_users}}}}\n\
         - {{key: b, usersPolicy: {{source: two, package: app.rbac, rule: us_users}}}}\n",
        source("one"),
        source("two")
    );
    let running = Engine::from(Config::parse(&config).unwrap()).start().await.unwrap();
    let users = async |count: usize| {
        becomes_true("both toggles to follow", async || {
            let status = running.status().await.unwrap();
            status.toggles.iter().all(|toggle| toggle.users == Some(count))
        })
        .await;
    };
    users(1).await;
    assert_eq!(opal.callbacks().await.len(), 2);
    opal.push(&[("alice", "US"), ("bob", "US")]).await;
    users(2).await;
    running.shutdown().await;
    assert_eq!(opal.callbacks().await.len(), 0);
}
