//! From a configuration to sources, targets and toggles.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    sync::Arc,
};

use secrecy::ExposeSecret as _;

use super::{
    error::EngineError,
    parts::{Entry, Parts, Source, Target},
};
use crate::optoggles::{
    callbacks::Tokens,
    config::{Config, SourceConfig, SourceKind, TargetConfig, ToggleConfig},
    record::Record,
    source::{OpaSource, OpalSource},
    target::{FlagdTarget, LaunchDarklyTarget, RestTarget},
};

/// What makes parts of a configuration, when it is read and whenever it is read again.
#[derive(Clone)]
pub(super) struct Factory {
    pub(super) tokens: Tokens,
    pub(super) record: Option<Record>,
    /// The port of the HTTP server, for callbacks.
    pub(super) port: u16,
    /// The name of this installation, for the keys of callbacks.
    pub(super) instance: String,
}

/// The parts of a configuration that nobody calls back and that serve nothing: to look, and to change
/// nothing.
pub(super) async fn passive_parts(config: &Config) -> Result<Parts, EngineError> {
    let mut config = config.clone();
    for (_, target) in &mut config.targets {
        if let TargetConfig::Flagd { evaluation, sync, ofrep, .. } = target {
            (*evaluation, *sync, *ofrep) = (None, None, None);
        }
    }
    let record = config.state.as_ref().map(|path| Record::open(path, &config.instance));
    let (record, tokens) = (record.transpose()?, Tokens::random()?);
    let factory = Factory { tokens, record, port: 0, instance: config.instance.clone() };
    factory.parts(&config, &Parts::default()).await
}

impl Factory {
    /// The parts of a configuration. Sources and targets that are configured as they were are taken
    /// over.
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
        // A configuration that is valid names nothing that does not exist.
        let entry = |toggle: &ToggleConfig| {
            let targets = toggle.targets.iter().filter_map(|id| index(&target_ids, id)).collect();
            let source = index(&source_ids, &toggle.source)?;
            Some(Entry { toggle: Arc::new(toggle.toggle.clone()), source, targets })
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
                let address = match advertised_address {
                    Some(address) => address.clone(),
                    None => SocketAddr::new(own_address(url), self.port).to_string(),
                };
                let base = if address.contains("://") {
                    address.trim_end_matches('/').to_owned()
                } else {
                    format!("http://{address}")
                };
                let token = self.tokens.of(id);
                // Replicas behind one address have names of their own, as containers do.
                let host = std::env::var("HOSTNAME").unwrap_or_default();
                let key = format!("optoggles-{}-{id}-{host}-{address}", self.instance);
                let url = format!("{base}/opa_update");
                let opal = builder.build(&key, url, token.expose_secret()).map_err(failed)?;
                let opal = Arc::new(opal);
                let mut source = Source::new(id, opal.clone());
                source.opal = Some(opal);
                source
            }
        };
        source.config = Some(config.clone());
        Ok(source)
    }

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

/// The address of this machine that a host is reached from, which nothing is sent to find out.
fn own_address(url: &str) -> IpAddr {
    let found = || {
        let url = reqwest::Url::parse(url).ok()?;
        let peer = *url.socket_addrs(|| None).ok()?.first()?;
        let any: IpAddr = if peer.is_ipv4() { [0; 4].into() } else { [0_u8; 16].into() };
        let socket = UdpSocket::bind((any, 0)).ok()?;
        socket.connect(peer).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    found().unwrap_or(Ipv4Addr::LOCALHOST.into())
}
