//! Flags that the program itself sets.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::{Map, Value, json};
use tracing::Level;

use super::core::Core;
use crate::{
    bucketing::Bucketing,
    evaluator::{DefinitionError, Diagnostic, FlagSet, lint},
    source::warned::Warned,
};

/// What flags that the program sets are called as a source.
pub(crate) const NAME: &str = "memory";

/// A handle to the flags that the program itself sets; clones are handles to the same.
///
/// They are a source called `memory`, after all others, so that they win over flags of the same key.
/// A change is checked first; clients see all of it or nothing, and are notified.
///
/// # Flag sets
///
/// [`flag_set`](Self::flag_set) is a handle to the flags of one flag set, in which a key may mean
/// something else than in another. Clients choose a flag set with the selector `flagSetId=<id>`; what
/// clients without a selector see is an option of the server
/// ([`default_flag_set`](super::ServerBuilder::default_flag_set)).
///
/// ```
/// # use flagstaff::server::Server;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let server = Server::builder().ephemeral().bind().await?;
/// server.flags().flag_set("shop").set_value("limit", 10)?;
/// server.flags().flag_set("billing").set_value("limit", 500)?;
/// server.flags().flag_set("shop").clear();
/// assert_eq!(server.flags().flag_sets(), ["billing"]);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Flags {
    core: Arc<Core>,
    pub(crate) index: usize,
    /// None for flags that need not belong to one.
    flag_set: Option<Arc<str>>,
    bucketing: Bucketing,
    warned: Arc<Mutex<Warned>>,
}

impl Flags {
    pub(crate) fn new(core: Arc<Core>, index: usize, bucketing: Bucketing) -> Self {
        Self { core, index, flag_set: None, bucketing, warned: Arc::default() }
    }

    /// The flags of a flag set, which exists as long as it has flags. Their metadata gets its id as
    /// `flagSetId`.
    ///
    /// # Panics
    ///
    /// When the id is empty: a flag without a flag set is set by [`Server::flags`](super::Server::flags)
    /// itself.
    #[must_use]
    pub fn flag_set(&self, id: impl Into<Arc<str>>) -> Self {
        let id = id.into();
        assert!(!id.is_empty(), "the id of a flag set must not be empty");
        Self { flag_set: Some(id), warned: Arc::default(), ..self.clone() }
    }

    /// The ids of the flag sets that have flags, sorted, of those made by
    /// [`flag_set`](Self::flag_set).
    #[must_use]
    pub fn flag_sets(&self) -> Vec<String> {
        self.core.store.flag_sets().iter().map(ToString::to_string).collect()
    }

    /// Removes all flags of this handle: those of its flag set, or those without one.
    pub fn clear(&self) {
        self.change(|_| FlagSet::default().with_bucketing(self.bucketing));
        *self.warned.lock().unwrap_or_else(PoisonError::into_inner) = Warned::default();
    }

    /// Sets a flag: an object as in a flag definition, with `state`, `variants`, `defaultVariant` and so
    /// on. What [`lint`](crate::evaluator::lint) warns of is logged.
    ///
    /// # Errors
    ///
    /// When it is not valid; nothing has changed then.
    pub fn set(&self, key: impl Into<String>, flag: Value) -> Result<(), DefinitionError> {
        self.update(|draft| {
            draft.set(key, flag);
        })
    }

    /// Sets a flag to one value for all: a boolean, a number, a text, a list or an object.
    ///
    /// # Errors
    ///
    /// When it is nested too deeply; nothing has changed then.
    pub fn set_value(
        &self,
        key: impl Into<String>,
        value: impl Into<Value>,
    ) -> Result<(), DefinitionError> {
        self.set(key, constant(&value.into()))
    }

    /// Removes a flag. The flag of another source of the same key shows again.
    pub fn remove(&self, key: &str) {
        let removed = self.update(|draft| {
            draft.remove(key);
        });
        // What is left was valid before.
        debug_assert!(removed.is_ok());
    }

    /// Makes several changes at once.
    ///
    /// ```
    /// # use flagstaff::server::Server;
    /// # use serde_json::json;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = Server::builder().ephemeral().bind().await?;
    /// server.flags().update(|draft| {
    ///     draft.set("checkout", json!({
    ///         "state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "on",
    ///     }));
    ///     draft.remove("old-checkout");
    /// })?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// When one of the flags is not valid; nothing has changed then.
    pub fn update(&self, change: impl FnOnce(&mut Draft)) -> Result<(), DefinitionError> {
        let mut draft = Draft::default();
        change(&mut draft);
        let definition = json!({"flags": draft.set}).to_string();
        let added = FlagSet::parse_for(&definition, self.flag_set.as_deref())?;
        self.change(|former| {
            let mut flags = FlagSet::default().with_bucketing(self.bucketing);
            flags.extend(former, |key, _| !draft.removed.iter().any(|removed| removed == key));
            flags.extend(&added, |_, _| true);
            flags
        });
        self.warn(&definition, |warned, warnings| {
            warned.log_some(NAME, warnings, &added, &draft.removed);
        });
        Ok(())
    }

    /// Replaces all flags by those of a flag definition in JSON.
    ///
    /// # Errors
    ///
    /// When it is not valid; nothing has changed then.
    pub fn replace(&self, definition: &str) -> Result<(), DefinitionError> {
        let flags = FlagSet::parse_for(definition, self.flag_set.as_deref())?;
        let flags = flags.with_bucketing(self.bucketing);
        self.change(|_| flags);
        self.warn(definition, |warned, warnings| {
            if let Some(flags) = self.current() {
                warned.log(NAME, warnings, &flags);
            }
        });
        Ok(())
    }

    /// Replaces all flags by what `change` makes of them.
    pub(crate) fn change(&self, change: impl FnOnce(&FlagSet) -> FlagSet) {
        let change = |former: &FlagSet| Ok::<_, Infallible>(change(former));
        let store = &self.core.store;
        let Ok(()) = match &self.flag_set {
            Some(id) => store.update_flag_set(NAME, id, change),
            None => store.update(self.index, change),
        };
        self.core.metrics.source(self.index).took();
    }

    fn current(&self) -> Option<Arc<FlagSet>> {
        match &self.flag_set {
            Some(id) => self.core.store.flag_set(id),
            None => self.core.store.snapshot().sources()[self.index].flags.clone(),
        }
    }

    /// Logs what is wrong with flags that are served already.
    fn warn(&self, definition: &str, log: impl FnOnce(&mut Warned, &[Diagnostic])) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        // The same change may come again after others: what was logged of each flag decides.
        if tracing::enabled!(Level::WARN)
            && let Ok(warnings) = lint(definition)
        {
            log(&mut warned, &warnings);
        }
    }
}

/// Changes that are made at once.
#[derive(Debug, Default)]
pub struct Draft {
    set: Map<String, Value>,
    removed: Vec<String>,
}

impl Draft {
    /// Sets a flag: an object as in a flag definition.
    pub fn set(&mut self, key: impl Into<String>, flag: Value) -> &mut Self {
        let key = key.into();
        self.removed.retain(|removed| *removed != key);
        self.set.insert(key, flag);
        self
    }

    /// Sets a flag to one value for all.
    pub fn set_value(&mut self, key: impl Into<String>, value: impl Into<Value>) -> &mut Self {
        self.set(key, constant(&value.into()))
    }

    /// Removes a flag.
    pub fn remove(&mut self, key: impl Into<String>) -> &mut Self {
        let key = key.into();
        self.set.remove(&key);
        self.removed.push(key);
        self
    }
}

/// A flag with one value. Its variant is called `on`, `off`, or `value` where it is no boolean.
fn constant(value: &Value) -> Value {
    let variant = match value {
        Value::Bool(true) => "on",
        Value::Bool(false) => "off",
        _ => "value",
    };
    json!({"state": "ENABLED", "variants": {variant: value}, "defaultVariant": variant})
}
