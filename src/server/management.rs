//! The management port: probes, metrics, and gRPC's
//! [health service](https://grpc.io/docs/guides/health-checking/).
//!
//! | Request | Response |
//! |---|---|
//! | `/healthz` | 200, as long as the server runs |
//! | `/readyz` | 200 once every source has delivered a valid definition, else 412 |
//! | `/readyz`, during a shutdown | 412 |
//! | `/metrics` | Prometheus' text format |
//! | gRPC `Health/Check` | `SERVING` when `/readyz` is 200, else `NOT_SERVING` |
//! | gRPC `Health/Watch` | the same, now and whenever it changes |
//!
//! The first three accept any method.
//!
//! The two messages of the health service have one field each, so they are
//! written here by hand and need no generated code.

use std::sync::Arc;

use http::{Request, Response, StatusCode};
use hyper::body::Bytes;
use prost::encoding::int32;
use tokio::sync::mpsc;
use tonic::Status;

use super::{
    body::{Received, ResponseBody},
    core::Core,
};
use crate::server::protocol::{envelope, grpc, respond};

/// The content type of Prometheus' text format.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Responds to a request of the management port.
pub(crate) async fn serve(
    core: Arc<Core>,
    request: Request<&mut Received>,
) -> Response<ResponseBody> {
    if grpc::is_grpc(request.headers()) {
        return health(&core, request).await;
    }
    match request.uri().path() {
        "/healthz" => respond::status(StatusCode::OK),
        "/readyz" if core.is_ready() => respond::status(StatusCode::OK),
        "/readyz" => respond::status(StatusCode::PRECONDITION_FAILED),
        "/metrics" => {
            let text = core.metrics.expose(&core.store.snapshot());
            respond::content(StatusCode::OK, METRICS, text)
        }
        _ => respond::not_found(),
    }
}

/// The request of both procedures.
#[derive(Clone, PartialEq, prost::Message)]
struct HealthCheckRequest {
    /// The name of a service, empty for the server as a whole.
    #[prost(string, tag = "1")]
    service: String,
}

// The enum `HealthCheckResponse.ServingStatus`.
const SERVING: i32 = 1;
const NOT_SERVING: i32 = 2;
const SERVICE_UNKNOWN: i32 = 3;

/// The services whose health is known. All have the same.
const SERVICES: [&str; 4] = [
    "",
    "flagd.evaluation.v1.Service",
    "flagd.evaluation.v2.Service",
    "flagd.sync.v1.FlagSyncService",
];

/// Handles a call of the health service.
///
/// An unknown service is `NOT_FOUND` for `Check`, and for `Watch` a stream of
/// `SERVICE_UNKNOWN`, as the protocol demands.
async fn health(core: &Arc<Core>, request: Request<&mut Received>) -> Response<ResponseBody> {
    let path = request.uri().path().to_owned();
    let Some(procedure) = path.strip_prefix("/grpc.health.v1.Health/") else {
        return respond::not_found();
    };
    let message = match grpc::receive::<HealthCheckRequest>(request, core.max_body).await {
        Ok((_, message)) => message,
        Err(response) => return response,
    };
    let is_known = SERVICES.contains(&&*message.service);
    match procedure {
        "Check" if is_known => grpc::succeeded(status(serving(core))),
        "Check" => grpc::failed(Status::not_found("unknown service")),
        "Watch" => grpc::stream(watch(core, is_known)),
        _ => grpc::failed_in_trailers(grpc::unknown(procedure)),
    }
}

/// The health of every known service.
fn serving(core: &Core) -> i32 {
    if core.is_ready() { SERVING } else { NOT_SERVING }
}

/// The message `HealthCheckResponse`, in its envelope.
fn status(status: i32) -> Bytes {
    envelope::wrap(|out| int32::encode(1, &status, out))
}

/// Sends the health now and whenever it changes, until the client disconnects or
/// the server shuts down.
fn watch(core: &Arc<Core>, is_known: bool) -> mpsc::Receiver<Result<Bytes, Status>> {
    let (sender, receiver) = mpsc::channel(1);
    let core = core.clone();
    tokio::spawn(async move {
        let mut versions = core.store.watch();
        let mut sent = None;
        loop {
            let now = if is_known { serving(&core) } else { SERVICE_UNKNOWN };
            if sent != Some(now) && sender.send(Ok(status(now))).await.is_err() {
                return;
            }
            sent = Some(now);
            if *core.stopping.borrow() {
                let _ = sender.send(Err(Status::unavailable("the server is shutting down"))).await;
                return;
            }
            tokio::select! {
                _ = versions.changed() => {}
                () = core.stopped() => {}
                () = sender.closed() => return,
            }
        }
    });
    receiver
}
