//! One task for each source: what it gives is parsed and stored; errors leave what there is.

use std::{sync::Arc, time::Duration};

use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep},
};

use super::core::Core;
use crate::{
    backoff::Backoff,
    bucketing::Bucketing,
    evaluator::DefinitionError,
    excerpt::{chain, excerpt},
    source::{
        Definition, FlagSource,
        warned::{self, Warned},
    },
};

/// The delays after errors.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(5);

/// A source and the place of its flags in the store.
pub(crate) struct Feed {
    /// What the source is called in the store.
    pub(crate) name: Arc<str>,
    pub(crate) index: usize,
    pub(crate) source: Box<dyn FlagSource>,
    pub(crate) bucketing: Bucketing,
    pub(crate) warned: Warned,
}

impl Feed {
    /// Takes what the source gives, for as long as the server runs.
    pub(crate) async fn run(mut self, core: Arc<Core>) {
        let mut backoff = Backoff::new(FIRST, LONGEST);
        loop {
            match self.source.next().await {
                Ok(definition) => {
                    let definition = Arc::new(definition);
                    let given = definition.clone();
                    backoff.ready(Instant::now());
                    let (index, bucketing, shared) = (self.index, self.bucketing, core.clone());
                    // A long definition must not keep a thread from its other tasks.
                    let taken = spawn_blocking(move || {
                        let flags = given.parse().map(|flags| flags.with_bucketing(bucketing));
                        shared.store.update(index, |_| flags)
                    });
                    let Ok(taken) = taken.await else {
                        return; // the runtime shuts down
                    };
                    let loaded = taken.is_ok();
                    self.took(&core, taken);
                    if loaded {
                        self.warn(&core, definition).await;
                    }
                }
                Err(error) => {
                    core.metrics.source(self.index).failed();
                    let delay = backoff.failed(Instant::now());
                    let error = chain(&error);
                    let source = &*excerpt(&self.name);
                    tracing::warn!(source, error, ?delay, "cannot load flags from a source");
                    sleep(delay).await;
                }
            }
        }
    }

    /// Logs what is wrong with a definition whose flags are served already.
    async fn warn(&mut self, core: &Core, definition: Arc<Definition>) {
        if self.warned.is_new(&definition.text, definition.format) {
            let warnings = warned::look(definition).await;
            if let Some(flags) = &core.store.snapshot().sources()[self.index].flags {
                self.warned.log(&self.name, &warnings, flags);
            }
        }
    }

    fn took(&self, core: &Core, taken: Result<(), DefinitionError>) {
        let source = &*excerpt(&self.name);
        core.awaited.given(self.index);
        match taken {
            Ok(()) => {
                core.metrics.source(self.index).took();
                tracing::info!(source, "flags were loaded");
            }
            Err(error) => {
                core.metrics.source(self.index).failed();
                let had_flags = core.store.snapshot().sources()[self.index].flags.is_some();
                let kept = if had_flags { "the last valid one" } else { "nothing" };
                tracing::warn!(source, %error, kept, "a flag definition was rejected");
            }
        }
    }
}
