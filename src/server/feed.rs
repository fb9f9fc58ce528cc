//! One task for each source, which pulls definitions and puts them into the
//! store.
//!
//! ```text
//! next() --- definition --- parse, compile --- valid ----> store, then warnings
//!    |                                    '--- invalid --> logged; old flags stay
//!    '------ error ---- logged; wait up to 1, 2, 4, 5, 5 ... s, pull again
//! ```
//!
//! A source decides itself when it has something new, so after a definition it
//! is pulled again at once, and only an error is followed by a delay. Nothing
//! ends this task but the end of the server: whatever goes wrong, the flags that
//! were valid last stay in use.

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

/// The delay after the first error; each further error doubles it.
const FIRST: Duration = Duration::from_secs(1);
/// The longest delay between two attempts.
const LONGEST: Duration = Duration::from_secs(5);

/// A source and the place of its flags in the store.
pub(crate) struct Feed {
    /// The unique name of the source in the store, which may be numbered.
    pub(crate) name: Arc<str>,
    /// The place of the source in the store and in the metrics.
    pub(crate) index: usize,
    pub(crate) source: Box<dyn FlagSource>,
    /// The generation of `fractional` for its flags.
    pub(crate) bucketing: Bucketing,
    /// The warnings that were logged already.
    pub(crate) warned: Warned,
}

impl Feed {
    /// Takes what the source delivers, for as long as the server runs.
    ///
    /// The task is aborted with the server, which can happen at any await: the
    /// store is replaced within one blocking call, so it is never left half done.
    pub(crate) async fn run(mut self, core: Arc<Core>) {
        let mut backoff = Backoff::new(FIRST, LONGEST);
        loop {
            match self.source.next().await {
                Ok(definition) => {
                    let definition = Arc::new(definition);
                    let given = definition.clone();
                    backoff.ready(Instant::now());
                    let (index, bucketing, shared) = (self.index, self.bucketing, core.clone());
                    // Parsing a long definition would block the other tasks of this thread.
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

    /// Logs warnings about a definition whose flags are already served, unless
    /// it is the same text as before.
    async fn warn(&mut self, core: &Core, definition: Arc<Definition>) {
        if self.warned.is_new(&definition.text, definition.format) {
            let warnings = warned::look(definition).await;
            if let Some(flags) = &core.store.snapshot().sources()[self.index].flags {
                self.warned.log(&self.name, &warnings, flags);
            }
        }
    }

    /// Counts and logs what became of a definition, and lets those who wait for
    /// the source go on: a rejected definition counts as delivered.
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
