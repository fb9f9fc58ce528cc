//! Calls of the evaluation service over gRPC.
//!
//! Each call is read with its deadline checked, evaluated, and written into its
//! envelope in one pass.

use std::sync::Arc;

use http::{Request, Response};

use super::{
    events,
    request::{EvaluationRequest, selector, write},
    resolve::{Evaluation, Resolved},
    resolve_all,
};
use crate::server::protocol::procedure::Procedure;
use crate::server::{
    body::{Received, ResponseBody},
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
) -> Result<Response<ResponseBody>, Response<ResponseBody>> {
    let limit = core.max_body;
    match procedure {
        Procedure::Resolve(kind, version) => {
            let (headers, message) = grpc::receive::<ResolveRequest>(request, limit).await?;
            let context = message.context.unwrap_or_default();
            let client_timeout = &|| grpc::client_timeout(&headers);
            let request =
                EvaluationRequest { headers: &headers, context: &context, client_timeout };
            let respond = |resolved: &Resolved<'_>| {
                grpc::succeeded(envelope::wrap(|out| write(resolved, version, out)))
            };
            request.resolve(core, &message.flag_key, kind, version, respond).await
        }
        Procedure::ResolveAll => {
            let (headers, message) = grpc::receive::<ResolveAllRequest>(request, limit).await?;
            let context = message.context.unwrap_or_default();
            let client_timeout = &|| grpc::client_timeout(&headers);
            let request =
                EvaluationRequest { headers: &headers, context: &context, client_timeout };
            let respond = |evaluation: &Evaluation<'_>| {
                grpc::succeeded(envelope::wrap(|out| resolve_all::write(evaluation, out)))
            };
            request.evaluate(core, respond).await
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
