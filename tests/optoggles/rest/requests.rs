//! What a REST service is sent.

use flagstaff::optoggles::{Removal, ToggleTarget as _};
use serde_json::json;

use super::{Does, Service};
use crate::{
    engine::{in_step, resync, start, toggle},
    policy::{Policy, users},
    support::wait::eventually,
};

#[tokio::test]
async fn a_toggle_is_created_and_then_updated() {
    let service = Service::start().await;
    let policy = Policy::new([("us", "bob al")]);
    let toggle = toggle("us").with("team", "a").with("limits", json!({"max": {"a": [1]}}));
    let running = start(&policy, service.target().build().unwrap(), [toggle]).await;
    in_step(&running, "us").await;
    policy.set("us", "");
    eventually("nobody", || service.users("us") == Some(json!([]))).await;
    running.shutdown().await;
    let limits = json!({"max": {"a": [1]}});
    let sent = service.sent("");
    let seen: Vec<_> =
        sent.iter().map(|sent| (&*sent.method, &*sent.path, sent.body.clone())).collect();
    assert_eq!(
        seen,
        [
            ("POST", "/toggles", json!({"key": "us", "team": "a", "limits": limits})),
            (
                "PATCH",
                "/toggles/us",
                json!({"users": ["al", "bob"], "team": "a", "limits": limits})
            ),
            ("PATCH", "/toggles/us", json!({"users": [], "team": "a", "limits": limits})),
        ]
    );
    assert!(sent.iter().all(|sent| sent.headers["content-type"] == "application/json"));
}

#[tokio::test]
async fn each_request_has_the_headers() {
    let service = Service::start().await;
    let target = service.target().header("Authorization", "Bearer hush").header("x-team", "a");
    let target = target.build().unwrap();
    let toggle = toggle("us");
    target.prepare(&toggle).await.unwrap();
    target.write(&toggle, &users("bob")).await.unwrap();
    target.remove(&toggle, Removal::SwitchOff).await.unwrap();
    target.remove(&toggle, Removal::Delete).await.unwrap();
    target.check().await.unwrap();
    let sent = service.sent("");
    let methods: Vec<_> = sent.iter().map(|sent| &*sent.method).collect();
    assert_eq!(methods, ["POST", "PATCH", "PATCH", "DELETE", "GET"]);
    for sent in sent {
        assert_eq!(sent.headers["authorization"], "Bearer hush");
        assert_eq!(sent.headers["x-team"], "a");
    }
}

#[tokio::test]
async fn the_spec_overrides_neither_the_key_nor_the_users() {
    let service = Service::start().await;
    let target = service.target().build().unwrap();
    let toggle = toggle("us").with("users", json!(["mallory"])).with("key", "admin");
    target.prepare(&toggle).await.unwrap();
    target.write(&toggle, &users("bob")).await.unwrap();
    assert_eq!(service.sent("POST")[0].body["key"], "us");
    assert_eq!(service.users("us"), Some(json!(["bob"])));
}

#[tokio::test]
async fn a_key_is_escaped() {
    let service = Service::start().await;
    let target = service.target().build().unwrap();
    for (key, path) in [
        ("a b", "/toggles/a%20b"),
        ("a/b", "/toggles/a%2Fb"),
        ("?a=b", "/toggles/%3Fa%3Db"),
        ("a#b", "/toggles/a%23b"),
        ("50%", "/toggles/50%25"),
        ("ä", "/toggles/%C3%A4"),
        ("a-b_c.d~e", "/toggles/a-b_c.d~e"),
        ("...", "/toggles/..."),
    ] {
        target.write(&toggle(key), &users("bob")).await.unwrap();
        assert_eq!(service.sent("PATCH").pop().unwrap().path, path);
    }
    let before = service.sent("").len();
    for key in ["", ".", ".."] {
        let failure = target.write(&toggle(key), &users("bob")).await.unwrap_err().to_string();
        let expected = format!("`{key}` cannot be a part of the URLs below {}", service.url);
        assert_eq!(failure, expected);
    }
    assert_eq!(service.sent("").len(), before);
}

#[tokio::test]
async fn a_url_that_is_of_no_use_is_an_error() {
    for (url, expected) in [
        ("toggles.example", "`toggles.example` is not a valid URL"),
        ("ftp://toggles.example", "is not a valid URL"),
        ("http://", "is not a valid URL"),
        ("http://toggles.example/?key=hush", "`http://toggles.example/` cannot be a base URL"),
    ] {
        let error = flagstaff::optoggles::RestTarget::builder(url).build().unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains("hush"), "{error}");
    }
    let builder = flagstaff::optoggles::RestTarget::builder("http://toggles.example");
    let error = builder.header("x-team", "hush\n").build().unwrap_err().to_string();
    assert!(error.contains("header `x-team`") && !error.contains("hush"), "{error}");
}

#[tokio::test]
async fn nothing_is_sent_when_nothing_changed() {
    let service = Service::start().await;
    let policy = Policy::new([("us", "bob"), ("eu", "al")]);
    let toggles = [toggle("us"), toggle("eu")];
    let running = start(&policy, service.target().build().unwrap(), toggles).await;
    in_step(&running, "us").await;
    in_step(&running, "eu").await;
    policy.set("us", "bob");
    policy.set("eu", "al eve");
    eventually("the change", || service.users("eu") == Some(json!(["al", "eve"]))).await;
    resync(&running, "us").await;
    running.shutdown().await;
    assert_eq!(service.sent("").len(), 2 + 2 + 1);
}

#[tokio::test]
async fn what_is_gone_already_is_removed() {
    let service = Service::start().await;
    service.does(|_| Does::Status(404));
    let target = service.target().build().unwrap();
    for removal in [Removal::SwitchOff, Removal::Delete] {
        target.remove(&toggle("us"), removal).await.unwrap();
    }
    target.write(&toggle("us"), &users("bob")).await.unwrap_err();
}
