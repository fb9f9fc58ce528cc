//! The sync port: flag definitions for those who evaluate them themselves.

use std::{sync::Arc, time::Duration};

use http::{Method, Request, Response};
use hyper::body::{Bytes, Incoming};
use prost::bytes::BytesMut;
use tonic::Status;

use super::{
    body::Reply,
    core::{Core, selector_of},
    grpc,
    metrics::Counted,
    proto::sync::{FetchAllFlagsRequest, GetMetadataRequest, SyncFlagsRequest},
    respond,
    selector::{self, Selector},
    store::{Snapshot, Told},
    stream::{self, Messages},
    wire::{Fields, write_text},
};

/// Answers a request.
pub(crate) async fn serve(core: Arc<Core>, request: Request<Incoming>) -> Response<Reply> {
    let Some(procedure) = request.uri().path().strip_prefix("/flagd.sync.v1.FlagSyncService/")
    else {
        return respond::not_found();
    };
    if request.method() != Method::POST || !grpc::is_grpc(request.headers()) {
        return respond::only_post();
    }
    let limit = core.max_body;
    match procedure {
        "SyncFlags" => match grpc::receive::<SyncFlagsRequest>(request, limit).await {
            Ok((headers, message)) => match selector(&headers, &message.selector) {
                Ok(selector) => grpc::stream(stream::open(&core, selector, Sync)),
                Err(status) => grpc::failed(&status),
            },
            Err(response) => response,
        },
        "FetchAllFlags" => match grpc::receive::<FetchAllFlagsRequest>(request, limit).await {
            Ok((headers, message)) => match selector(&headers, &message.selector) {
                Ok(selector) => {
                    let flags = core.store.snapshot();
                    grpc::answer(grpc::frame(|out| {
                        write_text(1, &flags.definition(&selector), out);
                    }))
                }
                Err(status) => grpc::failed(&status),
            },
            Err(response) => response,
        },
        "GetMetadata" => match grpc::receive::<GetMetadataRequest>(request, limit).await {
            Ok(_) if core.sync_metadata => grpc::answer(grpc::frame(|out| context(&core, out))),
            Ok(_) => grpc::failed(&Status::unimplemented("metadata endpoint disabled")),
            Err(response) => response,
        },
        _ => grpc::failed(&Status::unimplemented(format!("there is no procedure {procedure:?}"))),
    }
}

/// The selector of the header, else the older one of the message.
fn selector(headers: &http::HeaderMap, message: &str) -> Result<Selector, Status> {
    let selector = if headers.contains_key(selector::HEADER) {
        selector_of(headers)
    } else {
        Selector::parse(message)
    };
    selector.map_err(|error| Status::invalid_argument(error.to_string()))
}

/// The fields that the server adds to every evaluation context.
fn context(core: &Core, out: &mut BytesMut) {
    Fields::new(&core.additions.values).write_field(2, out);
}

struct Sync;

impl Sync {
    fn message(core: &Core, flags: &Snapshot, selector: &Selector) -> Bytes {
        flags.sync_message(selector, |flags| {
            grpc::frame(|out| {
                write_text(1, &flags.definition(selector), out);
                context(core, out);
            })
        })
    }
}

impl Messages for Sync {
    fn first(&self, core: &Core, flags: &Snapshot, selector: &Selector) -> Bytes {
        Self::message(core, flags, selector)
    }

    fn change(
        &self,
        core: &Core,
        told: &Told,
        flags: &Snapshot,
        selector: &Selector,
    ) -> Option<Bytes> {
        let same = told.changes(flags, selector).is_some_and(|changes| changes.flags.is_empty());
        (!same).then(|| Self::message(core, flags, selector))
    }

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
