//! What is checked before the start, what the start warns of, and what a stop waits for.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use flagstaff::optoggles::{
    Config, Engine, Failure, Held, Prepared, Removal, Rule, Toggle, ToggleTarget, Users,
};
use tokio::time::sleep;
use tracing::Level;

use crate::{
    engine::{start, toggle},
    logs::Logs,
    policy::Policy,
    support::wait::eventually,
};

/// A target each of whose writes takes a second; counts those that have begun and ended.
#[derive(Clone, Default)]
struct Slow {
    begun: Arc<AtomicUsize>,
    ended: Arc<AtomicUsize>,
}

#[async_trait]
impl ToggleTarget for Slow {
    async fn prepare(&self, _: &Toggle) -> Result<Prepared, Failure> {
        Ok(Prepared::found(Held::Unknown))
    }

    async fn write(&self, _: &Toggle, _: &Users) -> Result<(), Failure> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        // A write takes a second of the paused clock.
        sleep(Duration::from_secs(1)).await;
        self.ended.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn read(&self, _: &Toggle) -> Result<Held, Failure> {
        Ok(Held::Unknown)
    }

    async fn remove(&self, _: &Toggle, _: Removal) -> Result<(), Failure> {
        Ok(())
    }

    async fn check(&self) -> Result<(), Failure> {
        Ok(())
    }
}

/// The paused clock goes on when nobody has anything else to do, so a write ends after the stop has
/// done what it can.
#[tokio::test(start_paused = true)]
async fn a_stop_during_a_large_sync_finishes_what_has_begun_and_begins_nothing() {
    let (policy, target) = (Policy::new([("us", "bob")]), Slow::default());
    let toggle = |index| Toggle::new(format!("us-{index}"), Rule::new("app", "us"));
    let running = start(&policy, target.clone(), (0..100).map(toggle)).await;
    let begun = || target.begun.load(Ordering::Relaxed);
    eventually("writes", || begun() > 0).await;
    running.shutdown().await;
    let begun = begun();
    assert!(begun < 100, "{begun} writes");
    assert_eq!(target.ended.load(Ordering::Relaxed), begun);
    // On the paused clock, nothing begins in the time that all the rest would take.
    sleep(Duration::from_secs(10)).await;
    assert_eq!(target.begun.load(Ordering::Relaxed), begun);
}

#[tokio::test]
async fn the_default_address_is_every_interface_with_a_warning() {
    let sources = "sources: [{id: opa, sourceType: opa, url: 'http://127.0.0.1:9'}]";
    for (bind, expected) in [(":0", 1), ("127.0.0.1:0", 0)] {
        let (logs, _guard) = Logs::listen();
        let text = format!("bind: '{bind}'\nmanagementBind: 127.0.0.1:0\n{sources}");
        let text =
            format!("{text}\ntarget: {{targetType: flagd, targetSpec: {{file: flags.json}}}}");
        let running = Engine::from(Config::parse(&text).unwrap()).start().await.unwrap();
        let warnings = logs.with("on every interface: see `bind`", Level::WARN);
        assert_eq!(warnings.len(), expected, "{bind}");
        running.shutdown().await;
    }
}

/// The problems that are found without asking anybody, and whether the start finds them.
async fn problems(parts: &str) -> (Vec<String>, bool) {
    let text = format!("bind: 127.0.0.1:0\nmanagementBind: 127.0.0.1:0\n{parts}");
    let config = Config::parse(&text).unwrap();
    let problems = Engine::from(config.clone()).validate().await.unwrap();
    let problems = problems.iter().map(|problem| {
        let source = std::error::Error::source(problem).unwrap();
        let cause = source.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        format!("{problem}: {source}{cause}")
    });
    let problems = problems.collect();
    match Engine::from(config).start().await {
        Ok(running) => {
            running.shutdown().await;
            (problems, true)
        }
        Err(_) => (problems, false),
    }
}

#[tokio::test]
async fn what_the_start_rejects_is_found_without_asking_anybody() {
    let sources = "sources: [{id: opa, sourceType: opa, url: 'http://127.0.0.1:9'}]";
    let target = "target: {targetType: restapi, targetSpec: {endpointUrl: 'http://127.0.0.1:9'}}";
    assert_eq!(problems(&format!("{sources}\n{target}")).await, (Vec::new(), true));
    for (text, expected) in [
        (format!("{}\n{target}", sources.replace("http://", "")), "source `opa`: "),
        (
            format!(
                "{}\n{target}",
                sources.replace("sourceType: opa, ", "").replace("http:", "ftp:")
            ),
            "source `opa`: ",
        ),
        (format!("{sources}\n{}", target.replace("http://", "")), "target `target`: "),
        (
            format!("{sources}\n{}", target.replace("'}", "', extraHeaders: {'a b': c}}")),
            "target `target`: ",
        ),
    ] {
        let (found, starts) = problems(&text).await;
        assert!(!starts, "{text}");
        assert!(found.len() == 1 && found[0].starts_with(expected), "{text}: {found:?}");
    }
}

#[tokio::test]
async fn a_spec_without_what_launchdarkly_needs_is_found_without_asking_anybody() {
    let toggles = |spec: &str| {
        format!(
            "sources: [{{id: opa, sourceType: opa, url: 'http://127.0.0.1:9'}}]\n\
             targets: [{{id: ld, targetType: launchdarkly, targetSpec: {{launchdarklyToken: t}}}}, \
             {{id: rest, targetType: restapi, targetSpec: {{endpointUrl: 'http://127.0.0.1:9'}}}}]\n\
             toggles:\n- {{key: us, usersPolicy: {{source: opa, package: a, rule: us}}, \
             targets: [ld], spec: {spec}}}\n\
             - {{key: eu, usersPolicy: {{source: opa, package: a, rule: eu}}, targets: [rest]}}"
        )
    };
    let complete = Config::parse(&toggles("{projKey: p, environments: [test]}")).unwrap();
    assert!(Engine::from(complete).validate().await.unwrap().is_empty());
    let (found, _) = problems(&toggles("{environments: [test]}")).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("target `ld`: toggle `us`: "), "{found:?}");
    assert!(found[0].contains("projKey"), "{found:?}");
}

#[tokio::test]
async fn an_engine_of_parts_is_checked_too() {
    let target = flagstaff::optoggles::LaunchDarklyTarget::builder("t").build().unwrap();
    let policy = Policy::new([("us", "bob")]);
    let engine = Engine::builder().source("policy", policy.source()).target("ld", target);
    let engine = engine.toggle("policy", toggle("us")).build().unwrap();
    assert_eq!(engine.validate().await.unwrap().len(), 1);
}
