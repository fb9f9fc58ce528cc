//! One task for each source: what it gives is parsed and stored; errors leave what there is.

use std::{sync::Arc, sync::atomic::Ordering::Relaxed, time::Duration};

use tokio::time::{Instant, sleep};

use super::core::Core;
use crate::{
    evaluator::{Bucketing, DefinitionError, FlagSet},
    flagd::Backoff,
    source::{Definition, FlagSource, Format},
};

/// The delays after errors.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(5);

/// A source and the place of its flags in the store.
pub(crate) struct Feed {
    pub(crate) index: usize,
    pub(crate) source: Box<dyn FlagSource>,
    pub(crate) bucketing: Bucketing,
}

pub(crate) fn parse(definition: &Definition) -> Result<FlagSet, DefinitionError> {
    match definition.format {
        Format::Json => FlagSet::parse(&definition.text),
        Format::Yaml => FlagSet::parse_yaml(&definition.text),
    }
}

impl Feed {
    /// Takes what the source gives, for as long as the server runs.
    pub(crate) async fn run(mut self, core: Arc<Core>) {
        let mut backoff = Backoff::new(FIRST, LONGEST);
        loop {
            match self.source.next().await {
                Ok(definition) => {
                    backoff.ready(Instant::now());
                    self.take(&core, &definition);
                }
                Err(error) => {
                    core.metrics.update_errors.fetch_add(1, Relaxed);
                    let delay = backoff.failed(Instant::now());
                    tracing::warn!(source = self.source.name(), %error, ?delay, "a source gives no flags");
                    sleep(delay).await;
                }
            }
        }
    }

    fn take(&self, core: &Core, definition: &Definition) {
        let name = self.source.name();
        let flags = parse(definition).map(|flags| flags.with_bucketing(self.bucketing));
        let taken = core.store.update(self.index, |_| flags);
        core.awaited.given(self.index);
        match taken {
            Ok(()) => {
                core.metrics.updates.fetch_add(1, Relaxed);
                tracing::info!(source = name, "flags were loaded");
            }
            Err(error) => {
                core.metrics.update_errors.fetch_add(1, Relaxed);
                tracing::warn!(source = name, %error, "a flag definition is refused, the former one stays");
            }
        }
    }
}
