//! The way of a request: from its path and content type to its handler.
//!
//! | Path | Content type | Handler |
//! |---|---|---|
//! | unknown | any | 404 |
//! | known, method other than POST | any | 405 |
//! | known | `application/grpc` | gRPC |
//! | known, unary | `application/json`, `application/proto` | Connect |
//! | `EventStream` | `application/connect+json`, `application/connect+proto` | Connect |
//! | known | any other | 415 |

use std::{sync::Arc, time::Instant};

use http::{HeaderName, Method, Request, Response, StatusCode, header::CONTENT_TYPE};

use super::{connect, grpc::call};
use crate::server::protocol::procedure::Procedure;
use crate::server::{
    body::{Received, ResponseBody},
    core::Core,
    metrics::requests::Route,
    protocol::{connect::ContentType, grpc, respond},
};

/// The content types of unary calls, which a 415 lists.
const ACCEPTED: &str = "application/grpc, application/grpc+proto, application/json, \
    application/json; charset=utf-8, application/proto";
/// The same for the event stream.
const ACCEPTED_STREAM: &str = "application/grpc, application/grpc+proto, application/connect+json, \
    application/connect+json; charset=utf-8, application/connect+proto";

/// Responds to a request of the evaluation port.
pub(crate) async fn serve(
    core: Arc<Core>,
    request: Request<&mut Received>,
) -> Response<ResponseBody> {
    core.cors.around(request, |request| route(&core, request)).await
}

/// Finds the handler of a request, and measures unary calls. The duration of a
/// stream says nothing about the server.
async fn route(core: &Arc<Core>, request: Request<&mut Received>) -> Response<ResponseBody> {
    let Some(procedure) = Procedure::at(request.uri().path()) else { return respond::not_found() };
    if request.method() != Method::POST {
        return respond::only_post();
    }
    let began = Instant::now();
    let (response, status, route) = if grpc::is_grpc(request.headers()) {
        let response = call(core, procedure, request).await.unwrap_or_else(|failed| failed);
        let status = grpc::http_status(&response);
        (response, status, Route::Grpc(procedure))
    } else {
        let response = connect(core, procedure, request).await;
        let status = response.status();
        (response, status, Route::Connect(procedure))
    };
    if procedure != Procedure::EventStream {
        core.metrics.requests.finished(route, status, began.elapsed());
    }
    response
}

/// Handles a call over Connect, or rejects a content type that is not known.
async fn connect(
    core: &Arc<Core>,
    procedure: Procedure,
    request: Request<&mut Received>,
) -> Response<ResponseBody> {
    let content = request.headers().get(CONTENT_TYPE).and_then(ContentType::of);
    match (procedure, content) {
        (Procedure::EventStream, Some(ContentType::Stream(codec, name))) => {
            connect::stream::serve(core, codec, name, request).await
        }
        (Procedure::EventStream, _) => unsupported(ACCEPTED_STREAM),
        (procedure, Some(ContentType::Unary(codec, name))) => {
            connect::unary::serve(core, procedure, codec, name, request).await
        }
        _ => unsupported(ACCEPTED),
    }
}

/// A 415 that says what is accepted.
fn unsupported(accepted: &'static str) -> Response<ResponseBody> {
    let response = respond::status(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    respond::with(response, HeaderName::from_static("accept-post"), accepted)
}
