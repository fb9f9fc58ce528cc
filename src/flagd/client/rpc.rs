//! Calls to the evaluation service, in version 1 or 2, and the opening of streams.
//!
//! Which version to use, and whether to repeat a call, is the caller's decision.
//! Unary calls are made by [`unary`], for speed; streams by tonic.

use std::time::Duration;

use http::uri::PathAndQuery;
use prost::{Message, bytes::Bytes};
use tokio::time::Instant;
use tonic::{Request, Status, Streaming, client::Grpc};
use tonic_prost::ProstCodec;

use super::{call_error::CallError, channel::Connection, transport::TransportError, unary};
use crate::flagd::{
    proto::{EventStreamRequest, EventStreamResponse},
    value_type::{FlagType, Resolution},
};

/// The largest message that is accepted, in bytes: 64 MiB.
///
/// tonic's default of 4 MiB is exceeded by a definition of about 10,000 flags; see
/// "Sync service" in `docs/flagd.md`.
const MAX_MESSAGE: usize = 64 << 20;

/// Calls flagd once for one flag. `message` is the framed request, and `end` the
/// time at which the call's deadline passes.
///
/// The time is sent as `grpc-timeout` and enforced by the server, by tonic's
/// channel, and by the caller.
///
/// # Errors
///
/// A status of the server, a local error as the source of a status, or `INTERNAL`
/// if the message of the response is malformed.
pub(crate) async fn call<T: FlagType>(
    connection: &Connection,
    message: Bytes,
    v1: bool,
    end: Option<Instant>,
) -> Result<Resolution<T>, Status> {
    let timeout = end.map(|end| end.duration_since(Instant::now()));
    let path = T::OF.path(v1);
    let response = unary::call(&connection.transport, path, message, timeout, MAX_MESSAGE).await?;
    Resolution::read(&response)
        .map_err(|error| Status::internal(format!("the response is not a valid message: {error}")))
}

/// Opens the event stream of this version. That it has opened says little: a
/// server without this version may end it only then.
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

/// How often opening a stream is attempted. A connection that a proxy is about to
/// close may still accept the first attempts, and lose them.
const STREAM_ATTEMPTS: u32 = 3;

/// Opens a stream of responses to one request, and repeats that if the connection
/// is lost meanwhile.
pub(crate) async fn open<Q, A>(
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

/// Whether the call was lost with its connection.
fn is_lost(status: &Status) -> bool {
    let source = std::error::Error::source(status);
    let error = source.and_then(|source| source.downcast_ref::<TransportError>());
    matches!(error, Some(TransportError::Lost(_)))
}

/// Opens a stream with one attempt: waits for the connection, then for the headers
/// of the response.
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

/// tonic's client over the connection, for all calls but evaluations.
pub(crate) fn grpc(connection: &Connection) -> Grpc<super::transport::Transport> {
    Grpc::new(connection.transport.clone()).max_decoding_message_size(MAX_MESSAGE)
}
