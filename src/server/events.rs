//! The event stream of the evaluation service, the same in both versions.

use std::{sync::Arc, time::Duration};

use hyper::body::Bytes;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tonic::Status;

use super::{
    core::Core,
    grpc,
    metrics::Counted,
    selector::Selector,
    store::{Changes, Snapshot, Told},
    stream::{self, Messages},
    wire::{Fields, write_text},
};

/// A client that hears nothing for longer knows that the connection is lost.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

struct Events;

/// Opens a stream of events.
pub(crate) fn subscribe(
    core: &Arc<Core>,
    selector: Selector,
) -> mpsc::Receiver<Result<Bytes, Status>> {
    stream::open(core, selector, Events)
}

impl Messages for Events {
    fn first(&self, _: &Core, _: &Snapshot, _: &Selector) -> Bytes {
        event("provider_ready", Some(&Map::new()))
    }

    fn change(
        &self,
        core: &Core,
        told: Told,
        flags: &Snapshot,
        selector: &Selector,
    ) -> Result<Option<Bytes>, Status> {
        // Some clients ignore a change without keys, but none that its stream ends.
        let changes = core.store.changes(told, flags, selector).ok_or_else(|| {
            Status::unavailable("the client has missed too many changes: open another stream")
        })?;
        let message = || changes.event.get_or_init(|| changed(&changes)).clone();
        Ok((!changes.flags.is_empty()).then(message))
    }

    fn keep_alive(&self) -> Option<(Duration, Bytes)> {
        Some((KEEP_ALIVE, event("keep_alive", None)))
    }

    fn last(&self) -> Option<Bytes> {
        Some(event("provider_shutdown", Some(&Map::new())))
    }

    fn count<'c>(&self, core: &'c Core) -> Counted<'c> {
        core.metrics.event_streams.count()
    }
}

fn changed(changes: &Changes) -> Bytes {
    let flags: Map<String, Value> = changes
        .flags
        .iter()
        .map(|(key, change)| (key.clone(), json!({"type": change.as_str()})))
        .collect();
    event(
        "configuration_change",
        Some(&Map::from_iter([("flags".to_owned(), Value::Object(flags))])),
    )
}

fn event(kind: &str, data: Option<&Map<String, Value>>) -> Bytes {
    grpc::frame(|out| {
        write_text(1, kind, out);
        if let Some(data) = data {
            Fields::new(data).write_field(2, out);
        }
    })
}
