//! The engine before it runs: its description, and how that is assembled.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{
    error::EngineError,
    factory::{passive_parts, problems},
    parts::{Entry, Parts, Source, Target},
    plan::{Plan, plan},
    running::Running,
    start,
};
use crate::{
    http::Listen,
    optoggles::{
        config::Config, machine::Settings, source::PolicySource, target::ToggleTarget,
        toggle::Toggle,
    },
};

/// Keeps toggles in step with a policy, once it is [started](Self::start).
///
/// An engine does nothing before that, so it also serves to look at what would happen:
/// [`plan`](Self::plan) and [`check`](Self::check).
///
/// From a configuration file, as `flagstaff optoggles` does:
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
/// From parts:
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

/// What an engine is made of.
enum Kind {
    /// A configuration. Sources and targets are made of it at the start.
    Config {
        config: Box<Config>,
        /// The file that is read again when it changes. `None`: the configuration stays.
        path: Option<PathBuf>,
    },
    /// Parts that the program has made.
    Parts {
        parts: Box<Parts>,
        /// The address for metrics and details, if they are served.
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

/// Assembles an [`Engine`] from sources, targets and toggles; see [`Engine::builder`].
///
/// Sources and targets have ids, which name them in logs, metrics and the status. Give
/// each its own. Toggles may be added before the source and the targets they name.
#[derive(Default)]
pub struct EngineBuilder {
    sources: Vec<Source>,
    targets: Vec<Target>,
    /// The id of its source, the toggle, and the ids of its targets (`None`: all).
    toggles: Vec<(String, Toggle, Option<Vec<String>>)>,
    settings: Settings,
    resync: Option<Duration>,
    /// The address for metrics and details.
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
    /// Creates an engine from a configuration file, which is read again when it changes
    /// and at [`Running::reload`].
    ///
    /// Use `Engine::from` for a [`Config`] that does not come from a file, or must not be
    /// read again.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or is invalid.
    pub fn from_config(path: impl AsRef<Path>) -> Result<Self, EngineError> {
        let path = path.as_ref();
        let config = Box::new(Config::load(path)?);
        Ok(Self(Kind::Config { config, path: Some(path.to_owned()) }))
    }

    /// Begins with an engine without sources, targets and toggles.
    ///
    /// ```
    /// use flagstaff::optoggles::{Engine, FlagdTarget, OpaSource, Rule, Toggle};
    ///
    /// # fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let engine = Engine::builder()
    ///     .source("opa", OpaSource::builder("http://127.0.0.1:8181").build()?)
    ///     .target("file", FlagdTarget::builder().file("flags.json").build())
    ///     .target("other", FlagdTarget::builder().file("other.json").build())
    ///     .toggle("opa", Toggle::new("everywhere", Rule::new("app", "users")))
    ///     .toggle_for("opa", Toggle::new("here", Rule::new("app", "testers")), ["other"])
    ///     .max_removed(0.5)
    ///     .build()?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn builder() -> EngineBuilder {
        EngineBuilder::default()
    }

    /// Computes what a sync would change now: queries the sources, reads the targets, and
    /// changes nothing.
    ///
    /// A source or a target that fails is part of the [`Plan`], not an error.
    ///
    /// ```no_run
    /// use flagstaff::optoggles::Engine;
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let plan = Engine::from_config("config.yaml")?.plan().await?;
    /// for change in &plan.changes {
    ///     println!("{} at {}: {:?}", change.toggle, change.target, change.action);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// When the state cannot be read, or the configuration of a source or a target cannot
    /// be used.
    pub async fn plan(&self) -> Result<Plan, EngineError> {
        Ok(plan(self.passive_parts().await?).await)
    }

    /// Checks what [`Config::parse`] does not: whether URLs and headers can be used, and whether
    /// each toggle has what its targets need. Returns an [`EngineError::Source`] or
    /// [`EngineError::Target`] for each problem. It reads no file and sends nothing.
    ///
    /// ```
    /// use flagstaff::optoggles::{Config, Engine};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let config = Config::parse("
    /// sources: [{id: opa, sourceType: opa, url: 'opa:8181'}]
    /// target: {targetType: flagd, targetSpec: {file: /run/flags.json}}
    /// ")?;
    /// let problems = Engine::from(config).validate().await?;
    /// assert_eq!(problems.len(), 1, "the URL has no scheme");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// When the system has no random numbers.
    pub async fn validate(&self) -> Result<Vec<EngineError>, EngineError> {
        match &self.0 {
            Kind::Config { config, .. } => problems(config).await,
            Kind::Parts { parts, .. } => {
                let invalid = |(toggle, target): (usize, usize)| {
                    let target = &parts.targets[target];
                    let source = target.target.validate(&parts.toggles[toggle].toggle).err()?;
                    Some(EngineError::Target { id: target.id.clone(), source })
                };
                Ok(parts.cells().filter_map(invalid).collect())
            }
        }
    }

    /// Checks whether sources and targets answer and accept their tokens. Returns an
    /// [`EngineError::Source`] or [`EngineError::Target`] for each that does not; an empty
    /// list means that all do.
    ///
    /// They are checked one after the other, each for at most some ten seconds a request.
    ///
    /// # Errors
    ///
    /// As for [`plan`](Self::plan).
    pub async fn check(&self) -> Result<Vec<EngineError>, EngineError> {
        let parts = self.passive_parts().await?;
        let mut failures = Vec::new();
        for source in &parts.sources {
            if let Err(failure) = source.source.check().await {
                failures.push(EngineError::Source { id: source.id.clone(), source: failure });
            }
        }
        for target in &parts.targets {
            if let Err(failure) = target.target.check().await {
                failures.push(EngineError::Target { id: target.id.clone(), source: failure });
            }
        }
        Ok(failures)
    }

    /// The parts to look at. Those of a configuration serve nothing and register nowhere.
    async fn passive_parts(&self) -> Result<Parts, EngineError> {
        match &self.0 {
            Kind::Config { config, .. } => passive_parts(config).await,
            Kind::Parts { parts, .. } => Ok((**parts).clone()),
        }
    }

    /// Starts to keep the toggles in step: opens the listeners, and begins to query the
    /// sources.
    ///
    /// It does not wait for sources and targets, which may be unreachable;
    /// [`Running::started`] does. Must be called in a tokio runtime, in which the engine
    /// then runs.
    ///
    /// # Errors
    ///
    /// When an address cannot be listened on, the state or the callback secret cannot be
    /// read, or the configuration of a source or a target cannot be used.
    pub async fn start(self) -> Result<Running, EngineError> {
        match self.0 {
            Kind::Config { config, path } => start::start_config(*config, path).await,
            Kind::Parts { parts, listen } => start::start_parts(*parts, listen).await,
        }
    }
}

/// An engine of a configuration that is not read again.
///
/// ```
/// use flagstaff::optoggles::{Config, Engine};
///
/// let config = Config::parse("
/// sources: [{id: opa, sourceType: opa, url: http://127.0.0.1:8181}]
/// target: {targetType: flagd, targetSpec: {file: /run/flags.json}}
/// ")?;
/// let engine = Engine::from(config);
/// # Ok::<(), flagstaff::optoggles::ConfigError>(())
/// ```
impl From<Config> for Engine {
    fn from(config: Config) -> Self {
        Self(Kind::Config { config: Box::new(config), path: None })
    }
}

impl EngineBuilder {
    /// Adds a source, to which toggles refer by this id.
    #[must_use]
    pub fn source(self, id: impl Into<String>, source: impl PolicySource) -> Self {
        self.shared_source(id, Arc::new(source))
    }

    /// Adds a source to which the program keeps a handle, for example to
    /// [pass callbacks on](crate::optoggles::OpalSource::pulse) to it.
    #[must_use]
    pub fn shared_source(mut self, id: impl Into<String>, source: Arc<dyn PolicySource>) -> Self {
        self.sources.push(Source::new(id, source));
        self
    }

    /// Adds a target, to which toggles may refer by this id.
    #[must_use]
    pub fn target(self, id: impl Into<String>, target: impl ToggleTarget) -> Self {
        self.shared_target(id, Arc::new(target))
    }

    /// Adds a target to which the program keeps a handle, for example to read from it.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use flagstaff::optoggles::{Engine, FlagdTarget};
    ///
    /// let flags = Arc::new(FlagdTarget::builder().build());
    /// let builder = Engine::builder().shared_target("flagd", flags.clone());
    /// // `flags.source()` supplies a provider in this process.
    /// ```
    #[must_use]
    pub fn shared_target(mut self, id: impl Into<String>, target: Arc<dyn ToggleTarget>) -> Self {
        self.targets.push(Target::new(id, target));
        self
    }

    /// Adds a toggle whose users come from the source with this id, for all targets.
    #[must_use]
    pub fn toggle(mut self, source: impl Into<String>, toggle: Toggle) -> Self {
        self.toggles.push((source.into(), toggle, None));
        self
    }

    /// Adds a toggle whose users come from the source with this id, for the targets with
    /// these ids.
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

    /// Sets how often everything is compared afresh: what sources answer, and what
    /// targets hold. Zero: never. Default: 5 minutes.
    ///
    /// It catches changes that a source does not notice and lists that were edited by
    /// hand.
    #[must_use]
    pub fn resync_interval(mut self, interval: Duration) -> Self {
        self.resync = Some(interval);
        self
    }

    /// Sets how long a set of users must stay empty before that counts, unless its source
    /// [vouches for it](crate::optoggles::Answer::Users). Zero: it counts at once.
    /// Default: 30 s.
    ///
    /// The pause is also how late a true revocation of everybody can be.
    #[must_use]
    pub fn empty_confirmation(mut self, pause: Duration) -> Self {
        self.settings.empty_confirmation = pause;
        self
    }

    /// Sets the largest share of a toggle's users that one write may remove, from 0 (no
    /// removal) to 1 (no limit). A larger change is held back until somebody
    /// [confirms](Running::confirm) it, or the policy takes it back. Default: no limit.
    ///
    /// It does not apply to the first write to a target that cannot be read, since the
    /// engine does not know whom it has. (An engine of a configuration with `state` does: it
    /// records the last list.)
    #[must_use]
    pub fn max_removed(mut self, share: f64) -> Self {
        self.settings.max_removed = Some(share);
        self
    }

    /// Serves `/metrics` and `/details` at this address, without authentication. Default:
    /// nowhere.
    #[must_use]
    pub fn management(mut self, listen: impl Into<Listen>) -> Self {
        self.management = Some(listen.into());
        self
    }

    /// Creates the engine, which must then be [started](Engine::start).
    ///
    /// # Errors
    ///
    /// When an id is given twice, the share of `max_removed` is not from 0 to 1, two
    /// toggles have the same key, or a toggle names a source or a target that
    /// does not exist, or a target twice.
    ///
    /// ```
    /// use flagstaff::optoggles::{Engine, Rule, Toggle};
    ///
    /// let toggle = Toggle::new("us-only", Rule::new("app.rbac", "us_users"));
    /// let error = Engine::builder().toggle("opa", toggle).build().unwrap_err();
    /// assert_eq!(error.to_string(), "toggle `us-only`: there is no source `opa`");
    /// ```
    pub fn build(self) -> Result<Engine, EngineError> {
        let Self { sources, targets, toggles, settings, resync, management } = self;
        let option = |option, reason| EngineError::Option { option, reason };
        if let Some(id) = twice(sources.iter().map(|source| &*source.id)) {
            return Err(option("source", format!("`{id}` is given twice")));
        }
        if let Some(id) = twice(targets.iter().map(|target| &*target.id)) {
            return Err(option("target", format!("`{id}` is given twice")));
        }
        if let Some(share) = settings.max_removed
            && !(0.0..=1.0).contains(&share)
        {
            return Err(option("max_removed", format!("expected 0 to 1, got {share}")));
        }
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

/// The first that comes a second time.
fn twice<'i>(ids: impl Iterator<Item = &'i str>) -> Option<&'i str> {
    let mut seen = HashSet::new();
    ids.into_iter().find(|id| !seen.insert(*id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optoggles::{FlagdTarget, OpaSource, Rule};

    #[test]
    fn what_could_not_work_is_rejected() {
        crate::testing::bring_cryptography();
        let source = || OpaSource::builder("http://127.0.0.1:1").build().unwrap();
        let target = || FlagdTarget::builder().build();
        let builder = Engine::builder;
        for (builder, expected) in [
            (
                builder().source("a", source()).source("a", source()),
                "option `source`: `a` is given twice",
            ),
            (
                builder().target("a", target()).target("a", target()),
                "option `target`: `a` is given twice",
            ),
            (builder().max_removed(1.5), "option `max_removed`: expected 0 to 1, got 1.5"),
            (builder().max_removed(f64::NAN), "option `max_removed`: expected 0 to 1, got NaN"),
        ] {
            assert_eq!(builder.build().unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn a_toggle_names_each_target_once() {
        crate::testing::bring_cryptography();
        let built = |targets: &[&str]| {
            Engine::builder()
                .source("s", OpaSource::builder("http://opa").build().unwrap())
                .target("t", FlagdTarget::builder().build())
                .target("u", FlagdTarget::builder().build())
                .toggle_for("s", Toggle::new("a", Rule::new("p", "r")), targets.iter().copied())
                .build()
        };
        built(&["u", "t"]).unwrap();
        let error = built(&["t", "u", "t"]).unwrap_err().to_string();
        assert_eq!(error, "toggle `a`: the target `t` is given twice");
    }
}
