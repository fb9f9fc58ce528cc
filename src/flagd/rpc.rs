//! Calls to flagd: evaluation v2, and v1 where the server does not know v2.

use std::{sync::Arc, time::Duration};

use http::uri::PathAndQuery;
use open_feature::{EvaluationError, EvaluationReason, FlagMetadata, provider::ResolutionDetails};
use prost::{Message, bytes::Bytes};
#[cfg(feature = "in-process")]
use prost_types::Struct;
use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Request, Status, Streaming, client::Grpc};
use tonic_prost::ProstCodec;

#[cfg(feature = "in-process")]
use super::proto::sync::{
    GetMetadataRequest, GetMetadataResponse, SyncFlagsRequest, SyncFlagsResponse,
};
use super::{
    channel::Connection,
    error::{self, CallError},
    proto::{EventStreamRequest, EventStreamResponse},
    retry::Retries,
    shared::Shared,
    transport::TransportError,
    unary,
    value_type::{Answer, FlagType},
};

/// The largest message taken. tonic's own limit of 4 MiB is little for an event or an object that
/// names thousands of flags.
const MAX_MESSAGE: usize = 64 << 20;

/// An answer, and whether it was of evaluation v1.
pub(crate) type Versioned<T> = (Answer<T>, bool);

/// Asks for one flag. The deadline bounds the call as a whole; zero is without bound. A call that is
/// lost with its connection goes on over the one that is in use then.
pub(crate) async fn resolve<T: FlagType>(
    shared: &Shared,
    connection: &Connection,
    request: Bytes,
    deadline: Duration,
) -> Result<Versioned<T>, CallError> {
    if deadline.is_zero() {
        return attempts::<T>(shared, connection, request, deadline, None).await;
    }
    let end = Instant::now() + deadline;
    timeout(deadline, attempts::<T>(shared, connection, request, deadline, Some(end)))
        .await
        .unwrap_or(Err(CallError::Deadline(deadline)))
}

/// A server without v2 is called by v1. A call that is lost with its connection is made again until
/// its deadline, since evaluations are idempotent: a connection that a proxy retires may take the
/// next attempt with it, and a server that restarts is not there for a moment.
async fn attempts<T: FlagType>(
    shared: &Shared,
    connection: &Connection,
    request: Bytes,
    deadline: Duration,
    end: Option<Instant>,
) -> Result<Versioned<T>, CallError> {
    let mut retries: Option<Retries> = None;
    let mut renewed: Option<Arc<Connection>> = None;
    let mut v1 = connection.speaks_v1_only();
    loop {
        let connection = renewed.as_deref().unwrap_or(connection);
        let result = call::<T>(connection, request.clone(), v1, end).await;
        match result.map_err(|status| CallError::from_status(status, deadline)) {
            Err(CallError::Status(status)) if status.code() == Code::Unimplemented => {
                connection.speak_v1_only(!v1);
                if v1 {
                    return Err(CallError::Status(status));
                }
                v1 = true;
            }
            Err(CallError::Transport(error)) => {
                let now = Instant::now();
                let retries = retries.get_or_insert_with(|| Retries::new(now, end));
                let Some(pause) = retries.pause(&error, shared.outlook(), now) else {
                    return Err(CallError::Transport(error));
                };
                tracing::debug!(%error, ?pause, "a call is made again");
                // In a box: a timer is large, and calls that succeed need none.
                Box::pin(sleep(pause)).await;
                renewed = shared.connection().or(renewed);
                v1 = renewed.as_deref().map_or(v1, Connection::speaks_v1_only);
            }
            result => return result.map(|answer| (answer, v1)),
        }
    }
}

async fn call<T: FlagType>(
    connection: &Connection,
    message: Bytes,
    v1: bool,
    end: Option<Instant>,
) -> Result<Answer<T>, Status> {
    let timeout = end.map(|end| end.duration_since(Instant::now()));
    let path = T::OF.path(v1);
    let response = unary::call(&connection.transport, path, message, timeout, MAX_MESSAGE).await?;
    Answer::read(&response)
        .map_err(|error| Status::internal(format!("the response is not a valid message: {error}")))
}

/// Opens the event stream of this version.
pub(crate) async fn event_stream(
    connection: &Connection,
    v1: bool,
) -> Result<Streaming<EventStreamResponse>, CallError> {
    let path = PathAndQuery::from_static(if v1 {
        "/flagd.evaluation.v1.Service/EventStream"
    } else {
        "/flagd.evaluation.v2.Service/EventStream"
    });
    let opened = open(connection, path, EventStreamRequest {}).await;
    opened.map_err(|status| CallError::from_status(status, Duration::ZERO))
}

/// A connection that a proxy retires may still take the first attempts, and lose them.
const STREAM_ATTEMPTS: u32 = 3;

async fn open<Q, A>(
    connection: &Connection,
    path: PathAndQuery,
    request: Q,
) -> Result<Streaming<A>, Status>
where
    Q: Message + Clone + 'static,
    A: Message + Default + 'static,
{
    let mut attempts = 1;
    loop {
        match open_once(connection, path.clone(), request.clone()).await {
            Err(status) if attempts < STREAM_ATTEMPTS && is_lost(&status) => attempts += 1,
            result => return result,
        }
    }
}

fn is_lost(status: &Status) -> bool {
    let source = std::error::Error::source(status);
    let error = source.and_then(|source| source.downcast_ref::<TransportError>());
    matches!(error, Some(TransportError::Lost(_)))
}

async fn open_once<Q, A>(
    connection: &Connection,
    path: PathAndQuery,
    request: Q,
) -> Result<Streaming<A>, Status>
where
    Q: Message + 'static,
    A: Message + Default + 'static,
{
    let mut grpc = grpc(connection);
    grpc.ready().await.map_err(|error| Status::from_error(error.into()))?;
    let codec = ProstCodec::<Q, A>::default();
    Ok(grpc.server_streaming(Request::new(request), path, codec).await?.into_inner())
}

/// Opens the stream of flag definitions.
#[cfg(feature = "in-process")]
pub(crate) async fn sync_flags(
    connection: &Connection,
    request: SyncFlagsRequest,
) -> Result<Streaming<SyncFlagsResponse>, CallError> {
    let path = PathAndQuery::from_static("/flagd.sync.v1.FlagSyncService/SyncFlags");
    let opened = open(connection, path, request).await;
    opened.map_err(|status| CallError::from_status(status, Duration::ZERO))
}

/// Asks for the facts that older servers do not send along with the flags.
#[cfg(feature = "in-process")]
pub(crate) async fn sync_metadata(connection: &Connection) -> Result<Option<Struct>, CallError> {
    let path = PathAndQuery::from_static("/flagd.sync.v1.FlagSyncService/GetMetadata");
    let codec = ProstCodec::<GetMetadataRequest, GetMetadataResponse>::default();
    let mut grpc = grpc(connection);
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

fn grpc(connection: &Connection) -> Grpc<super::transport::Transport> {
    Grpc::new(connection.transport.clone()).max_decoding_message_size(MAX_MESSAGE)
}

/// What the SDK gets for an answer.
pub(crate) fn details<T: FlagType>(
    (answer, v1): Versioned<T>,
    flag_key: &str,
) -> Result<ResolutionDetails<T>, EvaluationError> {
    if answer.reason == EvaluationReason::Disabled {
        return Err(error::disabled(flag_key));
    }
    let value = match answer.value {
        Ok(Some(value)) => value,
        // v1 leaves a zero value out.
        Ok(None) if v1 => T::default(),
        Ok(None) => return Err(error::no_default_variant(flag_key)),
        Err(null) => return Err(error::null_in_list(flag_key, &null)),
    };
    Ok(ResolutionDetails {
        value,
        variant: answer.variant.filter(|variant| !(v1 && variant.is_empty())),
        reason: Some(answer.reason),
        flag_metadata: answer.metadata.filter(has_values),
    })
}

fn has_values(metadata: &FlagMetadata) -> bool {
    !metadata.values.is_empty()
}
