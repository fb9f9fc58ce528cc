//! flagd's event stream, which is pulled: open it, then take changes until it ends.
//!
//! A stream counts as open once flagd has sent `provider_ready`. Of the messages
//! that follow, only changes are yielded:
//!
//! ```text
//! {"type": "provider_ready", "data": {}}                               -> open
//! {"type": "configuration_change", "data": {"flags": {"a": {...}}}}    -> Keys(["a"])
//! {"type": "configuration_change", "data": {"flagKey": "a", ...}}      -> Keys(["a"])
//! {"type": "configuration_change"}                                     -> All
//! {"type": "keep_alive"}                                               -> resets the idle time
//! {"type": "provider_shutdown", "data": {}}                            -> the end
//! ```
//!
//! See "Event stream" in `docs/flagd.md` for when flagd sends them. Whether the
//! state changes, and what leaves the cache, is decided in `provider`.

use std::time::Duration;

use prost_types::{Struct, value::Kind};
use tokio::time::Instant;
use tonic::Streaming;

use super::{
    call_error::CallError,
    channel::Connection,
    rotation::Rotated,
    rpc,
    stream::{Cause, End, Failure, at},
};
use crate::{
    excerpt::excerpt,
    flagd::{event::ChangedFlags, proto::EventStreamResponse},
};

/// An event stream over which flagd has sent `provider_ready`.
pub(crate) struct EventStream {
    messages: Streaming<EventStreamResponse>,
    /// How long it may be silent; zero is unlimited.
    idle: Duration,
    /// When the last message was received, of any type.
    last_message: Instant,
    /// Whether the server has sent a `keep_alive`. Silence means nothing before:
    /// other servers, and old versions of flagd, may never send one.
    sends_keep_alive: bool,
}

/// The message for `provider_shutdown`.
const SHUTDOWN: &str = "flagd is shutting down";

impl EventStream {
    /// Opens a stream and waits for `provider_ready`.
    ///
    /// If the server does not have evaluation v2, the stream is opened with v1. The
    /// status `UNIMPLEMENTED` may come with the headers, or after the stream has
    /// opened. What the server has is remembered in the connection, for unary calls
    /// as well. If it has neither version, the next attempt begins with v2 again.
    ///
    /// Has no time limit of its own.
    pub(crate) async fn open(connection: &Connection, idle: Duration) -> Result<Self, Failure> {
        let mut v1 = connection.speaks_v1_only();
        loop {
            match Self::ready(connection, idle, v1).await {
                Err(failure) if failure.is_unimplemented() => {
                    connection.speak_v1_only(!v1);
                    if v1 {
                        return Err(failure);
                    }
                    v1 = true;
                }
                result => return result,
            }
        }
    }

    /// Opens a stream of one version and waits for `provider_ready`.
    async fn ready(connection: &Connection, idle: Duration, v1: bool) -> Result<Self, Failure> {
        let messages = rpc::event_stream(connection, v1).await?;
        let last_message = Instant::now();
        let mut stream = Self { messages, idle, last_message, sends_keep_alive: false };
        loop {
            match stream.message().await? {
                Message::Ready => return Ok(stream),
                Message::Shutdown => return Err(Failure::stream(SHUTDOWN)),
                _ => {}
            }
        }
    }

    /// The next message, of any type. Fails after `idle` without one. Cancel-safe.
    async fn message(&mut self) -> Result<Message, Failure> {
        let idle =
            (self.sends_keep_alive && !self.idle.is_zero()).then(|| self.last_message + self.idle);
        let received = tokio::select! {
            biased;
            received = self.messages.message() => received,
            () = at(idle) => {
                let text = format!("flagd has been silent for {:?}", self.idle);
                return Err(Failure::stream(text));
            }
        };
        self.last_message = Instant::now();
        match received {
            Ok(Some(response)) => {
                let message = Message::from(response);
                self.sends_keep_alive |= message == Message::KeepAlive;
                Ok(message)
            }
            Ok(None) => Err(Failure::stream("flagd closed the event stream")),
            Err(status) => Err(CallError::from_status(status, Duration::ZERO).into()),
        }
    }
}

impl Rotated for EventStream {
    type First = ();
    type Item = ChangedFlags;
    /// A change just before the new stream was ready is only in the old one.
    const LINGERS: bool = true;
    const NOT_OPENED: &str = "it did not open an event stream";

    async fn next(&mut self) -> Result<ChangedFlags, End> {
        loop {
            match self.message().await.map_err(Failure::of_ready_stream)? {
                Message::Changed(flags) => return Ok(flags),
                Message::Shutdown => {
                    let message = SHUTDOWN.to_owned();
                    return Err(End::Failed(Failure { message, cause: Cause::Shutdown }));
                }
                Message::Ready | Message::KeepAlive | Message::Unknown => {}
            }
        }
    }
}

/// A message of the event stream.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Message {
    /// `provider_ready`. A second one on the same stream is ignored.
    Ready,
    /// `configuration_change`.
    Changed(ChangedFlags),
    /// `keep_alive`, which only shows that the connection works.
    KeepAlive,
    /// `provider_shutdown`.
    Shutdown,
    /// Any other type, the empty one included. It is ignored, as a newer flagd may
    /// add types.
    Unknown,
}

impl From<EventStreamResponse> for Message {
    fn from(response: EventStreamResponse) -> Self {
        match response.r#type.as_str() {
            "provider_ready" => Self::Ready,
            "configuration_change" => Self::Changed(changed(response.data.as_ref())),
            "keep_alive" => Self::KeepAlive,
            "provider_shutdown" => Self::Shutdown,
            other => {
                tracing::trace!(r#type = excerpt(other).as_ref(), "unknown event ignored");
                Self::Unknown
            }
        }
    }
}

/// The flags that a `configuration_change` names. Data that names none, or cannot
/// be read, means that any flag may have changed: a result that is removed from
/// the cache without need costs one call, while one that is kept would be wrong.
fn changed(data: Option<&Struct>) -> ChangedFlags {
    let named = |field: &str| data.and_then(|data| data.fields.get(field)?.kind.as_ref());
    let keys: Vec<String> = match (named("flags"), named("flagKey")) {
        (Some(Kind::StructValue(flags)), _) => flags.fields.keys().cloned().collect(),
        // Old versions of flagd describe one flag, directly in the data.
        (None, Some(Kind::StringValue(key))) => vec![key.clone()],
        _ => Vec::new(),
    };
    if keys.is_empty() { ChangedFlags::All } else { ChangedFlags::Keys(keys.into()) }
}

#[cfg(test)]
mod tests {
    use prost_types::Value;

    use super::*;

    fn object<const N: usize>(fields: [(&str, Kind); N]) -> Struct {
        let field = |(name, kind): (&str, Kind)| (name.to_owned(), Value { kind: Some(kind) });
        Struct { fields: fields.into_iter().map(field).collect() }
    }

    fn message(r#type: &str, data: Option<Struct>) -> Message {
        EventStreamResponse { r#type: r#type.to_owned(), data }.into()
    }

    fn keys<const N: usize>(keys: [&str; N]) -> Message {
        Message::Changed(ChangedFlags::Keys(keys.map(str::to_owned).into()))
    }

    fn text(text: &str) -> Kind {
        Kind::StringValue(text.to_owned())
    }

    #[test]
    fn a_change_names_its_flags() {
        let change = || Kind::StructValue(object([("type", text("update"))]));
        let flags = Kind::StructValue(object([("a", change()), ("b", Kind::NullValue(0))]));
        assert_eq!(
            message("configuration_change", Some(object([("flags", flags)]))),
            keys(["a", "b"])
        );
    }

    #[test]
    fn the_oldest_form_of_a_change_names_one_flag() {
        let data = object([("type", text("write")), ("source", text("s")), ("flagKey", text("a"))]);
        assert_eq!(message("configuration_change", Some(data)), keys(["a"]));
    }

    #[test]
    fn a_change_with_missing_or_malformed_data_may_be_of_any_flag() {
        let all = Message::Changed(ChangedFlags::All);
        for data in [
            None,
            Some(Struct::default()),
            Some(object([("flags", text("a"))])),
            Some(object([("flags", Kind::NullValue(0)), ("flagKey", text("a"))])),
            Some(object([("flags", Kind::StructValue(Struct::default()))])),
            Some(object([("flagKey", Kind::NumberValue(1.0))])),
            Some(Struct { fields: [("flags".to_owned(), Value { kind: None })].into() }),
        ] {
            assert_eq!(message("configuration_change", data.clone()), all, "{data:?}");
        }
    }

    #[test]
    fn unknown_and_empty_types_are_told_apart_from_the_known() {
        assert_eq!(message("provider_ready", None), Message::Ready);
        assert_eq!(message("keep_alive", None), Message::KeepAlive);
        assert_eq!(message("provider_shutdown", None), Message::Shutdown);
        for other in ["", "PROVIDER_READY", "configuration_changed"] {
            assert_eq!(message(other, None), Message::Unknown, "{other}");
        }
    }
}
