//! Calls of the evaluation service over gRPC.

use std::sync::Arc;

use http::{HeaderMap, Request, Response};

use super::{
    answer::{ResolveRequest, ask, resolve, selector, write},
    events, resolve_all,
};
use crate::server::protocol::procedure::Procedure;
use crate::server::{
    body::{Received, Reply},
    core::Core,
    protocol::{
        connect::Codec,
        envelope, grpc,
        proto::v1::{EventStreamRequest, ResolveAllRequest},
    },
};

/// A call by gRPC; what it gives is the answer either way.
pub(crate) async fn call(
    core: &Arc<Core>,
    procedure: Procedure,
    request: Request<&mut Received>,
) -> Result<Response<Reply>, Response<Reply>> {
    let limit = core.max_body;
    match procedure {
        Procedure::Resolve(kind, version) => {
            let (headers, message) = grpc::receive::<ResolveRequest>(request, limit).await?;
            answerable(core, &headers).await?;
            let context = message.context.unwrap_or_default();
            let key = &message.flag_key;
            resolve(core, &headers, key, &context, kind, version, |resolved| {
                grpc::answer(envelope::wrap(|out| write(resolved, version, out)))
            })
        }
        Procedure::ResolveAll => {
            let (headers, message) = grpc::receive::<ResolveAllRequest>(request, limit).await?;
            answerable(core, &headers).await?;
            ask(core, &headers, &message.context.unwrap_or_default(), |question| {
                grpc::answer(envelope::wrap(|out| resolve_all::write(question, out)))
            })
        }
        Procedure::EventStream => {
            let (headers, _) = grpc::receive::<EventStreamRequest>(request, limit).await?;
            grpc::timeout(&headers).and_then(|timeout| {
                let selector = selector(&headers)?;
                Ok(grpc::stream(events::subscribe(core, selector, timeout, Codec::Proto)))
            })
        }
    }
    .map_err(grpc::failed)
}

/// Waits for the flags before the first load.
async fn answerable(core: &Core, headers: &HeaderMap) -> Result<(), Response<Reply>> {
    let ready = core.answerable(|| grpc::patience(headers)).await;
    ready.map_err(grpc::failed)
}
