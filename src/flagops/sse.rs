//! Parses [server-sent events](https://html.spec.whatwg.org/multipage/server-sent-events.html):
//! bytes in, events out. There is no I/O in it.
//!
//! The bytes may be cut anywhere, also within a character or between `\r` and `\n`. The
//! length of a line and of an event is bounded, because the other side decides how long
//! they are and nothing can be reported before they have ended.

/// The longest line, and the longest event, in bytes. A fact has at most 64 KiB, which
/// JSON can make six times as long.
pub(crate) const MAX_EVENT: usize = 1 << 20;

/// An event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ServerSentEvent {
    /// Its name; empty for `message`.
    pub(crate) name: String,
    /// Its own id. Unlike in a browser, it is not inherited from the event before.
    pub(crate) id: Option<String>,
    /// The lines of its data, separated by line breaks.
    pub(crate) data: String,
}

/// A stream that cannot be parsed any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SseError {
    #[error("an event of the stream is longer than {MAX_EVENT} bytes")]
    TooLong,
    #[error("the event stream is not valid UTF-8")]
    NotUtf8,
}

/// The state between two parts of a stream.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    /// The line that has begun.
    line: Vec<u8>,
    /// The event that has begun.
    event: ServerSentEvent,
    /// Whether the event has a line of data.
    has_data: bool,
    /// Whether the last byte was `\r`, so that a `\n` belongs to the same line break.
    after_return: bool,
    /// Whether a line has ended. Only the first one may begin with a byte order mark.
    begun: bool,
}

impl Parser {
    /// Takes the next part of the stream and appends the events that end in it.
    ///
    /// # Errors
    ///
    /// The parser cannot be used after an error.
    pub(crate) fn push(
        &mut self,
        part: &[u8],
        events: &mut Vec<ServerSentEvent>,
    ) -> Result<(), SseError> {
        let mut rest = part;
        if std::mem::take(&mut self.after_return) {
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            // An empty part tells nothing of the next byte.
            self.after_return = part.is_empty();
        }
        while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
            self.extend(&rest[..end])?;
            let is_return = rest[end] == b'\r';
            rest = &rest[end + 1..];
            if is_return {
                self.after_return = rest.is_empty();
                rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            }
            events.extend(self.end_line()?);
        }
        self.extend(rest)
    }

    /// Adds to the line that has begun.
    fn extend(&mut self, bytes: &[u8]) -> Result<(), SseError> {
        let event = self.event.data.len() + self.event.name.len();
        if event + self.line.len() + bytes.len() > MAX_EVENT {
            return Err(SseError::TooLong);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    /// Interprets a complete line. An empty one ends the event.
    fn end_line(&mut self) -> Result<Option<ServerSentEvent>, SseError> {
        let line = std::mem::take(&mut self.line);
        let line = std::str::from_utf8(&line).map_err(|_| SseError::NotUtf8)?;
        let is_first = !std::mem::replace(&mut self.begun, true);
        let line = line.strip_prefix('\u{feff}').filter(|_| is_first).unwrap_or(line);
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            // Unlike in a browser, a name is enough: `reset` has no data.
            let is_event = std::mem::take(&mut self.has_data) || !event.name.is_empty();
            return Ok(is_event.then_some(event));
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            "event" => value.clone_into(&mut self.event.name),
            "id" if !value.contains('\0') => self.event.id = Some(value.to_owned()),
            // A comment, or a field that has no meaning here, such as `retry`.
            _ => {}
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, id: Option<&str>, data: &str) -> ServerSentEvent {
        ServerSentEvent { name: name.to_owned(), id: id.map(str::to_owned), data: data.to_owned() }
    }

    fn parsed(parts: &[&[u8]]) -> Result<Vec<ServerSentEvent>, SseError> {
        let (mut parser, mut events) = (Parser::default(), Vec::new());
        for part in parts {
            parser.push(part, &mut events)?;
        }
        Ok(events)
    }

    #[test]
    fn fields_and_comments() {
        let stream = "\u{feff}: hello\nevent: ready\nid: 7\ndata: {\"a\":1}\n\n\
                      data:x\ndata\ndata:  y\nretry: 5\nodd\n\nevent: nothing\n\nid:8\ndata:\n\n";
        let expected = [
            event("ready", Some("7"), "{\"a\":1}"),
            event("", None, "x\n\n y"),
            event("nothing", None, ""),
            event("", Some("8"), ""),
        ];
        assert_eq!(parsed(&[stream.as_bytes()]).unwrap(), expected);
    }

    #[test]
    fn a_stream_can_be_cut_anywhere() {
        let stream = "event: změna\r\nid: 1\rdata: žluť\ndata: b\r\n\r\ndata: c\r\rdata: d\n\n";
        let expected =
            [event("změna", Some("1"), "žluť\nb"), event("", None, "c"), event("", None, "d")];
        let bytes = stream.as_bytes();
        for at in 0..=bytes.len() {
            assert_eq!(parsed(&[&bytes[..at], &bytes[at..]]).unwrap(), expected, "cut at {at}");
            assert_eq!(parsed(&[&bytes[..at], b"", &bytes[at..]]).unwrap(), expected, "at {at}");
        }
        let single: Vec<_> = bytes.chunks(1).collect();
        assert_eq!(parsed(&single).unwrap(), expected);
    }

    #[test]
    fn an_event_that_has_not_ended_is_not_reported() {
        assert_eq!(parsed(&[b"data: a\n"]), Ok(Vec::new()));
    }

    #[test]
    fn lines_and_events_are_bounded() {
        let line = [b"data: ", &*b"x".repeat(MAX_EVENT)].concat();
        assert_eq!(parsed(&[&line]), Err(SseError::TooLong));
        let lines = b"data: 0123456789\n".repeat(MAX_EVENT / 10);
        let parts: Vec<_> = lines.chunks(1000).collect();
        assert_eq!(parsed(&parts), Err(SseError::TooLong));
        let comments = b": keep-alive\n\n".repeat(MAX_EVENT / 10);
        assert_eq!(parsed(&[&comments]), Ok(Vec::new()));
    }

    #[test]
    fn text_must_be_utf8() {
        assert_eq!(parsed(&[b"data: \xff\n"]), Err(SseError::NotUtf8));
    }
}
