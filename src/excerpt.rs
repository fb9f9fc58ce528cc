//! What an error or a log line quotes of somebody else: text cut to a length that fits a header, and
//! the causes of an error.

use std::borrow::Cow;
#[cfg(feature = "rpc")]
use std::{error::Error, iter::successors, path::Path};

/// The longest quotation, in characters.
///
/// A gRPC message travels in a header, where a byte that is not ASCII takes up to nine characters;
/// HTTP/2 peers reset a stream whose header block is longer than some 16 KiB.
pub(crate) const MAX_CHARS: usize = 200;

/// The text, or its beginning and an ellipsis: [`MAX_CHARS`] characters at most. Characters that would
/// begin another line or change how the line is displayed are escaped, so that what is quoted cannot
/// forge a line.
pub(crate) fn excerpt(text: &str) -> Cow<'_, str> {
    if text.chars().nth(MAX_CHARS).is_none() && !text.contains(is_control) {
        return Cow::Borrowed(text);
    }
    let (mut quoted, mut room) = (String::new(), MAX_CHARS);
    for character in text.chars() {
        let escaped = is_control(character).then(|| character.escape_default());
        let width = escaped.as_ref().map_or(1, ExactSizeIterator::len);
        let Some(rest) = room.checked_sub(width) else {
            quoted.push('…');
            break;
        };
        room = rest;
        match escaped {
            Some(escaped) => quoted.extend(escaped),
            None => quoted.push(character),
        }
    }
    Cow::Owned(quoted)
}

/// Control characters, and those that end a line or change its direction.
pub(crate) fn is_control(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A path, as far as an error quotes it.
#[cfg(feature = "rpc")]
pub(crate) fn shown(path: &Path) -> String {
    excerpt(&path.to_string_lossy()).into_owned()
}

/// An error and all its causes in one line, for where a chain cannot be kept (an
/// [`EvaluationError`](open_feature::EvaluationError) is not an [`Error`], and an event holds a string).
#[cfg(feature = "rpc")]
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = successors(Some(error), |&error| error.source());
    let mut texts: Vec<_> = causes.map(ToString::to_string).collect();
    // Wrappers in tonic and hyper have the text of what they wrap, and it as their cause.
    texts.dedup();
    texts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_quoted_whole_up_to_the_limit() {
        for text in ["", "short", &"x".repeat(MAX_CHARS), &"é".repeat(MAX_CHARS)] {
            assert!(matches!(excerpt(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    #[test]
    fn causes_follow_each_other_and_wrappers_count_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("{0}")]
        struct Caused(&'static str, #[source] Option<Box<Caused>>);
        let caused = |text, cause| Some(Box::new(Caused(text, cause)));
        let cause = caused("refused", None);
        let error = caused("no stream", caused("no connection", caused("no connection", cause)));
        assert_eq!(chain(&*error.unwrap()), "no stream: no connection: refused");
        // A cause counts even if the message before it contains its text.
        let error = Caused("refused by a", caused("refused", None));
        assert_eq!(chain(&error), "refused by a: refused");
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(excerpt("no\x1b[31m\npe\t\u{9b}"), r"no\u{1b}[31m\npe\t\u{9b}");
        assert_eq!(excerpt("a\u{2028}b\u{202e}c\u{2069}"), r"a\u{2028}b\u{202e}c\u{2069}");
        assert!(matches!(excerpt(r"a\b žluťoučký 👍 'q'"), Cow::Borrowed(_)));
        let quoted = excerpt(&"\n".repeat(MAX_CHARS + 1)).into_owned();
        assert_eq!(quoted, format!("{}…", r"\n".repeat(MAX_CHARS / 2)));
    }

    #[test]
    fn a_longer_text_is_cut_between_characters() {
        for character in ["x", "é", "👍", "\u{fffd}"] {
            let quoted = excerpt(&character.repeat(5000)).into_owned();
            assert_eq!(quoted, format!("{}…", character.repeat(MAX_CHARS)));
        }
    }
}
