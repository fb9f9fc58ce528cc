//! What a scripted server saw: calls with their headers, streams and connections.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
};

use http::{HeaderMap, uri::Authority};
use prost_types::Struct;
use serde_json::Value;
use tonic::{Extensions, metadata::MetadataMap};

use super::{Method, Version};
use crate::support::{json::from_struct, servers::http2::Connections};

/// The log keeps this many of the newest calls.
const LOGGED: usize = 10_000;

/// A call as it arrived.
#[derive(Clone, Debug)]
pub struct Call {
    pub version: Version,
    pub method: Method,
    /// Empty for `ResolveAll` and `EventStream`.
    pub flag_key: String,
    pub context: Option<Struct>,
    pub headers: HeaderMap,
    pub authority: Option<Authority>,
}

impl Call {
    pub(super) fn new(
        (version, method): (Version, Method),
        metadata: &MetadataMap,
        extensions: &Extensions,
    ) -> Self {
        Self {
            version,
            method,
            flag_key: String::new(),
            context: None,
            headers: metadata.as_ref().clone(),
            authority: extensions.get().cloned(),
        }
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The context as JSON; null if the call had none.
    pub fn context_json(&self) -> Value {
        self.context.as_ref().map_or(Value::Null, from_struct)
    }
}

/// Everything the server has seen.
#[derive(Clone, Default)]
pub struct Observed {
    pub connections: Connections,
    /// Event streams open now: one fewer as soon as either side ends it.
    pub streams_open: usize,
    /// Requests for a version that the server does not have; they are not counted elsewhere.
    pub unserved: usize,
    /// The newest calls, streams included, oldest first.
    pub calls: VecDeque<Call>,
    counts: HashMap<(Version, Method), usize>,
}

impl Observed {
    pub(super) fn add(&mut self, call: Call, log: bool) {
        *self.counts.entry((call.version, call.method)).or_default() += 1;
        if log {
            let excess = (self.calls.len() + 1).saturating_sub(LOGGED);
            self.calls.drain(..excess);
            self.calls.push_back(call);
        }
    }

    /// Calls of one method and version.
    pub fn count(&self, version: Version, method: Method) -> usize {
        self.counts.get(&(version, method)).copied().unwrap_or(0)
    }

    /// Unary calls of both versions.
    pub fn unary(&self) -> usize {
        self.sum(|method| method != Method::EventStream)
    }

    /// Calls for an event stream, of both versions, including rejected ones.
    pub fn streams_opened(&self) -> usize {
        self.sum(|method| method == Method::EventStream)
    }

    fn sum(&self, of: impl Fn(Method) -> bool) -> usize {
        self.counts.iter().filter(|((_, method), _)| of(*method)).map(|(_, count)| count).sum()
    }
}

impl AsMut<Connections> for Observed {
    fn as_mut(&mut self) -> &mut Connections {
        &mut self.connections
    }
}

/// Without the log, which may be long.
impl fmt::Debug for Observed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Observed")
            .field("connections", &self.connections)
            .field("streams_open", &self.streams_open)
            .field("unserved", &self.unserved)
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}
