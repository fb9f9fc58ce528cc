//! Finds the actions between `[{` and `}]` in a template, and writes all of them in minijinja's syntax.
//!
//! | In the template | What it is |
//! |---|---|
//! | `[{ ... }]` | an expression of minijinja, or an action of Go ([`go`]) |
//! | `[{/* ... */}]` | a comment of Go |
//! | `[{% ... %}]` | a statement of minijinja |
//! | `[{# ... #}]` | a comment of minijinja |
//!
//! Lines keep their numbers, because errors name them.

use std::borrow::Cow;

use super::{
    go::{self, Action},
    scan::{outside_strings, tolerant},
};

/// The delimiters of an expression.
pub(super) const EXPRESSION: (&str, &str) = ("[{", "}]");
/// The delimiters of a statement. Neither these nor those of a comment are valid in YAML or
/// JSON outside of strings, because no plain scalar begins with `%` or `#`.
pub(super) const STATEMENT: (&str, &str) = ("[{%", "%}]");
/// The delimiters of a comment.
pub(super) const COMMENT: (&str, &str) = ("[{#", "#}]");

/// The longest action, in bytes, since parsing is recursive. Longer texts belong outside of actions.
pub(super) const LONGEST: usize = 16 << 10;

/// The most `else if` in a template, since each is nested in the one before.
const MOST_BRANCHES: usize = 4096;

/// Something that is wrong with an action.
#[derive(Debug, PartialEq)]
pub(super) struct Problem {
    /// Counted from 1.
    pub(super) line: usize,
    pub(super) message: String,
}

/// The template in minijinja's syntax.
///
/// An action without an end is left as it is, for minijinja to report.
///
/// # Errors
///
/// An action of Go uses what is not supported.
pub(super) fn rewrite(template: &str) -> Result<String, Problem> {
    let mut out = String::with_capacity(template.len());
    let (mut at, mut branches) = (0, 0);
    while let Some(start) = template[at..].find(EXPRESSION.0).map(|found| at + found) {
        out += &template[at..start];
        let rest = &template[start..];
        let end = start + end_of_action(rest).unwrap_or(rest.len());
        let rewritten = action(&template[start..end]).and_then(|rewritten| {
            branches += usize::from(first_word(&rewritten) == Some("elif"));
            if branches <= MOST_BRANCHES {
                return Ok(rewritten);
            }
            Err(format!("expected at most {MOST_BRANCHES} `else if`; split the template"))
        });
        let line = || 1 + template[..start].matches('\n').count();
        out += &rewritten.map_err(|message| Problem { line: line(), message })?;
        at = end;
    }
    out += &template[at..];
    Ok(out)
}

/// An action in minijinja's syntax.
fn action(text: &str) -> Result<Cow<'_, str>, String> {
    if text.starts_with(COMMENT.0) || first_word(text) == Some("raw") {
        return Ok(text.into());
    }
    if text.len() > LONGEST {
        return Err(format!(
            "the text from `[{{` to its end is longer than {} KiB; end it with `}}]`, or split it",
            LONGEST >> 10
        ));
    }
    if text.starts_with(STATEMENT.0) {
        return Ok(tolerant(text).into());
    }
    expression(text).map(Into::into)
}

/// Where the action ends that the text begins with. A raw block ends after `endraw`.
fn end_of_action(text: &str) -> Option<usize> {
    if text.starts_with(COMMENT.0) {
        return text.find(COMMENT.1).map(|at| at + COMMENT.1.len());
    }
    if text.starts_with(STATEMENT.0) {
        let end = outside_strings(text, STATEMENT.1)? + STATEMENT.1.len();
        if first_word(&text[..end]) != Some("raw") {
            return Some(end);
        }
        let mut tags = text[end..].match_indices(STATEMENT.0).map(|(at, _)| end + at);
        return tags.find_map(|at| {
            let close = at + text[at..].find(STATEMENT.1)? + STATEMENT.1.len();
            (first_word(&text[at..close]) == Some("endraw")).then_some(close)
        });
    }
    let body = text[EXPRESSION.0.len()..].trim_start_matches(['-', '+']).trim_start();
    if let Some(comment) = body.strip_prefix("/*") {
        let from = text.len() - comment.len();
        let close = from + text[from..].find("*/")?;
        return text[close..].find(EXPRESSION.1).map(|at| close + at + EXPRESSION.1.len());
    }
    outside_strings(text, EXPRESSION.1).map(|at| at + EXPRESSION.1.len())
}

/// The first word of a statement; `None` if the text is something else.
fn first_word(text: &str) -> Option<&str> {
    let body = text.strip_prefix(STATEMENT.0)?.trim_start_matches(['-', '+']).trim_start();
    body.split(|c: char| !c.is_ascii_alphanumeric()).next()
}

/// An action between `[{` and `}]` in minijinja's syntax.
fn expression(action: &str) -> Result<String, String> {
    let (open, close) = EXPRESSION;
    let Some(inner) = action.strip_prefix(open).and_then(|rest| rest.strip_suffix(close)) else {
        return Ok(action.to_owned());
    };
    let (left, body) = match inner.strip_prefix(['-', '+']) {
        Some(body) => (&inner[..1], body),
        None => ("", inner),
    };
    let (body, right) = match body.strip_suffix('-') {
        Some(body) => (body, "-"),
        None => (body, ""),
    };
    let body = body.trim();
    let in_tag = |(open, close): (&str, &str), text: &str| {
        let lines = inner.matches('\n').count() - text.matches('\n').count();
        format!("{open}{left} {text} {}{right}{close}", "\n".repeat(lines))
    };
    if body.starts_with("/*") {
        return Ok(in_tag(COMMENT, ""));
    }
    Ok(match go::translate(body)? {
        None => tolerant(action),
        Some(Action::Output(text)) => in_tag(EXPRESSION, &text),
        Some(Action::If(text)) => in_tag(STATEMENT, &format!("if {text}")),
        Some(Action::ElseIf(text)) => in_tag(STATEMENT, &format!("elif {text}")),
        Some(Action::Else) => in_tag(STATEMENT, "else"),
        Some(Action::End) => in_tag(STATEMENT, "endif"),
    })
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    #[track_caller]
    fn becomes(template: &str, expected: &str) {
        let rewritten = rewrite(template).unwrap();
        assert_eq!(rewritten, expected);
        let lines = |text: &str| text.matches('\n').count();
        assert_eq!(lines(&rewritten), lines(template), "{template}");
    }

    #[test]
    fn text_and_statements_stay_as_they_are() {
        for text in [
            "",
            "a: 1\n",
            "args: [ {a: b} ]\n",
            "{{ .Values.x }} {{- if env \"x\" }} [[ x ]] {% y %}",
            r"[{% for x in [1] %}][{ x }][{% endfor %}]",
            r#"[{# env "x" | default 1 #}]"#,
            r#"[{% raw %}][{ env "x" }][{%- endraw %}]"#,
            r#"[{ flag("}]", 1) }]"#,
            "[{ open",
            r#"[{ "open }]"#,
            "[{",
            "[{%",
            "[{% raw %}] [{ env \"x\" }]",
            "žluťoučký [{ 'žluť' ~ x }]",
        ] {
            becomes(text, text);
        }
    }

    #[test]
    fn actions_of_go_are_rewritten_in_place() {
        becomes(r#"n: [{ env "x" }]!"#, r#"n: [{ env("x") }]!"#);
        becomes(r#"[{env "x"}]"#, r#"[{ env("x") }]"#);
        becomes(r#"[{ env "}]" }]"#, r#"[{ env("}]") }]"#);
        becomes(r#"[{- env "x" -}]"#, r#"[{- env("x") -}]"#);
        becomes(
            "[{ if env \"x_enabled\" }]\na\n[{- else -}]\nb\n[{ end }]\n",
            "[{% if env(\"x_enabled\") %}]\na\n[{%- else -%}]\nb\n[{% endif %}]\n",
        );
        becomes("[{ env\n\"x\" }]\n", "[{ env(\"x\") \n}]\n");
        becomes("a[{- /* env \"x }] \n */ -}]b", "a[{#-  \n-#}]b");
        becomes(
            r#"[{% raw %}][{ env "x" }][{% endraw %}][{ env "x" }]"#,
            r#"[{% raw %}][{ env "x" }][{% endraw %}][{ env("x") }]"#,
        );
    }

    #[test]
    fn a_default_makes_a_look_up_tolerant_in_either_language() {
        becomes(r#"[{ env "x" | default 1 }]"#, r#"[{ ((env_or_none("x"))|default(1)) }]"#);
        becomes(
            r#"[{% set a = flag("x") | default(1) %}]"#,
            r#"[{% set a = flag_or_none("x") | default(1) %}]"#,
        );
    }

    proptest! {
        /// Whatever a template contains, lines keep their numbers.
        #[test]
        fn lines_are_kept(parts in vec(select(PARTS), 0..40)) {
            let template = parts.concat();
            if let Ok(rewritten) = rewrite(&template) {
                prop_assert_eq!(rewritten.matches('\n').count(), template.matches('\n').count());
            }
        }
    }

    /// What the parsers look at.
    const PARTS: &[&str] = &[
        "[{",
        "[{ ",
        "[{- ",
        "}]",
        " }]",
        " -}]",
        "[{%",
        "%}]",
        "[{#",
        "#}]",
        "\"",
        "'",
        "`",
        "\\",
        "/*",
        "*/",
        "env",
        "flag",
        "\"x\"",
        "`y\n`",
        "(",
        ")",
        "|",
        " default ",
        "1",
        "-",
        "true",
        "raw",
        "endraw",
        "if ",
        "else ",
        "end",
        "\n",
        " ",
        ".",
        "a",
        "é",
        "👍",
        ",",
        "{",
        "}",
    ];

    #[test]
    fn a_problem_has_the_line_of_its_action() {
        let long = format!("\n[{{ \"{}\" }}]", "x".repeat(LONGEST));
        let problem = rewrite(&long).unwrap_err();
        assert!(problem.line == 2 && problem.message.contains("16 KiB"), "{problem:?}");
        becomes(&format!("[{{# {long} #}}]"), &format!("[{{# {long} #}}]"));
        let problem = rewrite("a\n[{ env \"x\" }]\n\n[{ range 1 }]").unwrap_err();
        assert_eq!(problem.line, 4);
        assert!(problem.message.contains("`range`"), "{problem:?}");
    }
}
