//! What an error or a log line may quote of strings that come from elsewhere: flag
//! keys, paths, URLs, messages of a server, and the causes of an error.
//!
//! Such strings may be arbitrarily long and contain anything. A message that quotes
//! one passes it through [`excerpt`], which bounds its length and escapes what could
//! forge a log line or hide part of it:
//!
//! ```text
//! "new-checkout"            -> new-checkout
//! "a\nERROR fake line"      -> a\nERROR fake line   (backslash and n)
//! "xxxx... (5000 of them)"  -> xxxx...xxxx…         (200, and an ellipsis)
//! ```

use std::borrow::Cow;
#[cfg(any(feature = "rpc", feature = "flagops"))]
use std::{error::Error, iter::successors, path::Path};

/// The longest quotation, in characters.
///
/// A gRPC message travels in a header, in which a character that is not ASCII takes
/// up to twelve bytes, because each of its bytes is percent-encoded. HTTP/2 peers
/// reset a stream whose header block is longer than about 16 KiB.
pub(crate) const MAX_CHARS: usize = 200;

/// Returns the text as it may be quoted: at most [`MAX_CHARS`] characters, followed
/// by an ellipsis if more were left out.
///
/// Characters that would begin another line or change how the line is displayed are
/// escaped. An escape counts by its own length and is never cut. Nothing is
/// allocated for a short text without such characters.
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

/// Whether a character is escaped: control characters, and the Unicode characters
/// that end a line or change its direction.
pub(crate) fn is_control(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A path as an error quotes it.
#[cfg(any(feature = "rpc", feature = "flagops"))]
pub(crate) fn shown(path: &Path) -> String {
    excerpt(&path.to_string_lossy()).into_owned()
}

/// An error and all its causes in one line, such as `cannot read flags.json: No such
/// file or directory`.
///
/// It is for places that cannot keep a chain: an
/// [`EvaluationError`](open_feature::EvaluationError) is not an [`Error`] and has
/// no source, and an event holds a string.
#[cfg(any(feature = "rpc", feature = "flagops"))]
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = successors(Some(error), |&error| error.source());
    let mut texts: Vec<_> = causes.map(ToString::to_string).collect();
    // Wrappers in tonic and hyper repeat the text of the error that they wrap and return as cause.
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

    #[cfg(any(feature = "rpc", feature = "flagops"))]
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
