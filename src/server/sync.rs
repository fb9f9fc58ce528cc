//! The sync port: flag definitions for clients that evaluate flags themselves.
//!
//! It is flagd's `flagd.sync.v1.FlagSyncService`, over gRPC alone (docs/flagd.md,
//! "Sync service"):
//!
//! | Procedure | Response |
//! |---|---|
//! | `SyncFlags` | a stream: the whole definition, now and after each change |
//! | `FetchAllFlags` | the whole definition, once |
//! | `GetMetadata` | the constant context fields; deprecated |
//!
//! A client receives the whole definition whenever a flag of its selector has
//! changed. The protocol has no message for single flags.

use std::{sync::Arc, time::Duration};

use http::{Method, Request, Response};
use hyper::body::Bytes;
use prost::bytes::BytesMut;
use tokio::sync::watch;
use tonic::Status;

use super::{
    body::{Received, ResponseBody},
    core::Core,
    metrics::Counted,
    stream::{self, Messages},
};
use crate::server::{
    protocol::{
        envelope, grpc,
        proto::sync::{FetchAllFlagsRequest, GetMetadataRequest, SyncFlagsRequest},
        respond,
        wire::{Fields, write_text},
    },
    store::{selector::Selector, sent_version::SentVersion, snapshot::Snapshot},
};

/// Responds to a request of the sync port.
pub(crate) async fn serve(
    core: Arc<Core>,
    request: Request<&mut Received>,
) -> Response<ResponseBody> {
    let path = request.uri().path().to_owned();
    let Some(procedure) = path.strip_prefix("/flagd.sync.v1.FlagSyncService/") else {
        return respond::not_found();
    };
    if request.method() != Method::POST || !grpc::is_grpc(request.headers()) {
        return respond::only_post();
    }
    call(&core, procedure, request).await.unwrap_or_else(grpc::in_headers)
}

/// Handles a call. Both sides of the result are the response; errors differ in
/// that their status goes into the headers.
async fn call(
    core: &Arc<Core>,
    procedure: &str,
    request: Request<&mut Received>,
) -> Result<Response<ResponseBody>, Response<ResponseBody>> {
    let limit = core.max_body;
    match procedure {
        "SyncFlags" => {
            let (headers, message) = grpc::receive::<SyncFlagsRequest>(request, limit).await?;
            grpc::timeout(&headers).and_then(|timeout| {
                let selector = selector(core, &headers, &message.selector)?;
                Ok(grpc::stream(stream::open(core, selector, timeout, Sync)))
            })
        }
        "FetchAllFlags" => {
            let (headers, message) = grpc::receive::<FetchAllFlagsRequest>(request, limit).await?;
            match selector(core, &headers, &message.selector) {
                Ok(selector) => {
                    // A definition without flags would look as if all had been deleted.
                    let ready = core.ready_to_evaluate(|| grpc::client_timeout(&headers)).await;
                    ready.map(|()| {
                        let _subscribed = core.subscribed(&selector);
                        let definition = core.store.snapshot().definition(&selector);
                        grpc::succeeded(envelope::wrap(|out| write_text(1, &definition, out)))
                    })
                }
                Err(status) => Err(status),
            }
        }
        "GetMetadata" => {
            grpc::receive::<GetMetadataRequest>(request, limit).await?;
            if core.sync_metadata {
                Ok(grpc::succeeded(envelope::wrap(|out| context(core, out))))
            } else {
                Err(Status::unimplemented("metadata endpoint disabled"))
            }
        }
        _ => Err(grpc::unknown(procedure)),
    }
    .map_err(grpc::failed)
}

/// The selector in the header, or without that the one in the message, which is
/// older.
fn selector(core: &Core, headers: &http::HeaderMap, message: &str) -> Result<Selector, Status> {
    let selector = core.selector(headers, message);
    selector.map_err(|error| Status::invalid_argument(error.to_string()))
}

/// Writes the sync context: the constants that the server adds to every
/// evaluation context. Fields from headers belong to a request and are not there.
fn context(core: &Core, out: &mut BytesMut) {
    Fields::new(&core.static_context.values).write_field(2, out);
}

/// The messages of the sync stream.
struct Sync;

impl Sync {
    /// The whole definition with the sync context, shared by all clients that have
    /// the same selector.
    fn message(core: &Core, flags: &Snapshot, selector: &Selector) -> Bytes {
        flags.sync_message(selector, |flags| {
            envelope::wrap(|out| {
                write_text(1, &flags.definition(selector), out);
                context(core, out);
            })
        })
    }
}

impl Messages for Sync {
    fn watch(&self, core: &Core) -> watch::Receiver<u64> {
        core.store.watch()
    }

    fn first(&self, core: &Core, flags: &Snapshot, selector: &Selector) -> Bytes {
        Self::message(core, flags, selector)
    }

    /// The whole definition, if anything in it has changed or nobody knows what. Sync
    /// clients evaluate flags without the context source.
    fn change(
        &self,
        core: &Core,
        sent: SentVersion,
        flags: &Snapshot,
        selector: &Selector,
    ) -> Result<Option<Bytes>, Status> {
        let sent = SentVersion { touches: flags.touches, ..sent };
        let changes = core.store.changes(sent, flags, selector);
        let same = changes.is_some_and(|changes| changes.flags.is_empty());
        Ok((!same).then(|| Self::message(core, flags, selector)))
    }

    /// flagd sends none on this stream either.
    fn keep_alive(&self) -> Option<(Duration, Bytes)> {
        None
    }

    fn last(&self) -> Option<Bytes> {
        None
    }

    fn count<'c>(&self, core: &'c Core) -> Counted<'c> {
        core.metrics.sync_streams.count()
    }
}
