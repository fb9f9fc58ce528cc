//! Flags that the program itself sets.
//!
//! To the store, these are a source like any other, at the place after all
//! others. What differs is who delivers it: there is no task, and a change takes
//! effect in the thread that makes it. Each flag set that the program creates is
//! a further source after that one.
//!
//! A change is validated before the store is locked, so that a large definition
//! does not make other writers wait for its parsing.

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

/// The name of the program's flags as a source.
pub(crate) const NAME: &str = "memory";

/// A handle to the flags that the program itself sets.
///
/// These flags are a source called `memory`, after all others, so they win over
/// flags with the same key. A change is validated first. Clients see either the
/// whole change or nothing of it, and are notified.
///
/// Clones are handles to the same flags. Methods do not wait for clients and do
/// no I/O, so they can be called from async code and from any thread; the changes
/// of several threads are applied one after another.
///
/// ```
/// use flagstaff::server::Server;
/// use serde_json::json;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let server = Server::builder().ephemeral().bind().await?;
/// let flags = server.flags();
/// flags.set_value("page-size", 20)?;
/// flags.set("checkout", json!({
///     "state": "ENABLED",
///     "variants": {"old": 1, "new": 2},
///     "defaultVariant": "old",
/// }))?;
/// flags.remove("page-size");
/// # Ok(()) }
/// ```
///
/// # Flag sets
///
/// [`flag_set`](Self::flag_set) is a handle to the flags of one flag set. The
/// same key can be a different flag in each. Clients choose a flag set with the
/// selector `flagSetId=<id>`; what clients without a selector see is an option of
/// the server ([`default_flag_set`](super::ServerBuilder::default_flag_set)).
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
    /// The place of `memory` in the store, and of its counters in the metrics.
    /// The counters of all flag sets are those of `memory`.
    pub(crate) index: usize,
    /// The flag set to which this handle is limited; none for `memory` itself.
    flag_set: Option<Arc<str>>,
    bucketing: Bucketing,
    /// Which warnings were logged for which flags, so that none is repeated.
    warned: Arc<Mutex<Warned>>,
}

impl Flags {
    /// A handle to the source at this place of the store.
    pub(crate) fn new(core: Arc<Core>, index: usize, bucketing: Bucketing) -> Self {
        Self { core, index, flag_set: None, bucketing, warned: Arc::default() }
    }

    /// Returns a handle to the flags of one flag set.
    ///
    /// A flag set exists as long as it has flags; the handle can be made before
    /// and kept afterwards. The metadata of its flags gets the id as `flagSetId`.
    ///
    /// # Panics
    ///
    /// Panics if the id is empty. Flags without a flag set are set with
    /// [`Server::flags`](super::Server::flags) itself.
    #[must_use]
    pub fn flag_set(&self, id: impl Into<Arc<str>>) -> Self {
        let id = id.into();
        assert!(!id.is_empty(), "the id of a flag set must not be empty");
        Self { flag_set: Some(id), warned: Arc::default(), ..self.clone() }
    }

    /// Returns the sorted ids of the flag sets that were made with
    /// [`flag_set`](Self::flag_set) and have flags.
    ///
    /// Flag sets of other sources are not listed.
    #[must_use]
    pub fn flag_sets(&self) -> Vec<String> {
        self.core.store.flag_sets().iter().map(ToString::to_string).collect()
    }

    /// Removes all flags of this handle: those of its flag set, or those that were
    /// set without one.
    ///
    /// Flags of other sources with the same keys show again.
    pub fn clear(&self) {
        self.change(|_| FlagSet::default().with_bucketing(self.bucketing));
        *self.warned.lock().unwrap_or_else(PoisonError::into_inner) = Warned::default();
    }

    /// Sets a flag, replacing the one with the same key.
    ///
    /// `flag` is an object as in a flag definition, with `state`, `variants`,
    /// `defaultVariant`, `targeting` and `metadata`. Warnings of
    /// [`lint`] are logged.
    ///
    /// ```
    /// # use flagstaff::server::Server;
    /// # use serde_json::json;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = Server::builder().ephemeral().bind().await?;
    /// let flags = server.flags();
    /// flags.set("color", json!({"variants": {"red": "#f00"}, "defaultVariant": "red"}))?;
    /// // The default variant does not exist, so the flag stays as it was.
    /// let invalid = json!({"variants": {"red": "#f00"}, "defaultVariant": "blue"});
    /// assert!(flags.set("color", invalid).is_err());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the flag is invalid. Nothing has changed then.
    pub fn set(&self, key: impl Into<String>, flag: Value) -> Result<(), DefinitionError> {
        self.update(|draft| {
            draft.set(key, flag);
        })
    }

    /// Sets a flag to one value for everybody: a boolean, a number, a string, an
    /// array or an object.
    ///
    /// The flag has one variant, called `on`, `off`, or, for anything but a
    /// boolean, `value`.
    ///
    /// # Errors
    ///
    /// Returns an error if the value is nested too deeply. Nothing has changed
    /// then.
    pub fn set_value(
        &self,
        key: impl Into<String>,
        value: impl Into<Value>,
    ) -> Result<(), DefinitionError> {
        self.set(key, constant(&value.into()))
    }

    /// Removes a flag. If another source has a flag with the same key, that one
    /// shows again. Removing a flag that does not exist does nothing.
    pub fn remove(&self, key: &str) {
        let removed = self.update(|draft| {
            draft.remove(key);
        });
        // What is left was valid before.
        debug_assert!(removed.is_ok());
    }

    /// Makes several changes at once: clients see either all of them or none, and
    /// receive one event.
    ///
    /// `change` runs before anything is locked, and may take its time.
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
    /// Returns an error if one of the flags is invalid. Nothing has changed then.
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

    /// Replaces all flags of this handle with those of a flag definition in JSON.
    ///
    /// Flags that are the same as before do not count as changed.
    ///
    /// ```
    /// # use flagstaff::server::Server;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = Server::builder().ephemeral().bind().await?;
    /// server.flags().replace(
    ///     r#"{"flags": {"beta": {"variants": {"on": true}, "defaultVariant": "on"}}}"#,
    /// )?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the definition is invalid. Nothing has changed then.
    pub fn replace(&self, definition: &str) -> Result<(), DefinitionError> {
        let flags = FlagSet::parse_for(definition, self.flag_set.as_deref())?;
        let flags = flags.with_bucketing(self.bucketing);
        self.change(|_| flags);
        self.warn(definition, |warned, warnings| {
            warned.log(NAME, warnings, &self.current());
        });
        Ok(())
    }

    /// Replaces all flags of this handle with what `change` makes of them, and
    /// counts an update. `change` runs under the lock of the store's writers.
    pub(crate) fn change(&self, change: impl FnOnce(&FlagSet) -> FlagSet) {
        let change = |former: &FlagSet| Ok::<_, Infallible>(change(former));
        let store = &self.core.store;
        let Ok(()) = match &self.flag_set {
            Some(id) => store.update_flag_set(NAME, id, change),
            None => store.update(self.index, change),
        };
        self.core.metrics.source(self.index).took();
    }

    /// Returns the flags of this handle as they are served now.
    ///
    /// Whoever evaluates them gets what a client of the server gets, except for the
    /// fields that the server adds to the context.
    ///
    /// ```
    /// # use flagstaff::server::Server;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = Server::builder().ephemeral().bind().await?;
    /// let shop = server.flags().flag_set("shop");
    /// shop.set_value("beta", true)?;
    /// let outcome = shop.current().evaluate("beta", &serde_json::Map::new()).boolean();
    /// assert_eq!(outcome, Ok(Some(true)));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn current(&self) -> Arc<FlagSet> {
        let served = match &self.flag_set {
            Some(id) => self.core.store.flag_set(id),
            None => self.core.store.snapshot().sources()[self.index].flags.clone(),
        };
        served.unwrap_or_default()
    }

    /// Logs warnings about flags that are already served.
    ///
    /// This comes after the change, so that clients do not wait for the linter.
    fn warn(&self, definition: &str, log: impl FnOnce(&mut Warned, &[Diagnostic])) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        // The same change may be made again after others, so what was logged for each flag
        // decides, and not whether the definition is new.
        if tracing::enabled!(Level::WARN)
            && let Ok(warnings) = lint(definition)
        {
            log(&mut warned, &warnings);
        }
    }
}

/// Changes that [`Flags::update`] makes at once.
///
/// Of several changes of one key, the last one counts. Flags are validated when
/// the draft is complete, not by its methods.
///
/// ```
/// # use flagstaff::server::Server;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let server = Server::builder().ephemeral().bind().await?;
/// server.flags().update(|draft| {
///     draft.set_value("limit", 10).set_value("beta", true).remove("beta");
/// })?;
/// # Ok(()) }
/// ```
#[derive(Debug, Default)]
pub struct Draft {
    /// The flags to set, as in a definition.
    set: Map<String, Value>,
    /// The keys to remove, none of which is in `set`.
    removed: Vec<String>,
}

impl Draft {
    /// Sets a flag: an object as in a flag definition, as for [`Flags::set`].
    pub fn set(&mut self, key: impl Into<String>, flag: Value) -> &mut Self {
        let key = key.into();
        self.removed.retain(|removed| *removed != key);
        self.set.insert(key, flag);
        self
    }

    /// Sets a flag to one value for everybody, as [`Flags::set_value`] does.
    pub fn set_value(&mut self, key: impl Into<String>, value: impl Into<Value>) -> &mut Self {
        self.set(key, constant(&value.into()))
    }

    /// Removes a flag, if it exists.
    pub fn remove(&mut self, key: impl Into<String>) -> &mut Self {
        let key = key.into();
        self.set.remove(&key);
        self.removed.push(key);
        self
    }
}

/// A flag with one value, as a definition has it:
///
/// ```json
/// {"state": "ENABLED", "variants": {"on": true}, "defaultVariant": "on"}
/// ```
///
/// The variant is called `on`, `off`, or, for anything but a boolean, `value`.
fn constant(value: &Value) -> Value {
    let variant = match value {
        Value::Bool(true) => "on",
        Value::Bool(false) => "off",
        _ => "value",
    };
    json!({"state": "ENABLED", "variants": {variant: value}, "defaultVariant": variant})
}
