//! A sync server whose messages are all scripted, for behaviour that flagd cannot be made to show.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex},
};

use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use serde_json::Value as Json;
use tokio::sync::{mpsc, watch};
use tokio_stream::{Stream, wrappers::UnboundedReceiverStream};
use tonic::{Request, Response, Status, service::Routes};

use super::http2::{Connections, Listener, Server};
use crate::support::{
    background::Background,
    json::to_struct,
    ports,
    proto::sync_v1::{
        FetchAllFlagsRequest, FetchAllFlagsResponse, GetMetadataRequest, GetMetadataResponse,
        SyncFlagsRequest, SyncFlagsResponse,
        flag_sync_service_server::{FlagSyncService, FlagSyncServiceServer},
    },
    wait,
};

/// The server. It runs on a thread of its own, and stops when dropped.
#[derive(Debug)]
pub struct SyncServer {
    core: Arc<Core>,
    port: u16,
    running: Mutex<Option<(watch::Sender<bool>, Background)>>,
}

/// The requests that the server received.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub connections: Connections,
    /// Provider id, selector, and the header `flagd-selector` of each requested stream.
    pub streams: Vec<(String, String, Option<String>)>,
    /// How often `GetMetadata` was called.
    pub metadata_calls: usize,
}

impl AsMut<Connections> for Seen {
    fn as_mut(&mut self) -> &mut Connections {
        &mut self.connections
    }
}

#[derive(Debug)]
struct Core {
    script: Mutex<Script>,
    seen: Arc<watch::Sender<Seen>>,
}

#[derive(Debug)]
struct Script {
    message: SyncFlagsResponse,
    /// Streams are opened but nothing is sent.
    silent: bool,
    /// Streams fail with this status.
    refusal: Option<Status>,
    metadata: Result<Json, Status>,
    streams: Vec<mpsc::UnboundedSender<Result<SyncFlagsResponse, Status>>>,
}

impl SyncServer {
    /// Starts on a free port of 127.0.0.1 with this definition and an empty sync context.
    pub fn start(definition: &Json) -> Self {
        let script = Script {
            message: SyncFlagsResponse {
                flag_configuration: definition.to_string(),
                sync_context: Some(prost_types::Struct::default()),
            },
            silent: false,
            refusal: None,
            metadata: Err(Status::unimplemented("there is none")),
            streams: Vec::new(),
        };
        let core = Arc::new(Core { script: Mutex::new(script), seen: Arc::default() });
        let server = Self { core, port: ports::free_port(), running: Mutex::new(None) };
        server.restart();
        server
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Stops hard: listener and connections are closed when this returns.
    pub fn stop(&self) {
        drop(self.running.lock().unwrap().take());
        self.script(|script| script.streams.clear());
    }

    /// Starts again on the same port.
    pub fn restart(&self) {
        self.stop();
        let (goaway, going_away) = watch::channel(false);
        let server = Server {
            listener: Listener::Tcp(ports::listen_on(self.port)),
            tls: None,
            counts: Arc::clone(&self.core.seen),
            goaway: going_away,
        };
        let routes = Routes::new(FlagSyncServiceServer::new(Sync(Arc::clone(&self.core))));
        let routes = TowerToHyperService::new(routes.prepare());
        let handler = move |request| {
            let response = routes.call(request);
            async { response.await.unwrap_or_else(|never: Infallible| match never {}) }
        };
        let background = Background::spawn("sync-server", move || server.run(handler));
        *self.running.lock().unwrap() = Some((goaway, background));
    }

    /// Another definition, sent on all streams.
    pub fn set(&self, definition: &Json) {
        self.send(&definition.to_string());
    }

    /// Another string in place of a definition, sent on all streams.
    pub fn send(&self, text: &str) {
        self.script(|script| {
            text.clone_into(&mut script.message.flag_configuration);
            script.tell();
        });
    }

    /// Another sync context, sent on all streams with the definition; none, as from an older
    /// server.
    pub fn set_context(&self, context: Option<&Json>) {
        self.script(|script| {
            script.message.sync_context = context.map(to_struct);
            script.tell();
        });
    }

    /// The response of `GetMetadata`.
    pub fn set_metadata(&self, metadata: Result<Json, Status>) {
        self.script(|script| script.metadata = metadata);
    }

    /// Whether new streams are silent.
    pub fn set_silent(&self, silent: bool) {
        self.script(|script| script.silent = silent);
    }

    /// Whether new streams fail, and how.
    pub fn set_refusal(&self, refusal: Option<Status>) {
        self.script(|script| script.refusal = refusal);
    }

    /// All streams end: with the status, or without an error.
    pub fn end_streams(&self, status: Option<&Status>) {
        self.script(|script| {
            for stream in script.streams.drain(..) {
                if let Some(status) = status {
                    let _ = stream.send(Err(status.clone()));
                }
            }
        });
    }

    /// How many streams are open.
    pub fn open_streams(&self) -> usize {
        self.script(|script| {
            script.streams.retain(|stream| !stream.is_closed());
            script.streams.len()
        })
    }

    pub fn seen(&self) -> Seen {
        self.core.seen.borrow().clone()
    }

    /// Waits until this many streams have been requested since the server was created.
    pub async fn wait_for_streams(&self, count: usize) {
        let what = format!("{count} streams");
        wait::until(&self.core.seen, &what, |seen| seen.streams.len() >= count).await;
    }

    fn script<T>(&self, change: impl FnOnce(&mut Script) -> T) -> T {
        change(&mut self.core.script.lock().unwrap())
    }
}

impl Script {
    fn tell(&mut self) {
        let message = &self.message;
        self.streams.retain(|stream| stream.send(Ok(message.clone())).is_ok());
    }
}

struct Sync(Arc<Core>);

#[tonic::async_trait]
impl FlagSyncService for Sync {
    type SyncFlagsStream =
        Pin<Box<dyn Stream<Item = Result<SyncFlagsResponse, Status>> + Send + 'static>>;

    async fn sync_flags(
        &self,
        request: Request<SyncFlagsRequest>,
    ) -> Result<Response<Self::SyncFlagsStream>, Status> {
        let header = request.metadata().get("flagd-selector");
        let header = header.map(|value| value.to_str().unwrap().to_owned());
        let SyncFlagsRequest { provider_id, selector } = request.into_inner();
        let mut script = self.0.script.lock().unwrap();
        self.0.seen.send_modify(|seen| seen.streams.push((provider_id, selector, header)));
        if let Some(status) = &script.refusal {
            return Err(status.clone());
        }
        let (sender, receiver) = mpsc::unbounded_channel();
        if !script.silent {
            let _ = sender.send(Ok(script.message.clone())); // the receiver is here
        }
        script.streams.push(sender);
        Ok(Response::new(Box::pin(UnboundedReceiverStream::new(receiver))))
    }

    async fn fetch_all_flags(
        &self,
        _: Request<FetchAllFlagsRequest>,
    ) -> Result<Response<FetchAllFlagsResponse>, Status> {
        Err(Status::unimplemented("no test needs it"))
    }

    async fn get_metadata(
        &self,
        _: Request<GetMetadataRequest>,
    ) -> Result<Response<GetMetadataResponse>, Status> {
        self.0.seen.send_modify(|seen| seen.metadata_calls += 1);
        let metadata = self.0.script.lock().unwrap().metadata.clone()?;
        Ok(Response::new(GetMetadataResponse { metadata: Some(to_struct(&metadata)) }))
    }
}
