//! An engine before it runs: what it is made of.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{
    error::EngineError,
    factory::passive_parts,
    parts::{Entry, Parts, Source, Target},
    plan::{Plan, plan},
    running::Running,
    start,
};
use crate::{
    http::Listen,
    optoggles::{
        config::Config, failure::Failure, machine::Settings, source::PolicySource,
        target::ToggleTarget, toggle::Toggle,
    },
};

/// Keeps toggles in step with a policy, once it is [started](Self::start).
///
/// ```no_run
/// use flagstaff::optoggles::Engine;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let engine = Engine::from_config("config.yaml")?;
/// let running = engine.start().await?;
/// // On SIGTERM:
/// running.shutdown().await;
/// # Ok(()) }
/// ```
///
/// With sources and targets of the program's own:
///
/// ```no_run
/// use flagstaff::optoggles::{Engine, FlagdTarget, OpaSource, Rule, Toggle};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let running = Engine::builder()
///     .source("opa", OpaSource::builder("http://127.0.0.1:8181").build()?)
///     .target("flagd", FlagdTarget::builder().file("flags.json").build())
///     .toggle("opa", Toggle::new("us-only", Rule::new("app.rbac", "us_users")))
///     .build()?
///     .start()
///     .await?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Engine(Kind);

enum Kind {
    /// Of a file, which is read again when it changes.
    Config {
        config: Box<Config>,
        path: Option<PathBuf>,
    },
    Parts {
        parts: Box<Parts>,
        listen: Option<Listen>,
    },
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Config { path, .. } => {
                f.debug_struct("Config").field("path", path).finish_non_exhaustive()
            }
            Self::Parts { .. } => f.debug_struct("Parts").finish_non_exhaustive(),
        }
    }
}

/// What an [`Engine`] is made of.
#[derive(Default)]
pub struct EngineBuilder {
    sources: Vec<Source>,
    targets: Vec<Target>,
    toggles: Vec<(String, Toggle, Option<Vec<String>>)>,
    settings: Settings,
    resync: Option<Duration>,
    management: Option<Listen>,
}

impl std::fmt::Debug for EngineBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineBuilder")
            .field("toggles", &self.toggles.len())
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine of a configuration file, which is read again when it changes.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or is invalid.
    pub fn from_config(path: impl AsRef<Path>) -> Result<Self, EngineError> {
        let path = path.as_ref();
        let config = Box::new(Config::load(path)?);
        Ok(Self(Kind::Config { config, path: Some(path.to_owned()) }))
    }

    /// An engine of sources, targets and toggles that the program gives it.
    #[must_use]
    pub fn builder() -> EngineBuilder {
        EngineBuilder::default()
    }

    /// What a sync would change now. It asks the sources, reads the targets, and changes nothing.
    ///
    /// # Errors
    ///
    /// When the state cannot be read, or a source or a target cannot be made of the configuration.
    pub async fn plan(&self) -> Result<Plan, EngineError> {
        Ok(plan(self.passive_parts().await?).await)
    }

    /// Whether sources and targets answer and accept their tokens: what fails, by the id of the
    /// source or the target.
    ///
    /// # Errors
    ///
    /// As of [`plan`](Self::plan).
    pub async fn check(&self) -> Result<Vec<(String, Failure)>, EngineError> {
        let parts = self.passive_parts().await?;
        let mut failures = Vec::new();
        for source in &parts.sources {
            let checked = source.source.check().await;
            failures.extend(checked.err().map(|failure| (source.id.clone(), failure)));
        }
        for target in &parts.targets {
            let checked = target.target.check().await;
            failures.extend(checked.err().map(|failure| (target.id.clone(), failure)));
        }
        Ok(failures)
    }

    async fn passive_parts(&self) -> Result<Parts, EngineError> {
        match &self.0 {
            Kind::Config { config, .. } => passive_parts(config).await,
            Kind::Parts { parts, .. } => Ok((**parts).clone()),
        }
    }

    /// Starts to keep the toggles in step: opens the listeners, and asks the sources.
    ///
    /// It does not wait for sources and targets, which may be unreachable; see
    /// [`Running::started`].
    ///
    /// # Errors
    ///
    /// When an address cannot be used, the state cannot be read, or a source or a target cannot be
    /// made of the configuration.
    pub async fn start(self) -> Result<Running, EngineError> {
        match self.0 {
            Kind::Config { config, path } => start::start_config(*config, path).await,
            Kind::Parts { parts, listen } => start::start_parts(*parts, listen).await,
        }
    }
}

impl From<Config> for Engine {
    fn from(config: Config) -> Self {
        Self(Kind::Config { config: Box::new(config), path: None })
    }
}

impl EngineBuilder {
    /// Adds a source.
    #[must_use]
    pub fn source(mut self, id: impl Into<String>, source: impl PolicySource) -> Self {
        self.sources.push(Source::new(id, Arc::new(source)));
        self
    }

    /// Adds a target.
    #[must_use]
    pub fn target(self, id: impl Into<String>, target: impl ToggleTarget) -> Self {
        self.shared_target(id, Arc::new(target))
    }

    /// Adds a target that the program keeps a handle to.
    #[must_use]
    pub fn shared_target(mut self, id: impl Into<String>, target: Arc<dyn ToggleTarget>) -> Self {
        self.targets.push(Target::new(id, target));
        self
    }

    /// Adds a toggle of the source of this id, for all targets.
    #[must_use]
    pub fn toggle(mut self, source: impl Into<String>, toggle: Toggle) -> Self {
        self.toggles.push((source.into(), toggle, None));
        self
    }

    /// Adds a toggle of the source of this id, for the targets of these ids.
    #[must_use]
    pub fn toggle_for(
        mut self,
        source: impl Into<String>,
        toggle: Toggle,
        targets: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let targets = targets.into_iter().map(Into::into).collect();
        self.toggles.push((source.into(), toggle, Some(targets)));
        self
    }

    /// How often everything is looked at again; zero is never. Default: 5 minutes.
    #[must_use]
    pub fn resync_interval(mut self, interval: Duration) -> Self {
        self.resync = Some(interval);
        self
    }

    /// How long a set of users must stay empty before it is written, unless its source vouches for
    /// it. Default: 30 s.
    #[must_use]
    pub fn empty_confirmation(mut self, pause: Duration) -> Self {
        self.settings.empty_confirmation = pause;
        self
    }

    /// The largest share of the users of a toggle that one write may remove, from 0 to 1; a larger
    /// change is held back until it is [confirmed](Running::confirm). Default: none.
    #[must_use]
    pub fn max_removed(mut self, share: f64) -> Self {
        self.settings.max_removed = Some(share);
        self
    }

    /// Serves metrics and details at this address. Default: nowhere.
    #[must_use]
    pub fn management(mut self, listen: impl Into<Listen>) -> Self {
        self.management = Some(listen.into());
        self
    }

    /// Makes the engine.
    ///
    /// # Errors
    ///
    /// When a toggle comes twice, or names a source or a target that does not exist.
    pub fn build(self) -> Result<Engine, EngineError> {
        let Self { sources, targets, toggles, settings, resync, management } = self;
        let mut entries: Vec<Entry> = Vec::new();
        for (source, toggle, named) in toggles {
            let key = toggle.key.clone();
            let error = |reason: String| EngineError::Toggle { key: key.clone(), reason };
            if entries.iter().any(|entry| entry.toggle.key == key) {
                return Err(error("it is given twice".to_owned()));
            }
            let found = sources.iter().position(|other| other.id == source);
            let source = found.ok_or_else(|| error(format!("there is no source `{source}`")))?;
            let targets = match named {
                None => (0..targets.len()).collect(),
                Some(named) => {
                    let mut indexes = Vec::new();
                    for id in named {
                        let found = targets.iter().position(|target| target.id == id);
                        let index =
                            found.ok_or_else(|| error(format!("there is no target `{id}`")))?;
                        if indexes.contains(&index) {
                            return Err(error(format!("the target `{id}` is given twice")));
                        }
                        indexes.push(index);
                    }
                    indexes
                }
            };
            entries.push(Entry { toggle: Arc::new(toggle), source, targets });
        }
        let resync = resync.unwrap_or(Duration::from_secs(5 * 60));
        let parts =
            Parts { sources, targets, toggles: entries, settings, resync, ..Parts::default() };
        Ok(Engine(Kind::Parts { parts: Box::new(parts), listen: management }))
    }
}
