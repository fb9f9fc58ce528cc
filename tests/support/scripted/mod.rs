//! A flagd in this process whose responses and events are all scripted.

mod builder;
mod flags;
mod gate;
mod observed;
mod script;
mod service;

use std::sync::{Arc, Mutex, MutexGuard};

use prost_types::Struct;
use serde_json::{Value, json};
use tokio_rustls::rustls::ServerConfig;
use tonic::Status;

pub use self::{
    builder::Builder,
    flags::Flag,
    gate::Gate,
    observed::{Call, Observed},
    script::{Behaviour, StreamMode},
};
use self::{
    builder::{Address, Running},
    script::{Core, Event, Script},
};
use super::{json::to_struct, wait};

/// The version of the evaluation API that a call used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    V1,
    V2,
}

/// The method that a call used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    Boolean,
    String,
    Float,
    Int,
    Object,
    All,
    EventStream,
}

/// The versions that a server has; the others are [`Missing`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Versions {
    V1,
    V2,
    #[default]
    Both,
}

impl Versions {
    fn serve(self, path: &str) -> bool {
        (self != Self::V2 && path.starts_with("/flagd.evaluation.v1.Service/"))
            || (self != Self::V1 && path.starts_with("/flagd.evaluation.v2.Service/"))
    }
}

/// How a server reports a version that it does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missing {
    /// Plain HTTP 404, like flagd's evaluation port.
    #[default]
    NotFound,
    /// UNIMPLEMENTED in headers alone, like grpc-go.
    InHeaders,
    /// UNIMPLEMENTED in trailers after separate headers.
    InTrailers,
}

/// The server. It runs on a thread of its own, and stops when dropped.
#[derive(Debug)]
pub struct ScriptedServer {
    core: Arc<Core>,
    address: Address,
    running: Mutex<Option<Running>>,
}

impl ScriptedServer {
    /// Starts on a free port of 127.0.0.1, serving both versions and no flags.
    pub fn start() -> Self {
        Self::builder().start()
    }

    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The TCP port; panics for a unix socket.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// `http://127.0.0.1:port`, `https://localhost:port` or `unix:///path`, for an `Endpoint`.
    pub fn uri(&self) -> String {
        self.address.uri()
    }

    /// Stops hard, if it runs: the listener and all connections are closed when this returns.
    pub fn stop(&self) {
        drop(self.running().take());
    }

    /// Starts again at the same address; stops first if it runs. Flags and script stay.
    pub fn restart(&self) {
        let mut running = self.running();
        drop(running.take());
        *running = Some(self.address.serve(&self.core));
    }

    /// Other certificates, from the next restart on.
    pub fn set_tls(&self, tls: Arc<ServerConfig>) {
        *self.address.tls.lock().unwrap() = Some(tls);
    }

    /// Sends GOAWAY on each connection and accepts no more; calls and streams continue.
    pub fn goaway(&self) {
        if let Some(running) = self.running().as_ref() {
            running.goaway();
        }
    }

    /// Stops gracefully: GOAWAY, the streams end without an error, and the last connection is
    /// closed.
    pub async fn shutdown(&self) {
        self.goaway();
        self.end_streams(None);
        self.wait_until("the connections to end", |seen| seen.connections.open == 0).await;
        self.stop();
    }

    /// Sets a flag without an event: `server.set("on", true)`.
    pub fn set(&self, key: &str, flag: impl Into<Flag>) {
        self.script().flags.insert(key.to_owned(), flag.into());
    }

    /// Sets a flag and sends the change event, as flagd does when its file is edited.
    pub fn update(&self, key: &str, flag: impl Into<Flag>) {
        self.set(key, flag);
        self.change(&[key]);
    }

    /// Removes a flag without an event.
    pub fn remove(&self, key: &str) {
        self.script().flags.remove(key);
    }

    /// Calls for this flag fail with the status.
    pub fn fail(&self, key: &str, status: Status) {
        self.behave(key, Behaviour::Fail(status));
    }

    /// Calls for this flag never get a response.
    pub fn hang(&self, key: &str) {
        self.behave(key, Behaviour::Hang);
    }

    /// From now on, responses for this flag are computed when the call arrives and withheld until
    /// the gate releases them.
    pub fn gate(&self, key: &str) -> Gate {
        let gate = Gate::new();
        self.behave(key, Behaviour::Gate(Arc::clone(&gate.0)));
        gate
    }

    fn behave(&self, key: &str, behaviour: Behaviour) {
        self.script().behaviours.insert(key.to_owned(), behaviour);
    }

    /// Calls for this flag get a response again.
    pub fn recover(&self, key: &str) {
        self.script().behaviours.remove(key);
    }

    /// Every call fails with the status, event streams included ("forbidden").
    pub fn fail_all(&self, status: Status) {
        self.script().everything = Some(Behaviour::Fail(status));
    }

    /// No unary call ever gets a response; streams work as before.
    pub fn hang_all(&self) {
        self.script().everything = Some(Behaviour::Hang);
    }

    /// Ends [`Self::fail_all`] and [`Self::hang_all`].
    pub fn recover_all(&self) {
        self.script().everything = None;
    }

    /// Serves these versions from now on.
    pub fn serve(&self, versions: Versions) {
        self.script().versions = versions;
    }

    /// What happens to event streams from now on; open ones stay.
    pub fn streams(&self, mode: StreamMode) {
        self.script().stream_mode = mode;
    }

    /// What happens to the next event streams, one each, before the mode applies again.
    pub fn next_streams(&self, modes: impl IntoIterator<Item = StreamMode>) {
        self.script().next_streams = modes.into_iter().collect();
    }

    /// Sends an event on each open stream; returns how many there are.
    pub fn send(&self, kind: &str, data: Option<Struct>) -> usize {
        let event = Event { kind: kind.to_owned(), data };
        let outlets = self.core.outlets.lock().unwrap();
        outlets.values().filter(|outlet| outlet.send(Ok(event.clone())).is_ok()).count()
    }

    /// Sends an event with a JSON object as its data.
    pub fn send_json(&self, kind: &str, data: &Value) -> usize {
        self.send(kind, Some(to_struct(data)))
    }

    /// Sends `configuration_change` for these flags, in flagd's current form.
    pub fn change(&self, keys: &[&str]) -> usize {
        let flags = keys.iter().map(|key| ((*key).to_owned(), json!({ "type": "update" })));
        let flags = flags.collect::<serde_json::Map<_, _>>();
        self.send_json("configuration_change", &json!({ "flags": flags }))
    }

    /// Ends the open streams, with a status or without.
    pub fn end_streams(&self, status: impl Into<Option<Status>>) {
        let status = status.into();
        for (_, outlet) in self.core.outlets.lock().unwrap().drain() {
            if let Some(status) = &status {
                let _ = outlet.send(Err(status.clone()));
            }
        }
    }

    /// A copy of everything seen up to now.
    pub fn observed(&self) -> Observed {
        self.core.observed.borrow().clone()
    }

    /// The log of calls, oldest first.
    pub fn calls(&self) -> Vec<Call> {
        self.core.observed.borrow().calls.iter().cloned().collect()
    }

    /// Waits until what was seen satisfies the condition (which must not use the server);
    /// panics, naming `what`, when that takes too long.
    pub async fn wait_until(&self, what: &str, condition: impl FnMut(&Observed) -> bool) {
        wait::until(&self.core.observed, what, condition).await;
    }

    /// Waits until this many event streams are open.
    pub async fn wait_for_streams(&self, open: usize) {
        let what = format!("{open} open streams");
        self.wait_until(&what, |seen| seen.streams_open == open).await;
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.core.script.lock().unwrap()
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap()
    }
}
