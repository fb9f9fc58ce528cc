//! Makes sources, targets and toggles of a configuration.
//!
//! Sources and targets are costly to replace: an OPAL source is registered at its
//! client, and a flagd target serves at an address. So those whose configuration is the
//! same as before are taken over, and the rest are new.

use std::{collections::HashMap, sync::Arc};

use secrecy::ExposeSecret as _;

use super::{
    error::EngineError,
    parts::{Entry, Parts, Source, Target},
};
use crate::optoggles::{
    callbacks::Tokens,
    config::{Config, SourceConfig, SourceKind, TargetConfig, ToggleConfig},
    record::Record,
    source::{CallbackUrl, OpaSource, OpalSource},
    target::{FlagdTarget, LaunchDarklyTarget, RestTarget},
};

/// Makes [`Parts`] of a configuration, at the start and whenever it is read again. It
/// holds what stays the same for the whole life of an engine.
#[derive(Clone)]
pub(super) struct Factory {
    /// Issues the callback tokens.
    pub(super) tokens: Tokens,
    /// The record in the file `state`, if one is configured.
    pub(super) record: Option<Record>,
    /// The port at which callbacks are served, for their URLs.
    pub(super) port: u16,
    /// The name of this installation, for the keys of callbacks.
    pub(super) instance: String,
}

/// Makes parts of a configuration to look at and not to run: targets open no listeners,
/// and nothing registers a callback. (Sources register only when they are watched.)
pub(super) async fn passive_parts(config: &Config) -> Result<Parts, EngineError> {
    let record = config.state.as_ref().map(|path| Record::open(path, &config.instance));
    passive(config, record.transpose()?)?.parts(&unserved(config), &Parts::default()).await
}

/// Returns what keeps the parts of a configuration from being made, and which toggles a target
/// cannot have. Reads no file and sends nothing.
pub(super) async fn problems(config: &Config) -> Result<Vec<EngineError>, EngineError> {
    let config = unserved(config);
    let factory = passive(&config, config.state.is_some().then(Record::default))?;
    let mut problems = Vec::new();
    for (id, source) in &config.sources {
        problems.extend(factory.source(id, source).err());
    }
    for (id, target) in &config.targets {
        match factory.target(id, target).await {
            Err(error) => problems.push(error),
            Ok(target) => {
                let toggles = config.toggles.iter().filter(|toggle| toggle.targets.contains(id));
                let failures =
                    toggles.filter_map(|toggle| target.target.validate(&toggle.toggle).err());
                let problem = |source| EngineError::Target { id: id.clone(), source };
                problems.extend(failures.map(problem));
            }
        }
    }
    Ok(problems)
}

/// A factory whose parts register nowhere.
fn passive(config: &Config, record: Option<Record>) -> Result<Factory, EngineError> {
    let (tokens, instance) = (Tokens::random()?, config.instance.clone());
    Ok(Factory { tokens, record, port: 0, instance })
}

/// The configuration without the addresses at which targets serve.
fn unserved(config: &Config) -> Config {
    let mut config = config.clone();
    for (_, target) in &mut config.targets {
        if let TargetConfig::Flagd { evaluation, sync, ofrep, .. } = target {
            (*evaluation, *sync, *ofrep) = (None, None, None);
        }
    }
    config
}

impl Factory {
    /// Makes the parts of a configuration. Sources and targets with the same id and
    /// configuration as in `former` are taken over.
    ///
    /// # Errors
    ///
    /// When the configuration of a source or a target cannot be used, or an address of a
    /// flagd target cannot be listened on. `former` is not affected.
    pub(super) async fn parts(
        &self,
        config: &Config,
        former: &Parts,
    ) -> Result<Parts, EngineError> {
        let mut sources = Vec::new();
        for (id, source) in &config.sources {
            let same = |other: &&Source| other.id == *id && other.config.as_ref() == Some(source);
            match former.sources.iter().find(same) {
                Some(same) => sources.push(same.clone()),
                None => sources.push(self.source(id, source)?),
            }
        }
        let mut targets = Vec::new();
        for (id, target) in &config.targets {
            let same = |other: &&Target| other.id == *id && other.config.as_ref() == Some(target);
            match former.targets.iter().find(same) {
                Some(same) => targets.push(same.clone()),
                None => targets.push(self.target(id, target).await?),
            }
        }
        let index = |ids: &HashMap<&str, usize>, id: &str| ids.get(id).copied();
        let source_ids: HashMap<_, _> =
            config.sources.iter().enumerate().map(|(index, (id, _))| (&**id, index)).collect();
        let target_ids: HashMap<_, _> =
            config.targets.iter().enumerate().map(|(index, (id, _))| (&**id, index)).collect();
        // A valid configuration names only sources and targets that exist, so nothing is left out.
        let entry = |toggle: &ToggleConfig| {
            let targets = toggle.targets.iter().filter_map(|id| index(&target_ids, id)).collect();
            let source = index(&source_ids, &toggle.source)?;
            let mut toggle = toggle.toggle.clone();
            toggle.mark = self.record.as_ref().map(|record| record.mark(&toggle.key));
            Some(Entry { toggle: Arc::new(toggle), source, targets })
        };
        Ok(Parts {
            toggles: config.toggles.iter().filter_map(entry).collect(),
            sources,
            targets,
            settings: config.settings,
            resync: config.resync,
            removal: config.removal,
            record: self.record.clone(),
        })
    }

    /// Makes a source. Sends nothing yet.
    fn source(&self, id: &str, config: &SourceConfig) -> Result<Source, EngineError> {
        let failed = |source| EngineError::Source { id: id.to_owned(), source };
        let SourceConfig { kind, url, token, guard } = config;
        let mut source = match kind {
            SourceKind::Opa { interval } => {
                let mut builder = OpaSource::builder(url).poll_interval(*interval).guard(guard);
                if let Some(token) = token {
                    builder = builder.token(token.clone());
                }
                Source::new(id, Arc::new(builder.build().map_err(failed)?))
            }
            SourceKind::Opal { advertised_address, opa_url, opa_token } => {
                let mut builder = OpalSource::builder(url).guard(guard);
                if let Some(token) = token {
                    builder = builder.token(token.clone());
                }
                if let Some(url) = opa_url {
                    builder = builder.opa_url(url);
                }
                if let Some(token) = opa_token {
                    builder = builder.opa_token(token.clone());
                }
                let token = self.tokens.of(id);
                let (address, url) = match advertised_address {
                    Some(address) => (address.clone(), CallbackUrl::Given(callback_url(address))),
                    None => (self.port.to_string(), CallbackUrl::Own(self.port)),
                };
                // The key must differ between replicas, even those behind one address.
                let key = format!("optoggles-{}-{id}-{}-{address}", self.instance, host_name());
                let opal = builder.build_for(&key, url, token.expose_secret()).map_err(failed)?;
                let opal = Arc::new(opal);
                let mut source = Source::new(id, opal.clone());
                source.opal = Some(opal);
                source
            }
        };
        source.config = Some(config.clone());
        Ok(source)
    }

    /// Makes a target. One of flagd serves from now on.
    async fn target(&self, id: &str, config: &TargetConfig) -> Result<Target, EngineError> {
        let failed = |source| EngineError::Target { id: id.to_owned(), source };
        let mut target = match config {
            TargetConfig::LaunchDarkly { token, base, merges } => {
                let mut builder = LaunchDarklyTarget::builder(token.clone());
                if let Some(base) = base {
                    builder = builder.base_uri(base);
                }
                if let Some(record) = self.record.as_ref().filter(|_| *merges) {
                    builder = builder.merge(id, record.clone());
                }
                Target::new(id, Arc::new(builder.build().map_err(failed)?))
            }
            TargetConfig::Rest { url, headers } => {
                let mut builder = RestTarget::builder(url);
                for (name, value) in headers {
                    builder = builder.header(name, value.expose_secret());
                }
                Target::new(id, Arc::new(builder.build().map_err(failed)?))
            }
            TargetConfig::Flagd { file, evaluation, sync, ofrep } => {
                let mut builder = FlagdTarget::builder();
                if let Some(file) = file {
                    builder = builder.file(file);
                }
                if evaluation.is_some() || sync.is_some() || ofrep.is_some() {
                    if sync.is_some() {
                        tracing::info!(
                            target = id,
                            "the sync port publishes the names of all users"
                        );
                    }
                    let served =
                        builder.serve(evaluation.clone(), sync.clone(), ofrep.clone()).await;
                    let failed = |source| EngineError::Server {
                        id: id.to_owned(),
                        source: Box::new(source),
                    };
                    builder = served.map_err(failed)?;
                }
                Target::new(id, Arc::new(builder.build()))
            }
        };
        target.config = Some(config.clone());
        Ok(target)
    }
}

/// Where an address in the configuration, which is `host:port` or a URL, takes callbacks.
fn callback_url(address: &str) -> String {
    let base = if address.contains("://") {
        address.trim_end_matches('/').to_owned()
    } else {
        format!("http://{address}")
    };
    format!("{base}/opa_update")
}

/// The name of this machine or container; empty if there is none.
fn host_name() -> String {
    let name = std::env::var("HOSTNAME").ok();
    let name = name.or_else(|| std::fs::read_to_string("/proc/sys/kernel/hostname").ok());
    name.unwrap_or_default().trim().to_owned()
}
