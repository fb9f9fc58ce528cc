//! One stream of flag definitions: open it, then take them until it ends.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use http::uri::PathAndQuery;
use prost_types::Struct;
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout};
use tonic::{Code, Request, Status, Streaming};
use tonic_prost::ProstCodec;

use super::{
    call_error::CallError,
    channel::Connection,
    rpc,
    stream::{Cause, End, Failure, at, planned},
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

/// A stream that is being opened, up to its first definition.
pub(crate) type Opening =
    Pin<Box<dyn Future<Output = Result<(SyncStream, Definition), Failure>> + Send>>;

/// A stream over which a definition has come.
pub(crate) struct SyncStream {
    messages: Streaming<SyncFlagsResponse>,
    opened: Instant,
    /// When it is over; without a time, it has no end.
    over: Option<Instant>,
    /// When the next is to be opened, so that it is there before this one ends.
    pub(crate) successor_due: Option<Instant>,
    /// The facts for definitions that come without any.
    facts: Map<String, Value>,
}

/// Opens a stream. It may live for `lifetime` (zero is without end), and take `patience` to open.
pub(crate) fn open(
    connection: Arc<Connection>,
    provider_id: Option<&str>,
    selector: Option<&str>,
    lifetime: Duration,
    patience: Duration,
) -> Opening {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let request = SyncFlagsRequest { provider_id: text(provider_id), selector: text(selector) };
    Box::pin(async move {
        let opened = timeout(patience, first(&connection, request)).await;
        let (messages, definition, facts) = opened.unwrap_or_else(|_| {
            let message = format!("it sent no flags within {patience:?}");
            Err(Failure { message, cause: Cause::Status(Code::DeadlineExceeded) })
        })?;
        let opened = Instant::now();
        let over = (!lifetime.is_zero()).then(|| opened + lifetime);
        let successor_due = over.map(|over| over - patience.min(lifetime / 10));
        Ok((SyncStream { messages, opened, over, successor_due, facts }, definition))
    })
}

type First = (Streaming<SyncFlagsResponse>, Definition, Map<String, Value>);

async fn first(connection: &Connection, request: SyncFlagsRequest) -> Result<First, Failure> {
    let mut messages = sync_flags(connection, request).await?;
    let response = match received(messages.message().await) {
        Ok(response) => response,
        Err(End::Failed(failure)) => return Err(failure),
        Err(End::Planned) => return Err(failure("it ended the stream before it sent flags")),
    };
    let facts = match &response.sync_context {
        Some(_) => Map::new(),
        None => sync_metadata(connection).await?.map(struct_to_json).unwrap_or_default(),
    };
    let definition = definition(response, &facts);
    Ok((messages, definition, facts))
}

impl SyncStream {
    /// How long it has been open.
    pub(crate) fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    /// The next definition. It can be cancelled without loss.
    pub(crate) async fn next(&mut self) -> Result<Definition, End> {
        let message = tokio::select! {
            biased;
            message = self.messages.message() => message,
            () = at(self.over) => return Err(End::Planned),
        };
        let response = received(message).map_err(planned)?;
        Ok(definition(response, &self.facts))
    }
}

fn received(message: Result<Option<SyncFlagsResponse>, Status>) -> Result<SyncFlagsResponse, End> {
    match message {
        Ok(Some(response)) => Ok(response),
        Ok(None) => Err(End::Failed(failure("it closed the stream"))),
        Err(status) => Err(End::Failed(CallError::from_status(status, Duration::ZERO).into())),
    }
}

fn failure(message: &str) -> Failure {
    Failure { message: message.to_owned(), cause: Cause::Stream }
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
