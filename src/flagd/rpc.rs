//! Calls to flagd: evaluation v2, and v1 where the server does not know v2.

use std::time::Duration;

use http::uri::PathAndQuery;
use open_feature::{EvaluationError, EvaluationReason, FlagMetadata, provider::ResolutionDetails};
use prost::{Message, bytes::Bytes};
#[cfg(feature = "in-process")]
use prost_types::Struct;
use tokio::time::{Instant, timeout};
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
    transport::TransportError,
    unary,
    value_type::{Answer, FlagType},
};

/// The largest message taken. tonic's own limit of 4 MiB is little for an event or an object that
/// names thousands of flags.
const MAX_MESSAGE: usize = 64 << 20;

/// An answer, and whether it was of evaluation v1.
pub(crate) type Versioned<T> = (Answer<T>, bool);

/// Asks for one flag. The deadline bounds the call as a whole; zero is without bound.
pub(crate) async fn resolve<T: FlagType>(
    connection: &Connection,
    request: Bytes,
    deadline: Duration,
) -> Result<Versioned<T>, CallError> {
    if deadline.is_zero() {
        return attempts::<T>(connection, request, deadline, None).await;
    }
    let end = Instant::now() + deadline;
    timeout(deadline, attempts::<T>(connection, request, deadline, Some(end)))
        .await
        .unwrap_or(Err(CallError::Deadline(deadline)))
}

/// A server without v2 is asked by v1, and a call lost with its connection is made once more.
async fn attempts<T: FlagType>(
    connection: &Connection,
    request: Bytes,
    deadline: Duration,
    end: Option<Instant>,
) -> Result<Versioned<T>, CallError> {
    let mut retried = false;
    let mut v1 = connection.speaks_v1_only();
    loop {
        let result = call::<T>(connection, request.clone(), v1, end).await;
        match result.map_err(|status| CallError::from_status(status, deadline)) {
            Err(CallError::Status(status)) if status.code() == Code::Unimplemented => {
                connection.speak_v1_only(!v1);
                if v1 {
                    return Err(CallError::Status(status));
                }
                v1 = true;
            }
            Err(CallError::Transport(TransportError::Lost(_))) if !retried => retried = true,
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

/// Opens the event stream.
pub(crate) async fn event_stream(
    connection: &Connection,
) -> Result<Streaming<EventStreamResponse>, CallError> {
    let mut v1 = connection.speaks_v1_only();
    loop {
        let path = PathAndQuery::from_static(if v1 {
            "/flagd.evaluation.v1.Service/EventStream"
        } else {
            "/flagd.evaluation.v2.Service/EventStream"
        });
        match open(connection, path, EventStreamRequest {}).await {
            Err(status) if status.code() == Code::Unimplemented => {
                connection.speak_v1_only(!v1);
                if v1 {
                    return Err(CallError::Status(status));
                }
                v1 = true;
            }
            result => return result.map_err(|s| CallError::from_status(s, Duration::ZERO)),
        }
    }
}

async fn open<Q, A>(
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
