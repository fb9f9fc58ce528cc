//! The function that makes an evaluation context of what a source says of itself.

use std::{fmt, sync::Arc};

use serde_json::{Map, Value};

type Facts = Map<String, Value>;
type Function = dyn Fn(&Facts) -> Facts + Send + Sync;

/// The option `contextEnricher`; without a function, what comes in goes out.
#[derive(Clone, Default)]
pub(crate) struct Enricher(Option<Arc<Function>>);

impl Enricher {
    pub(crate) fn new(enrich: impl Fn(&Facts) -> Facts + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(enrich)))
    }

    #[cfg(feature = "in-process")]
    pub(crate) fn apply(&self, facts: Facts) -> Facts {
        match &self.0 {
            Some(enrich) => enrich(&facts),
            None => facts,
        }
    }
}

impl fmt::Debug for Enricher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "a function" } else { "identity" })
    }
}
