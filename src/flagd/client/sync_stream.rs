//! One stream of flag definitions: open it, then take them until it ends.

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

/// A stream over which a definition has come.
pub(crate) struct SyncStream {
    messages: Streaming<SyncFlagsResponse>,
    /// The facts for definitions that come without any.
    facts: Map<String, Value>,
}

impl SyncStream {
    /// Opens a stream, up to its first definition.
    pub(crate) async fn open(
        connection: &Connection,
        request: SyncFlagsRequest,
    ) -> Result<(Self, Definition), Failure> {
        let mut messages = sync_flags(connection, request).await?;
        let response = received(messages.message().await)?;
        let facts = match &response.sync_context {
            Some(_) => Map::new(),
            None => sync_metadata(connection).await?.map(struct_to_json).unwrap_or_default(),
        };
        let definition = definition(response, &facts);
        Ok((Self { messages, facts }, definition))
    }
}

impl Rotated for SyncStream {
    type First = Definition;
    type Item = Definition;
    /// Each definition is a whole one, and one of the old stream may be older.
    const LINGERS: bool = false;
    const NOT_OPENED: &str = "it sent no flags";

    async fn next(&mut self) -> Result<Definition, End> {
        let response = received(self.messages.message().await).map_err(Failure::of_ready_stream)?;
        Ok(definition(response, &self.facts))
    }
}

fn received(
    message: Result<Option<SyncFlagsResponse>, Status>,
) -> Result<SyncFlagsResponse, Failure> {
    match message {
        Ok(Some(response)) => Ok(response),
        Ok(None) => Err(Failure::stream("it closed the stream")),
        Err(status) => Err(CallError::from_status(status, Duration::ZERO).into()),
    }
}

fn definition(response: SyncFlagsResponse, facts: &Map<String, Value>) -> Definition {
    let context = response.sync_context.map_or_else(|| facts.clone(), struct_to_json);
    Definition::json(response.flag_configuration).with_context(context)
}

/// Opens the stream of flag definitions.
async fn sync_flags(
    connection: &Connection,
    request: SyncFlagsRequest,
) -> Result<Streaming<SyncFlagsResponse>, CallError> {
    let path = PathAndQuery::from_static("/flagd.sync.v1.FlagSyncService/SyncFlags");
    let opened = rpc::open(connection, path, request).await;
    opened.map_err(|status| CallError::from_status(status, Duration::ZERO))
}

/// Asks for the facts that older servers do not send along with the flags.
async fn sync_metadata(connection: &Connection) -> Result<Option<Struct>, CallError> {
    let path = PathAndQuery::from_static("/flagd.sync.v1.FlagSyncService/GetMetadata");
    let codec = ProstCodec::<GetMetadataRequest, GetMetadataResponse>::default();
    let mut grpc = rpc::grpc(connection);
    let answered = match grpc.ready().await {
        Ok(()) => grpc.unary(Request::new(GetMetadataRequest {}), path, codec).await,
        Err(error) => Err(Status::from_error(error.into())),
    };
    match answered {
        Ok(response) => Ok(response.into_inner().metadata),
        Err(status) if status.code() == Code::Unimplemented => Ok(None),
        Err(status) => Err(CallError::from_status(status, Duration::ZERO)),
    }
}
