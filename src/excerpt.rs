//! What an error or a log line quotes of somebody else's text, cut to a length that fits a header.

use std::borrow::Cow;

/// The longest quotation, in characters.
///
/// A gRPC message travels in a header, where a byte that is not ASCII takes up to nine characters;
/// HTTP/2 peers reset a stream whose header block is longer than some 16 KiB.
pub(crate) const MAX_CHARS: usize = 200;

/// The text, or its first [`MAX_CHARS`] characters and an ellipsis.
pub(crate) fn excerpt(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(MAX_CHARS) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
    }
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
    fn a_longer_text_is_cut_between_characters() {
        for character in ["x", "é", "👍", "\u{fffd}"] {
            let quoted = excerpt(&character.repeat(5000)).into_owned();
            assert_eq!(quoted, format!("{}…", character.repeat(MAX_CHARS)));
        }
    }
}
