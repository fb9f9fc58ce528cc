//! With OPAL and an OPA of its own: callbacks.

use std::time::Instant;

use flagstaff::{
    ProviderEvent,
    optoggles::{Config, Engine},
};
use http::Request;
use libtest_mimic::Trial;
use serde_json::json;

use crate::{
    engine::{Synced, quoted},
    opa::{Opa, POLICY},
    opal::{Opal, Store},
    peers::needs_opal,
    process::send,
    support::{
        flagd::{FlagdCommand, FlagdProcess},
        provider::{near, ready},
        wait::{becomes_true, bounded},
    },
    trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("opal_changes_of_data_and_policy_reach_a_program", needs_opal(), changes),
        trial("opal_to_a_file_to_flagd_to_a_program", needs_opal(), through_flagd),
        trial("opal_callbacks_are_authenticated", needs_opal(), authenticated),
        trial("opal_forgets_the_callback_in_a_restart", needs_opal(), restart),
        trial("opal_is_started_late", needs_opal(), late),
        trial("opal_wants_tokens", needs_opal(), tokens),
        trial("opal_keeps_the_token_of_its_opa_secret", needs_opal(), excluded),
        trial("opal_with_an_opa_that_is_restarted_empty", needs_opal(), restarted_empty),
        trial("opal_two_engines_at_one_client", needs_opal(), two_engines),
    ]
}

const USERS: &[(&str, &str)] = &[("alice", "US"), ("bob", "UK")];

async fn external(users: &[(&str, &str)], more: &[(&str, &str)]) -> (Opa, Opal) {
    let opa = Opa::start(&[]).await;
    let opal = Opal::start(Store::External(&opa.url), users, more).await;
    (opa, opal)
}

fn source(opal: &Opal, more: &str) -> String {
    format!("{{id: policy, url: '{}/'{more}}}", opal.url)
}

/// Bob moves, and his flag is switched; the callback is removed at the end.
async fn changes() {
    let (_opa, opal) = external(USERS, &[]).await;
    // Nothing but callbacks may be what is noticed.
    let synced = Synced::start(&source(&opal, ""), &["us_users"], "resyncInterval: 0").await;
    synced.becomes("us_users", &["alice"]).await;
    let mut events = synced.provider.events();
    let pushed = Instant::now();
    opal.push(&[("alice", "US"), ("bob", "US"), ("carol", "UK")]).await;
    loop {
        let event = bounded("the flag to change", events.next()).await;
        if matches!(event, Some(ProviderEvent::ConfigurationChanged(_))) {
            break;
        }
    }
    println!("from the push to the event of the provider: {:?}", pushed.elapsed());
    synced.becomes("us_users", &["alice", "bob"]).await;
    opal.repository.commit(&POLICY.replace("\"US\"", "\"UK\""));
    synced.becomes("us_users", &["carol"]).await;
    assert_eq!(opal.callbacks().await.len(), 1);
    synced.running.shutdown().await;
    assert_eq!(opal.callbacks().await.len(), 0);
}

/// Through a file that a flagd watches: Bob moves, and his flag is switched off.
async fn through_flagd() {
    let (_opa, opal) = external(&[("alice", "US"), ("bob", "US")], &[]).await;
    let flagd = FlagdProcess::with(&json!({"flags": {}}))
        .command(FlagdCommand::found_or(env!("CARGO_BIN_EXE_flagstaff")).unwrap())
        .watching();
    let flagd = flagd.start().await.unwrap();
    let config = format!(
        "bind: 127.0.0.1:0\nmanagementBind: 127.0.0.1:0\nsources: [{}]\n\
         target: {{targetType: flagd, targetSpec: {{file: {}}}}}\n\
         toggles: [{{key: us, usersPolicy: {{source: policy, package: app.rbac, rule: us_users}}}}]\n",
        source(&opal, ""),
        quoted(&flagd.flags_path())
    );
    let running = Engine::from(Config::parse(&config).unwrap()).start().await.unwrap();
    let provider = ready(near(flagd.port())).await;
    let synced = Synced { running, provider };
    synced.becomes("us", &["alice", "bob"]).await;
    let pushed = Instant::now();
    opal.push(&[("alice", "US"), ("bob", "UK")]).await;
    synced.becomes("us", &["alice"]).await;
    println!("from the push to an evaluation, through a file and flagd: {:?}", pushed.elapsed());
}

async fn authenticated() {
    let (_opa, opal) = external(USERS, &[]).await;
    let synced = Synced::start(&source(&opal, ""), &["us_users"], "").await;
    synced.becomes("us_users", &["alice"]).await;
    let url = format!("http://{}/opa_update", synced.address());
    let callback = &opal.callbacks().await[0];
    let token = callback["config"]["headers"]["Authorization"].as_str().unwrap();
    let call = async |method: &str, token: Option<&str>| {
        let mut request = Request::builder().method(method).uri(&url);
        if let Some(token) = token {
            request = request.header("authorization", token);
        }
        send(request.body(Vec::from("{\"secret\": 1}")).unwrap()).await.unwrap()
    };
    assert_eq!(call("POST", Some(token)).await, (200, "{}".to_owned()));
    assert_eq!(call("POST", None).await.0, 401);
    assert_eq!(call("POST", Some("Bearer made.up")).await.0, 401);
    let bare = token.strip_prefix("Bearer ").unwrap();
    assert_eq!(call("POST", Some(bare)).await.0, 401);
    assert_eq!(call("GET", Some(token)).await.0, 405);
}

async fn restart() {
    let (_opa, mut opal) = external(USERS, &[]).await;
    let synced = Synced::start(&source(&opal, ""), &["us_users"], "resyncInterval: 0").await;
    synced.becomes("us_users", &["alice"]).await;
    opal.stop_client();
    opal.data.set(&[("bob", "US")]);
    opal.restart_client().await;
    // Registered again, which counts as a change: nothing else would tell.
    synced.becomes("us_users", &["bob"]).await;
    assert_eq!(opal.callbacks().await.len(), 1);
    opal.push(&[("carol", "US")]).await;
    synced.becomes("us_users", &["carol"]).await;
}

async fn late() {
    let (_opa, mut opal) = external(USERS, &[]).await;
    opal.stop_client();
    let synced = Synced::start(&source(&opal, ""), &["us_users"], "").await;
    becomes_true("the source to fail", async || synced.status().await.sources[0].failure.is_some())
        .await;
    opal.restart_client().await;
    synced.becomes("us_users", &["alice"]).await;
    assert!(synced.status().await.healthy);
}

/// With JSON web tokens: without one, with a wrong one, and with the right one.
async fn tokens() {
    let opa = Opa::start(&[]).await;
    let opal = Opal::start_with(Store::External(&opa.url), USERS, &[], true).await;
    for more in ["", ", token: hush"] {
        let synced = Synced::start(&source(&opal, more), &["us_users"], "").await;
        becomes_true("the token to be rejected", async || {
            let failure = synced.status().await.sources[0].failure.clone();
            failure.is_some_and(|failure| {
                failure.kind == "permanent"
                    && failure.error.contains("401")
                    && !failure.error.contains("hush")
            })
        })
        .await;
    }
    let more = format!(", token: '{}'", opal.listener());
    let synced = Synced::start(&source(&opal, &more), &["us_users"], "").await;
    synced.becomes("us_users", &["alice"]).await;
    opal.push(&[("bob", "US")]).await;
    synced.becomes("us_users", &["bob"]).await;
}

/// OPA wants a token that OPAL does not tell.
async fn excluded() {
    let directory = tempfile::tempdir().unwrap();
    let authorization = directory.path().join("authz.rego");
    let allowed = "package system.authz\n\nimport rego.v1\n\ndefault allow := false\n\n\
        allow if input.identity == \"hush\"\n\nallow if input.path == [\"health\"]\n";
    std::fs::write(&authorization, allowed).unwrap();
    let file = authorization.to_str().unwrap();
    let opa = Opa::start(&["--authentication=token", "--authorization=basic", file]).await;
    let options = [
        ("OPAL_POLICY_STORE_AUTH_TYPE", "token"),
        ("OPAL_POLICY_STORE_AUTH_TOKEN", "hush"),
        ("OPAL_EXCLUDE_POLICY_STORE_SECRETS", "true"),
        // OPAL would replace the policy that decides about the token.
        ("OPAL_POLICY_STORE_POLICY_PATHS_TO_IGNORE", "system/**"),
    ];
    let opal = Opal::start(Store::External(&opa.url), USERS, &options).await;
    let synced = Synced::start(&source(&opal, ""), &["us_users"], "").await;
    synced
        .says("us_users", "the remedy", |toggle| {
            toggle.failure.as_ref().is_some_and(|failure| failure.error.contains("set `opaToken`"))
        })
        .await;
    let synced = Synced::start(&source(&opal, ", opaToken: hush"), &["us_users"], "").await;
    synced.becomes("us_users", &["alice"]).await;
}

/// Nobody fills it again before something triggers that.
async fn restarted_empty() {
    let (mut opa, opal) = external(USERS, &[]).await;
    let synced = Synced::start(&source(&opal, ""), &["us_users"], "resyncInterval: 1s").await;
    synced.becomes("us_users", &["alice"]).await;
    opa.restart().await;
    synced.says("us_users", "the rule to be undefined", |toggle| toggle.failure.is_some()).await;
    // A commit loads the policy, and not the data.
    opal.repository.commit(&format!("{POLICY}\n# changed\n"));
    synced.says("us_users", "the empty set to wait", |toggle| toggle.empty_for.is_some()).await;
    assert!(synced.is("us_users", &["alice"]).await);
    opal.push(&[("alice", "US"), ("bob", "US")]).await;
    synced.becomes("us_users", &["alice", "bob"]).await;
}

/// In the original, two sources at one client overwrote each other's callback.
async fn two_engines() {
    let (_opa, opal) = external(USERS, &[]).await;
    let first = Synced::start(&source(&opal, ""), &["us_users"], "resyncInterval: 0").await;
    let second =
        Synced::start(&source(&opal, ""), &["us_users"], "instance: other\nresyncInterval: 0")
            .await;
    first.becomes("us_users", &["alice"]).await;
    second.becomes("us_users", &["alice"]).await;
    assert_eq!(opal.callbacks().await.len(), 2);
    opal.push(&[("bob", "US")]).await;
    first.becomes("us_users", &["bob"]).await;
    second.becomes("us_users", &["bob"]).await;
    first.running.shutdown().await;
    assert_eq!(opal.callbacks().await.len(), 1);
}
