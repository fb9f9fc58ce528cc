//! The function that maps the sync context of a source to fields of the
//! evaluation context.
//!
//! The [specification] lets a program decide what becomes of the sync context.
//! The function is shared by clones of the options, so it is in an `Arc`.
//!
//! [specification]: https://flagd.dev/reference/specifications/providers/#sync-metadata-properties-in-the-evaluation-context

use std::{fmt, sync::Arc};

use serde_json::{Map, Value};

type Fields = Map<String, Value>;
type Function = dyn Fn(&Fields) -> Fields + Send + Sync;

/// The option `contextEnricher`. Without a function, the sync context is used
/// unchanged.
#[derive(Clone, Default)]
pub(crate) struct Enricher(Option<Arc<Function>>);

impl Enricher {
    pub(crate) fn new(enrich: impl Fn(&Fields) -> Fields + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(enrich)))
    }

    /// The fields to add to each evaluation context. Called once for each
    /// definition.
    #[cfg(feature = "in-process")]
    pub(crate) fn apply(&self, sync_context: Fields) -> Fields {
        match &self.0 {
            Some(enrich) => enrich(&sync_context),
            None => sync_context,
        }
    }
}

impl fmt::Debug for Enricher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "a function" } else { "identity" })
    }
}
