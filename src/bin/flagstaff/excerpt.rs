//! What an error quotes of a value: so much that it is recognized.

use std::borrow::Cow;

/// The longest quotation, in characters, as in the library.
const MAX_CHARS: usize = 200;

/// The text, or its beginning and an ellipsis.
pub(crate) fn excerpt(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(MAX_CHARS) {
        None => text.into(),
        Some((end, _)) => format!("{}…", &text[..end]).into(),
    }
}
