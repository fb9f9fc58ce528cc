//! `flagstaff watch`.

use serde_json::{Value, json};

use crate::{
    flagd, one_flag,
    program::Running,
    support::{flagd::Signal, ports::free_port},
};

#[tokio::test]
async fn states_and_changes_are_printed_as_they_come() {
    let mut flagd = flagd(&one_flag()).await;
    let port = flagd.port().to_string();
    let mut watch = Running::start(&["watch", "--json", "--deadline-ms", "10000", "--port", &port]);
    let mut event = async || -> Value { serde_json::from_str(&watch.line().await).unwrap() };

    let ready = event().await;
    assert_eq!((&ready["event"], &ready["flags"]), (&json!("ready"), &Value::Null));
    assert!(ready["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{ready}");
    flagd.edit_flags(|definition| definition["flags"]["flag"]["defaultVariant"] = json!("off"));
    let changed = event().await;
    assert_eq!((&changed["event"], &changed["flags"]), (&json!("changed"), &json!(["flag"])));
    flagd.kill();
    assert_eq!(event().await["event"], "stale");

    watch.signal(Signal::TERM);
    assert_eq!(watch.end().await.code(), Some(0));
}

#[tokio::test]
async fn people_get_lines() {
    let flagd = flagd(&one_flag()).await;
    let port = flagd.port().to_string();
    let mut watch = Running::start(&["watch", "--deadline-ms", "10000", "--port", &port]);
    assert!(watch.line().await.ends_with("Z ready"));
    flagd.edit_flags(|definition| definition["flags"]["flag"]["defaultVariant"] = json!("off"));
    assert!(watch.line().await.ends_with("Z changed flag"));
    watch.signal(Signal::INT);
    assert_eq!(watch.end().await.code(), Some(0));
}

#[tokio::test]
async fn an_unreachable_flagd_is_an_event_and_ends_nothing() {
    let port = free_port().to_string();
    let mut watch = Running::start(&["watch", "--json", "--host", "127.0.0.1", "--port", &port]);
    let error: Value = serde_json::from_str(&watch.line().await).unwrap();
    assert_eq!(error["event"], "error");
    assert!(error["message"].as_str().unwrap().contains(&port), "{error}");
    watch.signal(Signal::TERM);
    assert_eq!(watch.end().await.code(), Some(0));
}
