//! Flags for flagd: in a file, on the ports of an embedded server, or as a source of a program's own.

mod definition;

use std::{
    collections::BTreeSet,
    fmt, fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use tokio::{sync::watch, task::spawn_blocking};

use self::definition::{Definitions, ForeignFlag, TooLong};
use super::toggle_target::{Held, Prepared, Removal, ToggleTarget};
use crate::{
    evaluator::DefinitionError,
    excerpt::shown,
    http::Listen,
    optoggles::{failure::Failure, record::write_atomically, toggle::Toggle, users::Users},
    server::{Server, ServerError},
    source::{Definition, FlagSource, SourceError},
};

/// flagd, or anything that evaluates its flag definitions. Each toggle is a boolean flag that is on for
/// those whose targeting key is one of its users.
///
/// The definitions go to one or more outlets: a [file](FlagdTargetBuilder::file) that flagd watches,
/// an [embedded server](FlagdTargetBuilder::server) that evaluates them, and
/// [sources](FlagdTarget::source) for a provider or a server in the same program.
///
/// Whoever can read the file, or reach the sync port of the server, learns the names of all users.
pub struct FlagdTarget {
    state: Mutex<State>,
    outlets: tokio::sync::Mutex<Outlets>,
    text: watch::Sender<Arc<str>>,
    file: Option<PathBuf>,
    /// Whether a server serves the flags.
    serves: bool,
}

/// The options of a [`FlagdTarget`].
#[derive(Debug, Default)]
pub struct FlagdTargetBuilder {
    file: Option<PathBuf>,
    server: Option<Server>,
}

struct State {
    definitions: Definitions,
    /// How many changes were made.
    version: u64,
    /// The toggles that have changed since they were last published.
    changed: BTreeSet<String>,
}

struct Outlets {
    server: Option<Server>,
    /// The version that was published.
    published: u64,
    /// Whether it was looked for what the file has from a former run.
    is_recovered: bool,
}

/// Why flags cannot be published.
#[derive(Debug, thiserror::Error)]
enum FlagdError {
    #[error("cannot {action} the flag definitions in {path}", path = shown(path))]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{path} is not a file of this target: give the target a file of its own", path = shown(.0))]
    Foreign(PathBuf, #[source] ForeignFlag),
    #[error("the flags cannot be published")]
    Definition(#[from] DefinitionError),
}

impl fmt::Debug for FlagdTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlagdTarget").field("file", &self.file).finish_non_exhaustive()
    }
}

impl FlagdTarget {
    /// A target without outlets.
    #[must_use]
    pub fn builder() -> FlagdTargetBuilder {
        FlagdTargetBuilder::default()
    }

    /// A source of the flags, for a provider that evaluates in this process or a
    /// [`Server`](crate::server::Server).
    #[must_use]
    pub fn source(&self) -> impl FlagSource {
        let mut text = self.text.subscribe();
        text.mark_changed();
        Published { text }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what the file has from a former run, once: its flags are served at once.
    async fn recover(&self) -> Result<(), Failure> {
        let mut outlets = self.outlets.lock().await;
        let Some(path) = self.file.clone().filter(|_| !outlets.is_recovered) else { return Ok(()) };
        let found = spawn_blocking(move || read(&path)).await.map_err(Failure::temporary)?;
        if let Some(found) = found? {
            self.text.send_replace(found.text().into());
            {
                let mut state = self.state();
                state.changed = found.keys().map(str::to_owned).collect();
                state.definitions = found;
                state.version += 1;
            }
            self.publish(&mut outlets).await?;
        }
        outlets.is_recovered = true;
        Ok(())
    }

    /// Changes the definitions, and publishes them. Changes that come while others are published are
    /// published together.
    async fn change(
        &self,
        key: &str,
        change: impl FnOnce(&mut Definitions) -> Result<(), TooLong>,
    ) -> Result<(), Failure> {
        let version = {
            let mut state = self.state();
            change(&mut state.definitions).map_err(Failure::permanent)?;
            state.changed.insert(key.to_owned());
            state.version += 1;
            state.version
        };
        // Whoever waits here is published with others.
        let mut outlets = self.outlets.lock().await;
        if outlets.published >= version {
            return Ok(());
        }
        self.publish(&mut outlets).await
    }

    async fn publish(&self, outlets: &mut Outlets) -> Result<(), Failure> {
        let (version, changed, text) = {
            let mut state = self.state();
            let changed = std::mem::take(&mut state.changed);
            let is_wanted = self.file.is_some() || self.text.receiver_count() > 0;
            let text = is_wanted.then(|| Arc::<str>::from(state.definitions.text()));
            (state.version, changed, text)
        };
        let result = self.write(outlets, &changed, text).await;
        match result {
            Ok(()) => outlets.published = version,
            // They are published with the next attempt.
            Err(_) => self.state().changed.extend(changed),
        }
        result
    }

    async fn write(
        &self,
        outlets: &Outlets,
        changed: &BTreeSet<String>,
        text: Option<Arc<str>>,
    ) -> Result<(), Failure> {
        if let Some(server) = &outlets.server {
            let flags: Vec<_> = {
                let state = self.state();
                changed.iter().map(|key| (key, state.definitions.flag(key))).collect()
            };
            let update = server.flags().update(|draft| {
                for (key, flag) in flags {
                    match flag {
                        Some(flag) => draft.set(key, flag),
                        None => draft.remove(key),
                    };
                }
            });
            update.map_err(|error| Failure::permanent(FlagdError::from(error)))?;
        }
        let Some(text) = text.filter(|text| *text != *self.text.borrow()) else { return Ok(()) };
        if let Some(path) = self.file.clone() {
            let bytes = text.clone();
            let written = {
                let path = path.clone();
                let write =
                    move || write_atomically(&path, |file| file.write_all(bytes.as_bytes()));
                spawn_blocking(write).await
            };
            let written = written.unwrap_or_else(|error| Err(io::Error::other(error)));
            let failed = |source| FlagdError::Io { action: "write", path, source };
            written.map_err(|error| Failure::temporary(failed(error)))?;
        }
        self.text.send_replace(text);
        Ok(())
    }
}

/// Reads the definitions that a former run has written, if there was one.
fn read(path: &Path) -> Result<Option<Definitions>, Failure> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            let error = FlagdError::Io { action: "read", path: path.to_owned(), source };
            return Err(Failure::temporary(error));
        }
    };
    let found = Definitions::parse(&text);
    let foreign = |error| Failure::permanent(FlagdError::Foreign(path.to_owned(), error));
    found.map(Some).map_err(foreign)
}

impl FlagdTargetBuilder {
    /// Writes the definitions to a file, of which each content is whole: a reader sees the former or
    /// the next. It must belong to this target alone.
    #[must_use]
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(path.into());
        self
    }

    /// Serves the flags by this server, among the flags that the program itself sets.
    #[must_use]
    pub fn server(mut self, server: Server) -> Self {
        self.server = Some(server);
        self
    }

    /// Starts a server at these addresses, and serves the flags by it: evaluation, sync and OFREP. A
    /// service without an address is not offered, nor is a management port.
    ///
    /// # Errors
    ///
    /// When an address cannot be used.
    pub async fn serve(
        self,
        evaluation: Option<Listen>,
        sync: Option<Listen>,
        ofrep: Option<Listen>,
    ) -> Result<Self, ServerError> {
        let builder = Server::builder().without_management();
        let builder = match evaluation {
            Some(listen) => builder.evaluation(listen),
            None => builder.without_evaluation(),
        };
        let builder = match sync {
            Some(listen) => builder.sync(listen),
            None => builder.without_sync(),
        };
        let builder = match ofrep {
            Some(listen) => builder.ofrep(listen),
            None => builder.without_ofrep(),
        };
        Ok(self.server(builder.bind().await?))
    }

    /// Makes the target.
    #[must_use]
    pub fn build(self) -> FlagdTarget {
        let state =
            State { definitions: Definitions::default(), version: 0, changed: BTreeSet::new() };
        let serves = self.server.is_some();
        let outlets = Outlets { server: self.server, published: 0, is_recovered: false };
        FlagdTarget {
            state: Mutex::new(state),
            outlets: tokio::sync::Mutex::new(outlets),
            text: watch::Sender::new(Definitions::default().text().into()),
            file: self.file,
            serves,
        }
    }
}

/// The definitions, whenever they have changed.
struct Published {
    text: watch::Receiver<Arc<str>>,
}

#[async_trait]
impl FlagSource for Published {
    fn name(&self) -> &'static str {
        "optoggles"
    }

    async fn next(&mut self) -> Result<Definition, SourceError> {
        self.text.changed().await.map_err(SourceError::fatal)?;
        let text = self.text.borrow_and_update().to_string();
        Ok(Definition::json(text))
    }
}

#[async_trait]
impl ToggleTarget for FlagdTarget {
    async fn prepare(&self, toggle: &Toggle) -> Result<Prepared, Failure> {
        Ok(Prepared::created(self.read(toggle).await?))
    }

    async fn write(&self, toggle: &Toggle, users: &Users) -> Result<(), Failure> {
        self.change(&toggle.key, |definitions| definitions.set(&toggle.key, users)).await
    }

    async fn read(&self, toggle: &Toggle) -> Result<Held, Failure> {
        self.recover().await?;
        let state = self.state();
        let users = state.definitions.users(&toggle.key);
        if users.is_none() && self.file.is_none() && !self.serves {
            // Another engine may serve it: a plan makes its targets without servers.
            return Ok(Held::Unknown);
        }
        // What could not be published is not in force, nor is a toggle that has no flag yet.
        let in_force = users.is_some() && !state.changed.contains(&toggle.key);
        let users = users.cloned().unwrap_or_default();
        Ok(Held::Users { everywhere: users.clone(), anywhere: users, in_force })
    }

    /// The definitions are this target's alone, and need no marks.
    async fn is_marked(&self, toggle: &Toggle) -> Result<bool, Failure> {
        self.recover().await?;
        Ok(self.state().definitions.users(&toggle.key).is_some())
    }

    async fn remove(&self, toggle: &Toggle, removal: Removal) -> Result<(), Failure> {
        self.recover().await?;
        let key = &*toggle.key;
        self.change(key, |definitions| match removal {
            Removal::SwitchOff => definitions.set(key, &Users::default()),
            Removal::Delete => {
                definitions.remove(key);
                Ok(())
            }
        })
        .await
    }

    async fn check(&self) -> Result<(), Failure> {
        self.recover().await
    }

    async fn close(&self) {
        let server = self.outlets.lock().await.server.take();
        if let Some(server) = server {
            server.shutdown().await;
        }
    }
}
