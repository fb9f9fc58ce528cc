//! The events of a change stream. Pure: from a server-sent event to what it says.
//!
//! ```text
//! event: ready    id: 7   data: {"stream": "<id>"}
//! event: change   id: 8   data: {"identity": "acme", "fact": "tier", "value": "gold"}
//! event: erased   id: 9   data: {"identity": "acme"}
//! event: reset    id: 12
//! event: end              data: {"reason": "token revoked"}
//! ```

use serde::Deserialize;

use crate::flagops::sse::ServerSentEvent;

/// What a [change stream](super::Changes) reports.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChangeEvent {
    /// The stream is open, and every change after this number follows. After an
    /// interruption, that is the last number that was received.
    Ready {
        /// The number of the last change before the stream.
        sequence: u64,
    },
    /// A fact was written or removed, or has expired.
    Changed {
        /// The number of the change.
        sequence: u64,
        /// Whose fact it is.
        identity: String,
        /// Its key.
        key: String,
        /// The new value; `None` if there is none any more.
        value: Option<String>,
    },
    /// An identity was removed with all its facts.
    Erased {
        /// The number of the change.
        sequence: u64,
        /// The identity.
        identity: String,
    },
    /// Changes were missed: read everything again. The stream goes on after this number.
    Reset {
        /// The number of the last change before what follows.
        sequence: u64,
    },
    /// [Added](super::ChangesHandle::add) identities are in the stream now. What was read
    /// of them before this number may have changed unnoticed.
    Added {
        /// Every later change of the identities is in the stream.
        sequence: u64,
        /// The identities.
        identities: Vec<String>,
    },
}

/// An event as the store sends it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    /// The stream is open, under this id.
    Ready { sequence: u64, stream: String },
    /// Something for the caller.
    Event(ChangeEvent),
    /// The stream ends, for this reason.
    End(String),
    /// Something that this version does not know.
    Unknown,
}

#[derive(Deserialize)]
struct Ready {
    stream: String,
}

#[derive(Deserialize)]
struct Changed {
    identity: String,
    fact: String,
    value: Option<String>,
}

#[derive(Deserialize)]
struct Erased {
    identity: String,
}

#[derive(Deserialize)]
struct End {
    #[serde(default)]
    reason: String,
}

impl Incoming {
    /// What an event says.
    ///
    /// # Errors
    ///
    /// What is wrong with it. It does not quote the data.
    pub(super) fn of(event: &ServerSentEvent) -> Result<Self, String> {
        let invalid = || format!("invalid event `{}`", crate::excerpt::excerpt(&event.name));
        let sequence = || event.id.as_deref().and_then(|id| id.parse().ok());
        let parsed = match &*event.name {
            "ready" => (|| {
                Some(Self::Ready { sequence: sequence()?, stream: data::<Ready>(event)?.stream })
            })(),
            "change" => (|| {
                let Changed { identity, fact: key, value } = data(event)?;
                let sequence = sequence()?;
                Some(Self::Event(ChangeEvent::Changed { sequence, identity, key, value }))
            })(),
            "erased" => (|| {
                let (sequence, Erased { identity }) = (sequence()?, data(event)?);
                Some(Self::Event(ChangeEvent::Erased { sequence, identity }))
            })(),
            "reset" => sequence().map(|sequence| Self::Event(ChangeEvent::Reset { sequence })),
            "end" => Some(Self::End(data::<End>(event).map_or_else(String::new, |end| end.reason))),
            _ => Some(Self::Unknown),
        };
        parsed.ok_or_else(invalid)
    }
}

/// The data of an event, from JSON.
fn data<'d, T: Deserialize<'d>>(event: &'d ServerSentEvent) -> Option<T> {
    serde_json::from_str(&event.data).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(name: &str, id: Option<&str>, data: &str) -> Result<Incoming, String> {
        let (name, id, data) = (name.to_owned(), id.map(str::to_owned), data.to_owned());
        Incoming::of(&ServerSentEvent { name, id, data })
    }

    #[test]
    fn events() {
        let ready = Incoming::Ready { sequence: 7, stream: "s".to_owned() };
        assert_eq!(parsed("ready", Some("7"), r#"{"stream":"s"}"#), Ok(ready));
        let change = r#"{"identity":"a","fact":"tier","value":null,"version":3}"#;
        let (identity, key) = ("a".to_owned(), "tier".to_owned());
        let changed =
            ChangeEvent::Changed { sequence: 8, identity: identity.clone(), key, value: None };
        assert_eq!(parsed("change", Some("8"), change), Ok(Incoming::Event(changed)));
        let erased = Incoming::Event(ChangeEvent::Erased { sequence: 9, identity });
        assert_eq!(parsed("erased", Some("9"), r#"{"identity":"a"}"#), Ok(erased));
        let reset = Incoming::Event(ChangeEvent::Reset { sequence: 10 });
        assert_eq!(parsed("reset", Some("10"), ""), Ok(reset));
        let end = Incoming::End("token revoked".to_owned());
        assert_eq!(parsed("end", None, r#"{"reason":"token revoked"}"#), Ok(end));
        assert_eq!(parsed("news", None, "x"), Ok(Incoming::Unknown));
    }

    #[test]
    fn an_event_without_its_parts_is_an_error() {
        for (name, id, data) in [
            ("ready", None, r#"{"stream":"s"}"#),
            ("ready", Some("x"), r#"{"stream":"s"}"#),
            ("ready", Some("1"), "{}"),
            ("change", Some("1"), r#"{"identity":"a"}"#),
            ("change", None, r#"{"identity":"a","fact":"f","value":"hush"}"#),
            ("erased", Some("1"), "hush"),
            ("reset", None, ""),
        ] {
            let error = parsed(name, id, data).unwrap_err();
            assert!(error.contains(name) && !error.contains("hush"), "{error}");
        }
    }
}
