//! Many clients at once, and updates meanwhile.

use std::{
    env,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
};

use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    client::{event, events, serve, v1 as client_v1},
    support::{
        memory::resident,
        proto::v1,
        wait::{bounded, eventually},
    },
};

/// Each is notified of the last change.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_event_streams() {
    let server = serve().await;
    let mut streams = Vec::new();
    for _ in 0..10 {
        let mut client = client_v1(&server).await;
        for _ in 0..100 {
            streams.push(events(&mut client, "").await);
        }
    }
    for round in 0..20 {
        server.flags().set_value("bool", round).unwrap();
    }
    server.flags().set_value("last", true).unwrap();
    let mut tasks = JoinSet::new();
    for mut stream in streams {
        tasks.spawn(async move {
            loop {
                let (kind, data) = event(&mut stream).await;
                assert_eq!(kind, "configuration_change");
                let told = data["flags"].as_object().expect("the keys");
                if told.contains_key("last") {
                    return;
                }
            }
        });
    }
    bounded("all clients to be notified", tasks.join_all()).await;
}

/// Whether this process runs this test alone; otherwise the test starts such a process, in which no
/// other test uses memory.
fn is_alone(test: &str) -> bool {
    const ALONE: &str = "FLAGSTAFF_TEST_ALONE";
    if env::var_os(ALONE).is_some() {
        return true;
    }
    let mut program = Command::new(env::current_exe().unwrap());
    let output = program.args(["--exact", test]).env(ALONE, "1").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    false
}

/// Neither 1,000 updates over 1,000 streams nor a client that reads none of them fill the memory.
#[tokio::test(flavor = "multi_thread")]
async fn memory_stays_level() {
    if !is_alone("load::memory_stays_level") {
        return;
    }
    let server = serve().await;
    let stuck = crate::limits::hostile::stuck_stream(&server).await;
    let mut tasks = JoinSet::new();
    for _ in 0..10 {
        let mut client = client_v1(&server).await;
        for _ in 0..100 {
            let mut stream = events(&mut client, "").await;
            tasks.spawn(async move { while let Ok(Some(_)) = stream.message().await {} });
        }
    }
    let mut stream = events(&mut client_v1(&server).await, "").await;
    server.flags().set_value("long", "").unwrap();
    event(&mut stream).await;
    let mut memory = 0;
    for round in 1..=1000 {
        // Large enough to show if former flags were kept.
        let text = format!("{round:0>50000}");
        server.flags().set_value("long", text).unwrap();
        if round % 20 == 0 {
            let (_, data) = event(&mut stream).await;
            assert_eq!(data, json!({"flags": {"long": {"type": "update"}}}), "{round}");
        }
        if round == 100 {
            memory = resident();
        }
    }
    let grown = resident().saturating_sub(memory);
    assert!(grown < 24 << 20, "memory grew by {grown} bytes in 900 updates");
    assert_eq!(tasks.len(), 1000);
    drop(stuck);
}

/// No request hangs, and none sees a part of an update.
#[tokio::test(flavor = "multi_thread")]
async fn updates_during_evaluations() {
    let server = serve().await;
    let set = |round: u32| {
        // Two flags of one update always have the same value.
        let changed = server.flags().update(|draft| {
            draft.set_value("a", round).set_value("b", round);
        });
        changed.unwrap();
    };
    set(0);
    let done = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    let mut answers = Vec::new();
    for _ in 0..8 {
        let (mut client, done) = (client_v1(&server).await, done.clone());
        let answered = Arc::<AtomicU32>::default();
        answers.push(answered.clone());
        tasks.spawn(async move {
            let mut seen = 0.0;
            while !done.load(Relaxed) {
                let answer = client.resolve_all(v1::ResolveAllRequest::default()).await.unwrap();
                let flags = answer.into_inner().flags;
                let value = |key: &str| match flags[key].value {
                    Some(v1::any_flag::Value::DoubleValue(value)) => value,
                    ref other => panic!("{other:?}"),
                };
                assert_eq!(value("a"), value("b"), "a torn set");
                assert!(value("a") >= seen, "an older set");
                seen = value("a");
                answered.fetch_add(1, Relaxed);
            }
        });
    }
    for round in 1..=1000 {
        set(round);
        if round % 50 == 0 {
            for answered in &answers {
                let before = answered.load(Relaxed);
                eventually("another answer", || answered.load(Relaxed) > before).await;
            }
        }
    }
    done.store(true, Relaxed);
    bounded("the tasks", tasks.join_all()).await;
    assert_eq!(server.flags().set("a", json!(1)).map_err(|_| ()), Err(()));
}
