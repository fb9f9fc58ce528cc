//! The flagd target: a file that is written as a whole, an embedded server, and a source of flags.

use std::{fs, path::Path};

use flagstaff::{
    FlagdOptions, FlagdProvider,
    optoggles::{FlagdTarget, Held, ToggleTarget as _},
    server::Server,
};
use open_feature::{EvaluationContext, provider::FeatureProvider as _};

use crate::{
    engine::{failure, in_step, start, toggle},
    policy::{Policy, users},
    support::{
        provider::{near, ready},
        wait::{becomes_true, eventually},
    },
};

/// Whether the flag is on for a user; `None` if there is no flag.
pub async fn is_on(provider: &FlagdProvider, flag: &str, user: &str) -> Option<bool> {
    let context = EvaluationContext::default().with_targeting_key(user);
    provider.resolve_bool_value(flag, &context).await.ok().map(|details| details.value)
}

/// What tells one writing of a file from another.
fn inode(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;

    fs::metadata(path).unwrap().ino()
}

#[tokio::test]
async fn a_file_of_a_former_run_is_taken_over_and_not_written_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flags.json");
    let target = || FlagdTarget::builder().file(&path).build();
    let policy = Policy::new([("a", "alice bob"), ("b", "")]);
    let first = start(&policy, target(), [toggle("a"), toggle("b")]).await;
    in_step(&first, "a").await;
    in_step(&first, "b").await;
    first.shutdown().await;
    let former = (inode(&path), fs::read(&path).unwrap());

    let second = start(&policy, target(), [toggle("a"), toggle("b")]).await;
    in_step(&second, "a").await;
    in_step(&second, "b").await;
    assert_eq!((inode(&path), fs::read(&path).unwrap()), former);
    policy.set("a", "alice");
    eventually("the change", || fs::read_to_string(&path).unwrap().contains(r#"["alice"]"#)).await;
    assert_ne!(inode(&path), former.0, "replaced as a whole");
    let names: Vec<_> = fs::read_dir(directory.path()).unwrap().collect();
    assert_eq!(names.len(), 1, "nothing else is left: {names:?}");
}

#[tokio::test]
async fn a_file_of_somebody_else_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flags.json");
    let text =
        r#"{"flags": {"mine": {"state": "ENABLED", "variants": {"x": 1}, "defaultVariant": "x"}}}"#;
    fs::write(&path, text).unwrap();
    let policy = Policy::new([("a", "alice")]);
    let running = start(&policy, FlagdTarget::builder().file(&path).build(), [toggle("a")]).await;
    let failure = failure(&running, "a").await;
    assert_eq!(failure.kind, "permanent");
    assert!(failure.error.contains("give the target a file of its own"), "{}", failure.error);
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[tokio::test]
async fn what_is_too_long_is_reported_and_the_rest_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flags.json");
    let long = "x".repeat(64 << 20);
    let policy = Policy::new([("long", &long), ("a", "alice")]);
    let target = FlagdTarget::builder().file(&path).build();
    let running = start(&policy, target, [toggle("long"), toggle("a")]).await;
    let failure = failure(&running, "long").await;
    assert!(failure.error.contains("67108864 at most"), "{}", failure.error);
    in_step(&running, "a").await;
    assert!(fs::read_to_string(&path).unwrap().contains("alice"));
}

#[tokio::test]
async fn an_embedded_server_serves_the_flags_of_the_file_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flags.json");
    let policy = Policy::new([("a", "alice")]);
    let target = FlagdTarget::builder().file(&path).build();
    let running = start(&policy, target, [toggle("a")]).await;
    in_step(&running, "a").await;
    running.shutdown().await;

    // A policy that does not answer any more.
    let nobody = Policy::new([]);
    let server = Server::builder().ephemeral().bind().await.unwrap();
    let port = server.evaluation_addr().unwrap().port();
    let target = FlagdTarget::builder().file(&path).server(server).build();
    let running = start(&nobody, target, [toggle("a")]).await;
    let provider = ready(near(port)).await;
    becomes_true("the flag of the former run", async || {
        is_on(&provider, "a", "alice").await == Some(true)
    })
    .await;
    nobody.set("a", "bob");
    becomes_true("the flag of this run", async || {
        is_on(&provider, "a", "alice").await == Some(false)
            && is_on(&provider, "a", "bob").await == Some(true)
    })
    .await;
    running.shutdown().await;
}

#[tokio::test]
async fn a_source_gives_the_flags_to_a_provider_of_the_same_program() {
    let policy = Policy::new([("a", "alice")]);
    let target = FlagdTarget::builder().build();
    let options = FlagdOptions::builder().without_env().build().unwrap();
    let provider = FlagdProvider::with_source(options, target.source());
    let running = start(&policy, target, [toggle("a")]).await;
    provider.start().await;
    for (names, user) in [("alice", "alice"), ("bob", "bob"), ("", "nobody")] {
        policy.set("a", names);
        becomes_true("the flag to follow", async || {
            let (alice, other) =
                (is_on(&provider, "a", "alice").await, is_on(&provider, "a", user).await);
            alice == Some(names == "alice") && other == Some(!names.is_empty())
        })
        .await;
    }
    running.shutdown().await;
}

#[tokio::test]
async fn every_flag_of_its_file_is_this_programs_own() {
    let directory = tempfile::tempdir().unwrap();
    let target = || FlagdTarget::builder().file(directory.path().join("flags.json")).build();
    target().write(&toggle("a"), &users("alice")).await.unwrap();
    assert!(target().is_marked(&toggle("a")).await.unwrap());
    assert!(!target().is_marked(&toggle("b")).await.unwrap());
}

#[tokio::test]
async fn a_target_without_a_file_or_a_server_does_not_know_what_others_serve() {
    let target = FlagdTarget::builder().build();
    assert_eq!(target.read(&toggle("a")).await.unwrap(), Held::Unknown);
    target.write(&toggle("a"), &users("alice")).await.unwrap();
    assert_eq!(target.read(&toggle("a")).await.unwrap(), Held::users(users("alice")));
}
