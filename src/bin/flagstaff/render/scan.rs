//! Finds strings, names and calls in an action, in either syntax.

/// Where a delimiter is that is not part of a string.
pub(super) fn outside_strings(text: &str, delimiter: &str) -> Option<usize> {
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with(delimiter) {
            return Some(at);
        }
        at = skip(text, at)?;
    }
    None
}

/// Where the next character begins, or what follows the string that begins here. `None` if the
/// string has no end.
fn skip(text: &str, at: usize) -> Option<usize> {
    let mut characters = text[at..].char_indices();
    let (_, quote) = characters.next()?;
    if !matches!(quote, '"' | '\'' | '`') {
        return Some(at + quote.len_utf8());
    }
    let mut escaped = false;
    for (offset, c) in characters {
        match c {
            _ if escaped => escaped = false,
            '\\' if quote != '`' => escaped = true,
            c if c == quote => return Some(at + offset + 1),
            _ => {}
        }
    }
    None
}

/// Makes the calls of `flag` and `env` that a `default` follows tolerant: without a value,
/// they are undefined instead of an error.
pub(super) fn tolerant(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut at, mut copied) = (0, 0);
    while at < text.len() {
        let end = at + text[at..].find(|c| !is_of_name(c)).unwrap_or(text.len() - at);
        if end == at {
            let Some(next) = skip(text, at) else { break };
            at = next;
            continue;
        }
        let is_call = matches!(&text[at..end], "flag" | "env") && !text[..at].ends_with('.');
        if is_call && is_followed_by_default(&text[end..]) {
            out += &text[copied..end];
            out += "_or_none";
            copied = end;
        }
        at = end;
    }
    out += &text[copied..];
    out
}

fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether the text is arguments in parentheses, and then `| default`.
fn is_followed_by_default(text: &str) -> bool {
    let is_default = |after: &str| {
        let filter = after.trim_start().strip_prefix('|').map(str::trim_start);
        let rest = filter.and_then(|filter| filter.strip_prefix("default"));
        rest.is_some_and(|rest| !rest.starts_with(is_of_name))
    };
    let arguments = text.trim_start();
    end_of_parentheses(arguments).is_some_and(|end| is_default(&arguments[end..]))
}

/// Where the parentheses end that the text begins with.
fn end_of_parentheses(text: &str) -> Option<usize> {
    let (mut at, mut depth) = (0, 0_usize);
    while at < text.len() {
        match text.as_bytes()[at] {
            b'(' => depth += 1,
            b')' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        at = skip(text, at)?;
        if depth == 0 {
            return text.starts_with('(').then_some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_makes_a_call_tolerant() {
        for (text, expected) in [
            (r#"flag("x", 1) | default(2)"#, r#"flag_or_none("x", 1) | default(2)"#),
            (
                r#"flag("(") |default(flag("y")) ~ 1"#,
                r#"flag_or_none("(") |default(flag("y")) ~ 1"#,
            ),
            (r#"(flag("x") | default(1)) + 1"#, r#"(flag_or_none("x") | default(1)) + 1"#),
            (
                r#"flag("x" ~ (env("y")|default(1))) + 1"#,
                r#"flag("x" ~ (env_or_none("y")|default(1))) + 1"#,
            ),
            // Nothing to tolerate.
            (r#"flag("x") | defaults"#, r#"flag("x") | defaults"#),
            (r#"flag("x").a | default(1)"#, r#"flag("x").a | default(1)"#),
            (r#"a.flag("x") | default(1)"#, r#"a.flag("x") | default(1)"#),
            (r#"my_flag("x") | default(1)"#, r#"my_flag("x") | default(1)"#),
            (r#""flag(1) | default""#, r#""flag(1) | default""#),
            (r#"flag("x"#, r#"flag("x"#),
            (r"flag) | default(1)", r"flag) | default(1)"),
        ] {
            assert_eq!(tolerant(text), expected);
        }
    }

    #[test]
    fn a_delimiter_in_a_string_does_not_count() {
        for (text, at) in [
            ("a}]", Some(1)),
            (r#""}]" }]"#, Some(5)),
            (r#""\"}]" }]"#, Some(7)),
            (r"`\` }]", Some(4)),
            ("'é}]'}]", Some(6)),
            ("\"}]", None),
            ("", None),
        ] {
            assert_eq!(outside_strings(text, "}]"), at, "{text}");
        }
    }
}
