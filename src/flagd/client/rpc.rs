//! Calls to flagd: evaluation v2, and v1 where the server does not know v2.

use std::time::Duration;

use http::uri::PathAndQuery;
use prost::{Message, bytes::Bytes};
use tokio::time::Instant;
use tonic::{Request, Status, Streaming, client::Grpc};
use tonic_prost::ProstCodec;

use super::{call_error::CallError, channel::Connection, transport::TransportError, unary};
use crate::flagd::{
    proto::{EventStreamRequest, EventStreamResponse},
    value_type::{Answer, FlagType},
};

/// The largest message taken. tonic's own limit of 4 MiB is little for an event or an object that
/// names thousands of flags.
const MAX_MESSAGE: usize = 64 << 20;

/// Calls flagd once for one flag.
pub(crate) async fn call<T: FlagType>(
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

/// Opens a stream.
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

/// The calls that tonic makes.
pub(crate) fn grpc(connection: &Connection) -> Grpc<super::transport::Transport> {
    Grpc::new(connection.transport.clone()).max_decoding_message_size(MAX_MESSAGE)
}
