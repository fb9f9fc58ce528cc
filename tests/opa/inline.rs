//! With an OPA that the OPAL client starts, and starts again when it is killed.

use std::process::Command;

use libtest_mimic::Trial;

use crate::{
    engine::Synced,
    opal::{Opal, Store},
    peers::needs_opal,
    process::{starts, status},
    trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial("opal_an_inline_opa_that_is_killed_revokes_nobody", needs_opal(), killed)]
}

async fn killed() {
    let users = [("alice", "US"), ("bob", "UK")];
    let opal = Opal::start(Store::Inline, &users, &[]).await;
    let source = format!("{{id: policy, url: '{}'}}", opal.url);
    let synced = Synced::start(&source, &["us_users"], "resyncInterval: 50ms").await;
    synced.becomes("us_users", &["alice"]).await;
    let id = opal.inline().expect("an OPA that the client has started");
    let killed = Command::new("kill").args(["-9", &id.to_string()]).status().unwrap();
    assert!(killed.success());
    // It comes back with its policy, and a while later with its data.
    starts("another OPA", async || {
        assert!(synced.is("us_users", &["alice"]).await, "somebody was revoked");
        opal.inline().is_some_and(|other| other != id)
            && status(&format!("{}/health", opal.opa)).await == Some(200)
    })
    .await;
    starts("policy and data", async || {
        assert!(synced.is("us_users", &["alice"]).await, "somebody was revoked");
        let body = crate::process::send(
            http::Request::get(format!("{}/v1/data/users/alice", opal.opa))
                .body(Vec::new())
                .unwrap(),
        );
        body.await.is_some_and(|(_, body)| body.contains("US"))
    })
    .await;
    opal.push(&[("bob", "US")]).await;
    synced.becomes("us_users", &["bob"]).await;
}
