//! flagd's sync stream, which is pulled: open it, then take definitions until it
//! ends.
//!
//! A stream counts as open once the first definition was received. Each message
//! has a whole definition, as JSON text, which is not parsed here:
//!
//! ```text
//! {"flagConfiguration": "{\"flags\": {...}}", "syncContext": {"region": "eu"}}
//! ```
//!
//! flagd sends the sync context in the same message. Servers that do not are called
//! for it once per stream, with `GetMetadata`, as the [specification] describes.
//! See "Sync service" in `docs/flagd.md`.
//!
//! [specification]: https://flagd.dev/reference/specifications/providers/#sync-metadata-properties-in-the-evaluation-context

use std::time::Duration;

use http::uri::PathAndQuery;
use prost_types::Struct;
use serde_json::{Map, Value};
use tonic::{Code, Request, Status, Streaming};
use tonic_prost::ProstCodec;

use super::{
    call_error::CallError,
    channel::Connection,
    rotation::Rotated,
    rpc,
    stream::{End, Failure},
};
use crate::{
    flagd::{
        convert::json::struct_to_json,
        proto::sync::{
            GetMetadataRequest, GetMetadataResponse, SyncFlagsRequest, SyncFlagsResponse,
        },
    },
    source::Definition,
};

/// A stream over which a definition was received.
pub(crate) struct SyncStream {
    messages: Streaming<SyncFlagsResponse>,
    /// The sync context for definitions that come without one.
    sync_context: Map<String, Value>,
}

impl SyncStream {
    /// Opens a stream and waits for its first definition, which is returned with it.
    ///
    /// Has no time limit of its own.
    pub(crate) async fn open(
        connection: &Connection,
        request: SyncFlagsRequest,
    ) -> Result<(Self, Definition), Failure> {
        let mut messages = sync_flags(connection, request).await?;
        let response = received(messages.message().await)?;
        let sync_context = match &response.sync_context {
            Some(_) => Map::new(),
            None => sync_metadata(connection).await?.map(struct_to_json).unwrap_or_default(),
        };
        let definition = definition(response, &sync_context);
        Ok((Self { messages, sync_context }, definition))
    }
}

impl Rotated for SyncStream {
    type First = Definition;
    type Item = Definition;
    /// Each definition is whole, and one of the old stream may be out of date.
    const LINGERS: bool = false;
    const NOT_OPENED: &str = "it sent no flags";

    async fn next(&mut self) -> Result<Definition, End> {
        let response = received(self.messages.message().await).map_err(Failure::of_ready_stream)?;
        Ok(definition(response, &self.sync_context))
    }
}

/// A message of the stream, or why there is none.
fn received(
    message: Result<Option<SyncFlagsResponse>, Status>,
) -> Result<SyncFlagsResponse, Failure> {
    match message {
        Ok(Some(response)) => Ok(response),
        Ok(None) => Err(Failure::stream("it closed the stream")),
        Err(status) => Err(CallError::from_status(status, Duration::ZERO).into()),
    }
}

/// The definition in a message, with the sync context of the message, or else with
/// the one given here.
fn definition(response: SyncFlagsResponse, sync_context: &Map<String, Value>) -> Definition {
    let context = response.sync_context.map_or_else(|| sync_context.clone(), struct_to_json);
    Definition::json(response.flag_configuration).with_context(context)
}

/// Opens the stream, without waiting for a message.
async fn sync_flags(
    connection: &Connection,
    request: SyncFlagsRequest,
) -> Result<Streaming<SyncFlagsResponse>, CallError> {
    let path = PathAndQuery::from_static("/flagd.sync.v1.FlagSyncService/SyncFlags");
    let opened = rpc::open(connection, path, request).await;
    opened.map_err(|status| CallError::from_status(status, Duration::ZERO))
}

/// Requests the sync context, which older servers do not send with the flags.
/// `None` if the server does not have this procedure either.
async fn sync_metadata(connection: &Connection) -> Result<Option<Struct>, CallError> {
    let path = PathAndQuery::from_static("/flagd.sync.v1.FlagSyncService/GetMetadata");
    let codec = ProstCodec::<GetMetadataRequest, GetMetadataResponse>::default();
    let mut grpc = rpc::grpc(connection);
    let called = match grpc.ready().await {
        Ok(()) => grpc.unary(Request::new(GetMetadataRequest {}), path, codec).await,
        Err(error) => Err(Status::from_error(error.into())),
    };
    match called {
        Ok(response) => Ok(response.into_inner().metadata),
        Err(status) if status.code() == Code::Unimplemented => Ok(None),
        Err(status) => Err(CallError::from_status(status, Duration::ZERO)),
    }
}
