//! Keeps a flag in step with a policy, and evaluates it: what the policy says is played by this program,
//! so that nothing needs to run beside it.
//!
//! ```sh
//! cargo run --example optoggles --features optoggles
//! ```

use std::sync::Arc;

use flagstaff::{
    FlagdOptions, FlagdProvider, ProviderEvent, async_trait,
    optoggles::{Answer, Engine, Failure, FlagdTarget, PolicySource, Rule, Toggle, Users},
};
use open_feature::{EvaluationContext, provider::FeatureProvider as _};
use tokio::sync::watch;

/// A policy that names some users. In the place of it, use `OpaSource` or `OpalSource`.
struct Named {
    users: watch::Receiver<Vec<&'static str>>,
    seen: tokio::sync::Mutex<watch::Receiver<Vec<&'static str>>>,
}

#[async_trait]
impl PolicySource for Named {
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

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let policy = watch::Sender::new(vec!["alice"]);
    let mut seen = policy.subscribe();
    seen.mark_changed();
    let source = Named { users: policy.subscribe(), seen: seen.into() };
    let target = Arc::new(FlagdTarget::builder().build());
    let options = FlagdOptions::builder().build()?;
    let provider = FlagdProvider::with_source(options, target.source());
    let running = Engine::builder()
        .source("policy", source)
        .shared_target("flagd", target)
        .toggle("policy", Toggle::new("us-only", Rule::new("app.rbac", "us_users")))
        .build()?
        .start()
        .await?;
    running.started().await;

    provider.start().await;
    let mut events = provider.events();
    show(&provider).await?;
    println!("Bob moves to the United States.");
    policy.send_replace(vec!["alice", "bob"]);
    while !matches!(events.next().await, Some(ProviderEvent::ConfigurationChanged(_)) | None) {}
    show(&provider).await?;
    running.shutdown().await;
    Ok(())
}

async fn show(provider: &FlagdProvider) -> Result<(), Box<dyn std::error::Error>> {
    for user in ["alice", "bob"] {
        let context = EvaluationContext::default().with_targeting_key(user);
        let details = provider.resolve_bool_value("us-only", &context).await;
        let value = details.map_err(|error| format!("{error:?}"))?.value;
        println!("{user}: us-only is {}", if value { "on" } else { "off" });
    }
    Ok(())
}
