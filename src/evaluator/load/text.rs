//! The text of a definition, and the names of fields in it, as flagd reads them.

use std::borrow::Cow;

/// The text without the byte order mark at its beginning. A second one stays, and
/// is a syntax error.
pub(crate) fn without_bom(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// The name of a field in lower case, by which names that differ in case only are
/// the same.
///
/// Go's JSON decoder compares names this way. Beyond ASCII, only the long s
/// (U+017F) and the Kelvin sign (U+212A) are equal to letters of the names that
/// it knows. Names in lower case, which nearly all are, are not copied.
pub(crate) fn folded(name: &str) -> Cow<'_, str> {
    if name.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        return Cow::Borrowed(name);
    }
    let fold = |c: char| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    };
    name.chars().map(fold).collect()
}
