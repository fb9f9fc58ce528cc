//! What the provider of a scenario connects to: a flagd behind a gate, a file, or neither.

use std::{
    fs, mem,
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use serde_json::{Value as Json, json};
use tokio::{task::JoinHandle, time::sleep};
use tonic::{Code, Request, Status};

use crate::{
    options::Value,
    suite::Suite,
    support::{
        certs::Certificates,
        flagd::{Directory, FlagdProcess},
        ports::local,
        proto::{V1, v1},
        proxy::authority_proxy::AuthorityProxy,
        proxy::gate::TcpGate,
        scripted::ScriptedServer,
        servers::raw::closed_port,
        servers::sync_server::SyncServer,
        wait::becomes_true,
    },
};

const SOURCES: [&str; 2] = ["flags/allFlags.json", "rawflags/selector-flags.json"];
const METADATA_SOURCES: [&str; 1] = ["rawflags/selector-flag-combined-metadata.json"];

/// The authorities under which the proxy has flagd's evaluation, and its flag definitions.
const AUTHORITIES: [&str; 2] = ["rpc.service", "sync.service"];

const SYNC_SOCKET: &str = "flagd-sync.sock";

/// A kind of provider, as a step names it: by its backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Stable,
    Ssl,
    Socket,
    Metadata,
    SyncPayload,
    Unavailable,
    Forbidden,
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "stable" => Ok(Self::Stable),
            "ssl" => Ok(Self::Ssl),
            "socket" => Ok(Self::Socket),
            "metadata" => Ok(Self::Metadata),
            "syncpayload" => Ok(Self::SyncPayload),
            "unavailable" => Ok(Self::Unavailable),
            "forbidden" => Ok(Self::Forbidden),
            _ => Err(format!("there is no {name} provider")),
        }
    }
}

impl Kind {
    pub(crate) fn gets_ready(self) -> bool {
        !matches!(self, Self::Unavailable | Self::Forbidden)
    }

    pub(crate) fn needs_flagd(self, suite: Suite) -> bool {
        self.gets_ready() && suite != Suite::File
    }
}

/// It ends with the scenario.
pub(crate) struct Backend {
    suite: Suite,
    kind: Kind,
    peer: Peer,
    /// Files of flags that flagd reads.
    sources: &'static [&'static str],
    /// The port for the provider.
    port: u16,
    gate: Option<Arc<TcpGate>>,
    proxy: Option<AuthorityProxy>,
    certificates: Option<Certificates>,
}

enum Peer {
    Nobody,
    Forbidding(ScriptedServer),
    ForbiddingSync(SyncServer),
    Flagd(FlagdProcess),
    /// The file of the file resolver, and the directory it is in.
    File(PathBuf, Directory),
    /// A killed flagd or a deleted file, until it is restored.
    Away(JoinHandle<Result<Box<Peer>, String>>),
}

impl Backend {
    pub(crate) async fn start(suite: Suite, kind: Kind, flags: &Path) -> Result<Self, String> {
        let of_peer = |peer, port| Self {
            suite,
            kind,
            peer,
            sources: &[],
            port,
            gate: None,
            proxy: None,
            certificates: None,
        };
        let forbidden = Status::permission_denied("forbidden");
        match (kind, suite) {
            (Kind::Unavailable, _) => Ok(of_peer(Peer::Nobody, closed_port())),
            (Kind::Forbidden, Suite::Rpc) => {
                let server = ScriptedServer::start();
                server.fail_all(forbidden);
                let port = server.port();
                Ok(of_peer(Peer::Forbidding(server), port))
            }
            (Kind::Forbidden, _) => {
                let server = SyncServer::start(&json!({"flags": {}}));
                server.set_refusal(Some(forbidden));
                let port = server.port();
                Ok(of_peer(Peer::ForbiddingSync(server), port))
            }
            (_, Suite::File) => {
                let directory = Directory::of_testbed(flags);
                let file = match kind {
                    Kind::Metadata => directory.path().join(METADATA_SOURCES[0]),
                    _ => directory.main(),
                };
                Ok(of_peer(Peer::File(file, directory), closed_port()))
            }
            _ => of_peer(Peer::Nobody, 0).with_flagd(flags).await,
        }
    }

    async fn with_flagd(self, definitions: &Path) -> Result<Self, String> {
        let Self { kind, suite, .. } = self;
        let mut flagd = FlagdProcess::testbed(definitions);
        let mut sources = &SOURCES[..];
        let mut certificates = None;
        match kind {
            Kind::Ssl => flagd = flagd.tls(certificates.insert(Certificates::new())),
            Kind::Socket if suite == Suite::InProcess => {
                flagd = flagd.on_sync_socket(SYNC_SOCKET);
            }
            Kind::Socket => flagd = flagd.on_socket(),
            Kind::SyncPayload => flagd = flagd.arg("--disable-sync-metadata"),
            Kind::Metadata => {
                sources = &METADATA_SOURCES;
                let file = Path::new(sources[0]).file_name().unwrap();
                let key = answering_flag(&definitions.join(file))?;
                flagd = flagd.sources(sources).ready_when(&key);
            }
            _ => {}
        }
        let flagd = flagd.start().await?;
        until_loaded(&flagd, sources).await?;
        let port = if suite == Suite::Rpc { flagd.port() } else { flagd.ports().sync };
        let gate = Arc::new(TcpGate::to_port(port));
        let port = gate.port();
        Ok(Self { peer: Peer::Flagd(flagd), sources, port, gate: Some(gate), certificates, ..self })
    }

    /// The options with which a provider finds it.
    pub(crate) fn settings(&self) -> Vec<(&'static str, Value)> {
        let mut settings = vec![
            ("port", Value::Integer(self.port.into())),
            ("resolver", Value::Resolver(self.suite.resolver())),
        ];
        match &self.peer {
            Peer::Flagd(flagd) if self.suite == Suite::InProcess && self.kind == Kind::Socket => {
                settings.push(("socketPath", flagd.dir().join(SYNC_SOCKET).as_path().into()));
            }
            Peer::Flagd(flagd) => {
                settings.extend(flagd.socket().map(|path| ("socketPath", path.into())));
            }
            Peer::File(path, _) => settings.push(("offlineFlagSourcePath", path.as_path().into())),
            Peer::Nobody if self.suite == Suite::File => {
                settings.push(("offlineFlagSourcePath", "/there/is/none.json".into()));
            }
            _ => {}
        }
        if let Some(certificates) = &self.certificates {
            settings.push(("tls", Value::Boolean(true)));
            settings.push(("certPath", certificates.ca().as_path().into()));
        }
        settings
    }

    /// The port for such a target URI: envoy's, or its own.
    pub(crate) fn port_for(&mut self, uri: &str) -> u16 {
        if !uri.starts_with("envoy://") {
            return self.port;
        }
        let upstream: SocketAddr = local(self.port);
        self.proxy
            .get_or_insert_with(|| AuthorityProxy::start(AUTHORITIES.map(|name| (name, upstream))))
            .port()
    }

    /// Changes a flag, as soon as flagd is available.
    pub(crate) async fn change_flag(&mut self) -> Result<(), String> {
        if let Peer::Away(back) = &mut self.peer {
            self.peer = *back.await.map_err(|error| error.to_string())??;
        }
        match &self.peer {
            Peer::File(_, directory) => {
                directory.change_flag();
                Ok(())
            }
            Peer::Flagd(flagd) => {
                flagd.change_flag();
                Ok(())
            }
            _ => Err("there is no flagd whose flags could change".to_owned()),
        }
    }

    /// Deletes the file, or kills flagd and deletes its flags, and restores them in the background
    /// after `outage`.
    pub(crate) fn lose(&mut self, outage: Duration) -> Result<(), String> {
        let mut flagd = match mem::replace(&mut self.peer, Peer::Nobody) {
            Peer::Flagd(flagd) => flagd,
            Peer::File(path, directory) => {
                let definition = fs::read(&path).map_err(|error| error.to_string())?;
                fs::remove_file(&path).map_err(|error| error.to_string())?;
                self.peer = Peer::Away(tokio::spawn(async move {
                    // The step says how long.
                    sleep(outage).await;
                    fs::write(&path, definition).map_err(|error| error.to_string())?;
                    Ok(Box::new(Peer::File(path, directory)))
                }));
                return Ok(());
            }
            other => {
                self.peer = other;
                return Err("there is no flagd to be lost".to_owned());
            }
        };
        let definition = flagd.flags();
        flagd.kill();
        self.close_gate();
        fs::remove_file(flagd.flags_path()).map_err(|error| error.to_string())?;
        let (gate, sources) = (self.gate.clone(), self.sources);
        self.peer = Peer::Away(tokio::spawn(async move {
            // The step says how long.
            sleep(outage).await;
            flagd.write_flags(&definition);
            flagd.restart().await?;
            until_loaded(&flagd, sources).await?;
            if let Some(gate) = gate {
                gate.open();
            }
            Ok(Box::new(Peer::Flagd(flagd)))
        }));
        Ok(())
    }

    fn close_gate(&self) {
        if let Some(gate) = &self.gate {
            gate.close();
        }
    }

    /// Whether nobody requests an event stream during `pause`.
    pub(crate) async fn is_left_alone(&self, pause: Duration) -> Result<(), String> {
        let streams = || match &self.peer {
            Peer::Forbidding(server) => server.observed().streams_opened(),
            Peer::ForbiddingSync(server) => server.seen().streams.len(),
            _ => 0,
        };
        let before = streams();
        // The step says how long.
        sleep(pause).await;
        match streams() - before {
            0 => Ok(()),
            attempts => Err(format!("{attempts} more attempts to open a stream in {pause:?}")),
        }
    }

    /// Ends it; an error if a lost flagd was not restored.
    pub(crate) async fn stop(self) -> Result<(), String> {
        let Peer::Away(back) = self.peer else { return Ok(()) };
        back.abort();
        match back.await {
            Ok(back) => back.map(drop),
            Err(error) if error.is_cancelled() => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// flagd counts as started with one flag; this waits until it has the flags of all its sources.
async fn until_loaded(flagd: &FlagdProcess, sources: &[&str]) -> Result<(), String> {
    let client = V1::new(flagd.endpoint()?.connect_lazy());
    for source in sources {
        let flag_key = answering_flag(&flagd.dir().join(source))?;
        let message = v1::ResolveBooleanRequest { flag_key, context: None };
        // The future of a closure that borrows would not be `Send`.
        let (client, selector) = (client.clone(), (*source).to_owned());
        let loaded = move || {
            let (mut client, request) = (client.clone(), select(message.clone(), &selector));
            async move { is_found(client.resolve_boolean(request).await) }
        };
        becomes_true(source, loaded).await;
    }
    Ok(())
}

fn select<T>(message: T, source: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("flagd-selector", source.parse().unwrap());
    request
}

/// A flag of another type is found, too.
fn is_found<T>(answer: Result<T, Status>) -> bool {
    !answer.is_err_and(|status| matches!(status.code(), Code::NotFound | Code::Unavailable))
}

/// The key of a flag in this file that is found as soon as it is loaded: it has a default variant.
fn answering_flag(file: &Path) -> Result<String, String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let text = fs::read(file).map_err(|error| failed(&error))?;
    let definition: Json = serde_json::from_slice(&text).map_err(|error| failed(&error))?;
    let flags = definition["flags"].as_object();
    let has_default =
        |flag: &Json| flag["defaultVariant"].as_str().is_some_and(|it| !it.is_empty());
    let found = flags.and_then(|flags| flags.iter().find(|(_, flag)| has_default(flag)));
    found.map(|(key, _)| key.clone()).ok_or_else(|| failed(&"no flag has a default variant"))
}
