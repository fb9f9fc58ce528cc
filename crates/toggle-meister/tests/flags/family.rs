//! A policy, a fact and a rollout, each of another program, reach one program through one provider.
//!
//! ```text
//! OPToggles        a policy names users  --- flags ---+
//! Toggle-Meister   a rollout steps       --- sync ----+--> server --> provider
//! FlagOps          a fact is written     --- facts ---+
//! ```

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use flagstaff::{
    FlagdOptions, FlagdProvider, async_trait,
    flagd::{Resolver, SyncSource},
    flagops::{Facts, FactsClient},
    open_feature::{EvaluationContext, provider::FeatureProvider as _},
    optoggles::{
        Answer, Engine, Failure, FlagdTarget, PolicySource, Rule, Toggle as Policed, Users,
    },
    server::Server,
};
use serde_json::json;
use service::time;
use toggle_meister::{
    rollout::Pace,
    toggle::{Rollout, Toggle},
};
use tokio::sync::{Mutex, watch};

use crate::support::{LONG, Meister, becomes_true, bounded};

/// A policy that names some users.
struct Policy {
    users: watch::Receiver<Vec<&'static str>>,
    seen: Mutex<watch::Receiver<Vec<&'static str>>>,
}

#[async_trait]
impl PolicySource for Policy {
    async fn users(&self, _: &Rule) -> Result<Answer, Failure> {
        let users: Users = self.users.borrow().iter().collect();
        Ok(Answer::users(users))
    }

    async fn changed(&self) -> Result<(), Failure> {
        self.seen.lock().await.changed().await.map_err(Failure::permanent)
    }

    async fn check(&self) -> Result<(), Failure> {
        Ok(())
    }
}

async fn is_on(provider: &FlagdProvider, key: &str) -> Option<bool> {
    let context = EvaluationContext::default().with_targeting_key("alice");
    let evaluation = bounded("an evaluation", provider.resolve_bool_value(key, &context)).await;
    evaluation.ok().map(|it| it.value)
}

/// Waits until Alice has a feature, and returns how long that took since a moment.
async fn reaches(provider: &FlagdProvider, key: &str, since: Instant) -> Duration {
    becomes_true(key, async || is_on(provider, key).await == Some(true)).await;
    since.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_a_fact_and_a_rollout_reach_one_program_within_a_second() {
    // Toggle-Meister: a rollout that comes to its end in two seconds, whereby everybody has it.
    let meister = Meister::start().await;
    meister.create_feature("checkout").await;

    // OPToggles: nobody is named yet.
    let users = watch::Sender::new(Vec::new());
    let mut seen = users.subscribe();
    seen.mark_changed();
    let policy = Policy { users: users.subscribe(), seen: Mutex::new(seen) };
    let target = Arc::new(FlagdTarget::builder().build());
    let policed = target.source();
    let optoggles = Engine::builder()
        .source("policy", policy)
        .shared_target("flagd", target)
        .toggle("policy", Policed::new("us-only", Rule::new("app.rbac", "us_users")))
        .build()
        .unwrap()
        .start()
        .await
        .unwrap();
    bounded("the policy", optoggles.started()).await;

    // FlagOps: Alice has no tier.
    let folder = tempfile::tempdir().unwrap();
    let options = HashMap::from([
        ("database", folder.path().join("facts").display().to_string()),
        ("listen", "127.0.0.1:0".to_owned()),
        ("require-auth", "false".to_owned()),
    ]);
    let options = flagops_store::settings::Settings::read(&options, None, |_| None).unwrap();
    let store = flagops_store::serve::start(&options).await.unwrap();
    let url = format!("http://{}", store.address());
    let facts = FactsClient::builder(&url).build().unwrap();

    // What all three meet in.
    let sync = meister.running.flag_server().sync_addr().unwrap();
    let options = FlagdOptions::builder().without_env().resolver(Resolver::InProcess);
    let options = options.host("127.0.0.1").port(sync.port()).selector("flagSetId=production");
    let server = Server::builder()
        .ephemeral()
        .source(policed)
        .source(SyncSource::new(options.build().unwrap()).unwrap())
        .context_source(Facts::builder(facts.clone()).mirror("").build())
        .bind()
        .await
        .unwrap();
    let is_gold = json!({"if": [{"==": [{"var": "tier"}, "gold"]}, "on", "off"]});
    let lounge = json!({
        "state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "off",
        "targeting": is_gold,
    });
    server.flags().set("lounge", lounge).unwrap();
    bounded("the sources", server.ready()).await;
    let options = FlagdOptions::builder().without_env().host("127.0.0.1").deadline(LONG);
    let port = server.evaluation_addr().unwrap().port();
    let provider = FlagdProvider::new(options.port(port).build().unwrap());
    bounded("the start", provider.start()).await;
    for key in ["us-only", "checkout", "lounge"] {
        becomes_true(key, async || is_on(&provider, key).await == Some(false)).await;
    }

    let began = Instant::now();
    users.send_replace(vec!["alice"]);
    let policy = reaches(&provider, "us-only", began).await;

    let began = Instant::now();
    facts.put_fact("alice", "tier", "gold").await.unwrap();
    let fact = reaches(&provider, "lounge", began).await;

    let pace = Pace::over_days(1.0).unwrap();
    // Alice is not among the first, so only the last step gives her the feature.
    let number = (1..1_000).find(|number| !is_early(*number)).unwrap();
    let start = time::now() - pace.total() + 2_000;
    let toggle = Toggle::Roll(Rollout { number, start, pace });
    meister.put(vec![("checkout".to_owned(), toggle)]).await;
    assert_eq!(is_on(&provider, "checkout").await, Some(false), "at 93 %");
    becomes_true("checkout", async || is_on(&provider, "checkout").await == Some(true)).await;
    let late = time::now() - start - pace.total();
    let step = Duration::from_millis(u64::try_from(late).expect("not before its time"));

    println!("a policy took {policy:.1?}, a fact {fact:.1?}, a step of a rollout {step:.1?}");
    for (what, delay) in [("policy", policy), ("fact", fact), ("step", step)] {
        assert!(delay < Duration::from_secs(1), "the {what} took {delay:?}");
    }
    optoggles.shutdown().await;
}

/// Whether Alice has the feature at 93 %.
fn is_early(number: i64) -> bool {
    crate::hash::expected("checkout", number, 93, Some("alice"))
}
