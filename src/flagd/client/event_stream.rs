//! The event stream of flagd as a source that is pulled: open it, then take changes until it ends.

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

/// A stream over which flagd has said that it is ready.
pub(crate) struct EventStream {
    messages: Streaming<EventStreamResponse>,
    /// How long it may be silent; zero is without end.
    idle: Duration,
    last_message: Instant,
    /// Silence means nothing until the server has shown that it does not stay silent.
    sends_keep_alive: bool,
}

const SHUTDOWN: &str = "flagd is shutting down";

impl EventStream {
    /// Opens a stream and waits until flagd says that it is ready. A server without v2 is asked by
    /// v1; it may say so with the headers, or in the trailers of a stream that opened.
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
    /// A change just before the new stream was ready is in the old one alone.
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

/// What flagd says over the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Message {
    Ready,
    Changed(ChangedFlags),
    KeepAlive,
    Shutdown,
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

/// The flags that a `configuration_change` names. Data that names none, or makes no sense, may mean
/// any flag.
fn changed(data: Option<&Struct>) -> ChangedFlags {
    let named = |field: &str| data.and_then(|data| data.fields.get(field)?.kind.as_ref());
    let keys: Vec<String> = match (named("flags"), named("flagKey")) {
        (Some(Kind::StructValue(flags)), _) => flags.fields.keys().cloned().collect(),
        // The oldest form describes one flag.
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
