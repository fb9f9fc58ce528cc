//! The only task of a provider that evaluates in this process: pulls definitions, swaps them in,
//! and feeds the lifecycle.

use std::sync::{Arc, PoisonError};

use tokio::{
    sync::oneshot,
    task::spawn_blocking,
    time::{Instant, sleep},
};

use super::rules::{Custom, Given, Local, Origin, Rules, source};
use crate::{
    evaluator::{DefinitionError, FlagSet},
    excerpt::{chain, excerpt},
    flagd::{
        event::ChangedFlags,
        provider::{
            driver::{Abandoned, Driver},
            lifecycle::{Input, State},
            shared::Shared,
        },
    },
    source::{Definition, warned},
};

/// The rules or a message, and which flags may evaluate otherwise than before.
type Compiled = (Result<Arc<Rules>, String>, Option<ChangedFlags>);

/// Runs until the other end of `stopped` is dropped, or the provider is fatal.
pub(crate) async fn run(local: Arc<Local>, shared: Arc<Shared>, stopped: oneshot::Receiver<()>) {
    let abandoned = Abandoned::unless_over(shared.clone());
    let mut supervisor = Supervisor::new(local, &shared);
    tokio::select! {
        biased;
        _ = stopped => supervisor.driver.step(Input::Shutdown),
        () = supervisor.serve() => {}
        () = shared.follow_context() => {}
    }
    abandoned.over();
}

struct Supervisor {
    driver: Driver,
    local: Arc<Local>,
    /// Whether the source has failed since it last gave a definition, or never gave one.
    away: bool,
}

impl Supervisor {
    fn new(local: Arc<Local>, shared: &Arc<Shared>) -> Self {
        Self {
            // How long it hopes is for the grace period alone to say.
            driver: Driver::new(shared.clone(), None, "the source of flags"),
            local,
            away: true,
        }
    }

    async fn serve(&mut self) {
        match &self.local.origin {
            Origin::Options => match source(&self.driver.shared.options) {
                Ok(source) => self.follow(&mut Custom { source, last: None }).await,
                Err(error) => self.driver.lose(chain(&error), true),
            },
            Origin::Custom(custom) => {
                // Only a task that is about to end can hold it.
                let mut custom = custom.clone().lock_owned().await;
                self.follow(&mut custom).await;
            }
        }
    }

    /// Pulls definitions until the provider is fatal.
    async fn follow(&mut self, custom: &mut Custom) {
        // A former initialization took what the source will not give again.
        if let Some(Given::Compiled(last)) = &custom.last {
            self.accept(last.clone(), None);
        }
        loop {
            if let Some(Given::Definition(definition)) = &custom.last {
                let (compiled, changed) =
                    self.compile(definition.clone(), custom.source.name()).await;
                let definition = definition.clone();
                custom.last = Some(Given::Compiled(compiled.clone()));
                self.accept(compiled.clone(), changed);
                if let Ok(rules) = compiled {
                    self.warn(definition, &rules, custom.source.name()).await;
                }
            }
            match self.driver.drive(custom.source.next()).await {
                Ok(definition) => custom.last = Some(Given::Definition(Arc::new(definition))),
                Err(error) => {
                    custom.last = None;
                    self.away = true;
                    let delay = self.driver.backoff.failed(Instant::now());
                    self.driver.lose(chain(&error), error.is_fatal());
                    if self.driver.lifecycle.state() == State::Fatal {
                        return;
                    }
                    self.driver.drive(sleep(delay)).await;
                }
            }
        }
    }

    /// Compiles a definition, and compares it with the rules in force, beside the runtime's threads:
    /// it may be large.
    async fn compile(&mut self, definition: Arc<Definition>, source: &str) -> Compiled {
        let options = &self.driver.shared.options;
        let (bucketing, enricher) = (options.bucketing(), options.enricher().clone());
        let local = self.local.clone();
        let compiled = spawn_blocking(move || {
            let flags = definition.parse()?.with_bucketing(bucketing);
            let rules = Rules { flags, sync_context: enricher.apply(definition.context.clone()) };
            let changed = changed(&rules, local.in_force.load().as_deref());
            Ok((Arc::new(rules), changed))
        });
        let source = excerpt(source);
        let compiled: Result<_, DefinitionError> = match self.driver.drive(compiled).await {
            Ok(compiled) => compiled,
            Err(error) => return (Err(format!("{source}: {error}")), None),
        };
        match compiled {
            Ok((rules, changed)) => (Ok(rules), changed),
            Err(error) => (Err(format!("{source}: {error}")), None),
        }
    }

    /// Logs what is wrong with a definition whose rules are in force already.
    async fn warn(&mut self, definition: Arc<Definition>, rules: &Rules, source: &str) {
        let local = self.local.clone();
        let warned = || local.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned().is_new(&definition.text, definition.format) {
            let warnings = self.driver.drive(warned::look(definition)).await;
            warned().log(source, &warnings, &rules.flags);
        }
    }

    /// The source is there, and has given rules, or nothing of use.
    fn accept(&mut self, rules: Result<Arc<Rules>, String>, changed: Option<ChangedFlags>) {
        if std::mem::take(&mut self.away) {
            self.driver.connected();
        }
        match rules {
            Ok(rules) => {
                self.local.in_force.store(Some(rules));
                self.driver.step(Input::Ready(changed));
            }
            Err(message) => self.driver.step(Input::Invalid { message }),
        }
    }
}

/// The flags that may evaluate otherwise than before.
fn changed(rules: &Rules, former: Option<&Rules>) -> Option<ChangedFlags> {
    if former.is_some_and(|former| former.sync_context != rules.sync_context) {
        // Any rule may read a fact.
        return Some(ChangedFlags::All);
    }
    let nothing = FlagSet::default();
    let changes = rules.flags.changes_since(former.map_or(&nothing, |former| &former.flags));
    (!changes.is_empty()).then(|| ChangedFlags::Keys(changes.into_keys().collect()))
}
