//! The task of a provider that evaluates in this process: pulls definitions,
//! replaces the rules in force, and feeds the lifecycle.
//!
//! ```text
//! next() -> Ok(definition) -> compile -> valid:   swap, then READY, "changed"
//!   ^                                    invalid: STALE (ERROR if never ready)
//!   |  -> Err(error) -> STALE, later ERROR; FATAL if fatal and never ready
//!   +--- pause (backoff), only after an error
//! ```
//!
//! The rules are swapped before the state is published, so an evaluation in
//! response to an event uses the new ones. An invalid definition changes only the
//! state: the last valid configuration stays in use.
//!
//! Definitions may be tens of megabytes. Parsing, comparing and checking them run
//! on the blocking pool, while [`Driver::drive`] keeps the grace period running.
//! Warnings are looked for only after the rules are in force, so that they do not
//! delay an update.

use std::sync::{Arc, PoisonError};

use tokio::{
    sync::oneshot,
    task::spawn_blocking,
    time::{Instant, sleep},
};

use super::rules::{Custom, Delivered, Local, Origin, Rules, source};
use crate::{
    context_change::ChangedFields,
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

/// The rules or the message of why there are none, and the flags that may
/// evaluate differently than before.
type Compiled = (Result<Arc<Rules>, String>, Option<ChangedFlags>);

/// Runs until the other end of `stopped` is dropped or the provider is fatal.
///
/// A shutdown takes precedence over everything else that is ready.
pub(crate) async fn run(local: Arc<Local>, shared: Arc<Shared>, stopped: oneshot::Receiver<()>) {
    let abandoned = Abandoned::unless_over(shared.clone());
    let mut supervisor = Supervisor::new(local.clone(), &shared);
    tokio::select! {
        biased;
        _ = stopped => supervisor.driver.step(Input::Shutdown),
        () = supervisor.serve() => {}
        () = shared.follow_context(|fields| readers(local.clone(), fields)) => {}
    }
    abandoned.over();
}

/// The state of the task between two definitions.
struct Supervisor {
    driver: Driver,
    local: Arc<Local>,
    /// Whether the source has delivered nothing since it failed, or since the
    /// start.
    away: bool,
}

impl Supervisor {
    /// Begins the initialization, with its deadline.
    fn new(local: Arc<Local>, shared: &Arc<Shared>) -> Self {
        Self {
            // No limit of attempts: the grace period alone decides when STALE becomes ERROR.
            driver: Driver::new(shared.clone(), None, "the source of flags"),
            local,
            away: true,
        }
    }

    /// Follows the source until the provider is fatal.
    async fn serve(&mut self) {
        match &self.local.origin {
            Origin::Options => match source(&self.driver.shared.options) {
                Ok(source) => self.follow(&mut Custom { source, last: None }).await,
                Err(error) => self.driver.lose(chain(&error), true),
            },
            Origin::Custom(custom) => {
                // Only a task that is about to end can hold the lock.
                let mut custom = custom.clone().lock_owned().await;
                self.follow(&mut custom).await;
            }
        }
    }

    /// Pulls definitions until the provider is fatal.
    ///
    /// A shutdown may drop it at any await. What the source has delivered by then
    /// is in `custom.last`, for the next task.
    async fn follow(&mut self, custom: &mut Custom) {
        // An earlier initialization received what the source will not deliver again.
        if let Some(Delivered::Compiled(last)) = &custom.last {
            self.accept(last.clone(), None);
        }
        loop {
            if let Some(Delivered::Definition(definition)) = &custom.last {
                let (compiled, changed) =
                    self.compile(definition.clone(), custom.source.name()).await;
                let definition = definition.clone();
                custom.last = Some(Delivered::Compiled(compiled.clone()));
                self.accept(compiled.clone(), changed);
                if let Ok(rules) = compiled {
                    self.warn(definition, &rules, custom.source.name()).await;
                }
            }
            match self.driver.drive(custom.source.next()).await {
                Ok(definition) => custom.last = Some(Delivered::Definition(Arc::new(definition))),
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

    /// Compiles a definition and compares it with the rules in force.
    ///
    /// It runs on the blocking pool, because the definition may be large. A panic
    /// in the parser would make the definition invalid and not end the task.
    async fn compile(&mut self, definition: Arc<Definition>, source: &str) -> Compiled {
        let options = &self.driver.shared.options;
        let (bucketing, enricher) = (options.bucketing(), options.enricher().clone());
        let local = self.local.clone();
        let compiled = spawn_blocking(move || {
            let flags = definition.parse()?.with_bucketing(bucketing);
            let rules = Rules::new(flags, enricher.apply(definition.context.clone()));
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

    /// Logs the warnings about a definition whose rules are in force already, if it
    /// differs from the last one.
    async fn warn(&mut self, definition: Arc<Definition>, rules: &Rules, source: &str) {
        let local = self.local.clone();
        let warned = || local.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned().is_new(&definition.text, definition.format) {
            let warnings = self.driver.drive(warned::look(definition)).await;
            warned().log(source, &warnings, &rules.flags);
        }
    }

    /// Puts rules in force, or reports why there are none. Either way the source is
    /// available.
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

/// The flags in force whose rules read one of these fields.
async fn readers(local: Arc<Local>, fields: ChangedFields) -> ChangedFlags {
    let Some(rules) = local.in_force.load_full() else { return ChangedFlags::Keys([].into()) };
    // The first one after an update looks through all rules.
    let keys = spawn_blocking(move || {
        rules.readers(&fields).into_iter().map(ToString::to_string).collect()
    });
    keys.await.map_or(ChangedFlags::All, ChangedFlags::Keys)
}

/// The flags that may evaluate differently than before; `None` if there are none.
///
/// Without former rules, every flag is one of them. A flag that was removed
/// counts too.
fn changed(rules: &Rules, former: Option<&Rules>) -> Option<ChangedFlags> {
    if former.is_some_and(|former| former.sync_context != rules.sync_context) {
        // Any rule may read the sync context.
        return Some(ChangedFlags::All);
    }
    let nothing = FlagSet::default();
    let changes = rules.flags.changes_since(former.map_or(&nothing, |former| &former.flags));
    (!changes.is_empty()).then(|| ChangedFlags::Keys(changes.into_keys().collect()))
}
