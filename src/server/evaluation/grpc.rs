//! Calls of the evaluation service over gRPC.
//!
//! Each call is read with its deadline checked, evaluated, and written into its
//! envelope in one pass.

use std::sync::Arc;

use http::{Request, Response};

use super::{
    answer::{Asked, selector, write},
    events,
    resolve::{Question, Resolved},
    resolve_all,
};
use crate::server::protocol::procedure::Procedure;
use crate::server::{
    body::{Received, Reply},
    core::Core,
    protocol::{
        connect::Codec,
        envelope, grpc,
        proto::v1::EventStreamRequest,
        received::{ResolveAllRequest, ResolveRequest},
    },
};

/// Handles a call over gRPC. Both sides of the result are the response; the error
/// is that of a call that failed, so that `?` can be used.
pub(crate) async fn call(
    core: &Arc<Core>,
    procedure: Procedure,
    request: Request<&mut Received>,
) -> Result<Response<Reply>, Response<Reply>> {
    let limit = core.max_body;
    match procedure {
        Procedure::Resolve(kind, version) => {
            let (headers, message) = grpc::receive::<ResolveRequest>(request, limit).await?;
            let context = message.context.unwrap_or_default();
            let patience = &|| grpc::patience(&headers);
            let asked = Asked { headers: &headers, context: &context, patience };
            let answer = |resolved: &Resolved<'_>| {
                grpc::answer(envelope::wrap(|out| write(resolved, version, out)))
            };
            asked.resolve(core, &message.flag_key, kind, version, answer).await
        }
        Procedure::ResolveAll => {
            let (headers, message) = grpc::receive::<ResolveAllRequest>(request, limit).await?;
            let context = message.context.unwrap_or_default();
            let patience = &|| grpc::patience(&headers);
            let asked = Asked { headers: &headers, context: &context, patience };
            let answer = |question: &Question<'_>| {
                grpc::answer(envelope::wrap(|out| resolve_all::write(question, out)))
            };
            asked.ask(core, answer).await
        }
        Procedure::EventStream => {
            let (headers, _) = grpc::receive::<EventStreamRequest>(request, limit).await?;
            grpc::timeout(&headers).and_then(|timeout| {
                let selector = selector(core, &headers)?;
                Ok(grpc::stream(events::subscribe(core, selector, timeout, Codec::Proto)))
            })
        }
    }
    .map_err(grpc::failed)
}
