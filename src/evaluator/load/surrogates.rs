//! Escapes that are half of a surrogate pair in JSON text.
//!
//! JSON writes characters beyond U+FFFF as two escapes, `\ud83d\ude00`. One
//! without the other is not a character. `serde_json` rejects it; flagd reads it
//! as U+FFFD, the replacement character. So that every definition that flagd loads
//! also loads here, such escapes are replaced before the text is parsed. Both
//! have six bytes, and so the places of everything else stay the same.

use std::borrow::Cow;

/// The text with `\ufffd` in the place of each escape that is half of a pair. A
/// text without such escapes is borrowed.
pub(crate) fn mended(text: &str) -> Cow<'_, str> {
    let halves = halves(text);
    if halves.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut mended = String::with_capacity(text.len());
    let mut rest = 0;
    for half in halves {
        mended.push_str(&text[rest..half]);
        mended.push_str("\\ufffd");
        rest = half + 6;
    }
    mended.push_str(&text[rest..]);
    Cow::Owned(mended)
}

/// The offsets of the escapes that are half of a pair.
fn halves(text: &str) -> Vec<usize> {
    let mut halves = Vec::new();
    let mut at = 0;
    while let Some(backslash) = text[at..].find('\\') {
        at += backslash;
        match (surrogate(text, at), surrogate(text, at + 6)) {
            (Some(0xd800..0xdc00), Some(0xdc00..0xe000)) => at += 12,
            (Some(_), _) => {
                halves.push(at);
                at += 6;
            }
            // The character after a backslash belongs to the escape, and may be a backslash itself.
            (None, _) => at += 1 + text[at + 1..].chars().next().map_or(0, char::len_utf8),
        }
    }
    halves
}

/// The surrogate whose escape begins at an offset, if one does.
fn surrogate(text: &str, at: usize) -> Option<u16> {
    let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
    let code = digits.bytes().all(|b| b.is_ascii_hexdigit()).then_some(digits)?;
    u16::from_str_radix(code, 16).ok().filter(|code| (0xd800..0xe000).contains(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_become_replacement_characters() {
        for (text, expected) in [
            (r#""\ud800x""#, r#""\ufffdx""#),
            (r#""\uDC00""#, r#""\ufffd""#),
            (r#""\ud83d\ude00""#, r#""\ud83d\ude00""#),
            (r#""\ud800\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\\ud800""#, r#""\\ud800""#),
            (r#""\\\ud800""#, r#""\\\ufffd""#),
            (r#""\ž\ud80"#, r#""\ž\ud80"#),
            ("\\", "\\"),
        ] {
            assert_eq!(mended(text), expected);
        }
    }
}
