//! Server-sent events, as they are written: once, in bytes that all streams share. The events of
//! axum are written anew for each stream, which ten thousand streams would pay for.
//! ([HTML Standard](https://html.spec.whatwg.org/multipage/server-sent-events.html))

use bytes::Bytes;
use serde_json::json;

use crate::fact::Change;

/// An event as it is written to each stream.
#[derive(Clone, Debug)]
pub struct Event {
    /// The number of the change.
    pub number: i64,
    /// The identity that it is about.
    pub identity: String,
    /// What is written.
    pub text: Bytes,
}

impl From<&Change> for Event {
    fn from(change: &Change) -> Self {
        let Change { number, identity, fact } = change;
        let (kind, data) = match fact {
            Some((key, value, version)) => (
                "change",
                json!({ "identity": identity, "fact": key, "value": value, "version": version }),
            ),
            None => ("erased", json!({ "identity": identity })),
        };
        Self {
            number: *number,
            identity: identity.clone(),
            text: write(kind, Some(*number), &data),
        }
    }
}

/// An event with the name of its kind, its number, and data in one line of JSON.
pub(super) fn write(kind: &str, number: Option<i64>, data: &serde_json::Value) -> Bytes {
    let id = number.map(|it| format!("id: {it}\n")).unwrap_or_default();
    // JSON escapes line breaks, so that data is one line.
    format!("event: {kind}\n{id}data: {data}\n\n").into()
}
