//! The event stream of the evaluation service, the same in both versions and over
//! gRPC and Connect.
//!
//! The events are flagd's (docs/flagd.md, "Event stream"). In JSON, over Connect:
//!
//! ```json
//! {"type": "provider_ready", "data": {}}
//! {"type": "configuration_change", "data": {"flags": {"a": {"type": "update"}}}}
//! {"type": "keep_alive", "data": null}
//! {"type": "provider_shutdown", "data": {}}
//! ```
//!
//! A flag also counts as updated when a field of the context source that its rule
//! reads has changed. When events are sent is decided in [`stream`].

use std::{sync::Arc, time::Duration};

use hyper::body::Bytes;
use prost::bytes::BufMut;
use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, watch};
use tonic::Status;

use crate::server::{
    core::Core,
    metrics::Counted,
    protocol::{
        connect::Codec,
        envelope,
        wire::{Fields, write_text},
    },
    store::{
        selector::Selector,
        sent_version::SentVersion,
        snapshot::{Changes, Snapshot},
    },
    stream::{self, Messages},
};

/// How long a stream may be silent before a `keep_alive`, as in flagd. A client
/// that receives nothing for longer can tell that the connection is lost.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// The messages of an event stream, written with this codec.
struct Events(Codec);

/// Opens an event stream. It ends after `timeout`, if the client has set one.
pub(crate) fn subscribe(
    core: &Arc<Core>,
    selector: Selector,
    timeout: Option<Duration>,
    codec: Codec,
) -> mpsc::Receiver<Result<Bytes, Status>> {
    stream::open(core, selector, timeout, Events(codec))
}

impl Messages for Events {
    fn watch(&self, core: &Core) -> watch::Receiver<u64> {
        core.store.watch_with_touches()
    }

    fn first(&self, _: &Core, _: &Snapshot, _: &Selector) -> Bytes {
        self.event("provider_ready", Some(&Map::new()))
    }

    fn change(
        &self,
        core: &Core,
        sent: SentVersion,
        flags: &Snapshot,
        selector: &Selector,
    ) -> Result<Option<Bytes>, Status> {
        // Some clients ignore a change without keys, but every client notices that its stream
        // ends, and then treats all flags as changed.
        let changes = core.store.changes(sent, flags, selector).ok_or_else(|| {
            Status::unavailable("the client has missed too many changes: open another stream")
        })?;
        let written = match self.0 {
            Codec::Proto => &changes.proto,
            Codec::Json => &changes.json,
        };
        let message = || written.get_or_init(|| self.changed(&changes)).clone();
        Ok((!changes.flags.is_empty()).then(message))
    }

    fn keep_alive(&self) -> Option<(Duration, Bytes)> {
        Some((KEEP_ALIVE, self.event("keep_alive", None)))
    }

    fn last(&self) -> Option<Bytes> {
        Some(self.event("provider_shutdown", Some(&Map::new())))
    }

    fn count<'c>(&self, core: &'c Core) -> Counted<'c> {
        core.metrics.event_streams.count()
    }
}

impl Events {
    /// The event `configuration_change` with these flags.
    fn changed(&self, changes: &Changes) -> Bytes {
        let flags: Map<String, Value> = changes
            .flags
            .iter()
            .map(|(key, change)| (key.clone(), json!({"type": change.as_str()})))
            .collect();
        let data = Map::from_iter([("flags".to_owned(), Value::Object(flags))]);
        self.event("configuration_change", Some(&data))
    }

    /// An event in its envelope. Without `data`, the field is absent in protobuf
    /// and null in JSON.
    fn event(&self, kind: &str, data: Option<&Map<String, Value>>) -> Bytes {
        envelope::wrap(|out| match self.0 {
            Codec::Proto => {
                write_text(1, kind, out);
                if let Some(data) = data {
                    Fields::new(data).write_field(2, out);
                }
            }
            Codec::Json => {
                out.put_slice(json!({"type": kind, "data": data}).to_string().as_bytes());
            }
        })
    }
}
