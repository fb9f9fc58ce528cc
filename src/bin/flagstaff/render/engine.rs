//! Templates: the functions that look up flags, and errors with file and line.

use std::{fmt, sync::Arc};

use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value, syntax::SyntaxConfig,
    value::Serde,
};
use serde_json::Value as Json;

use super::{
    actions::{COMMENT, EXPRESSION, STATEMENT, rewrite},
    compare, filters,
    lookup::{self, NoValue},
};
use crate::excerpt::excerpt;

/// Looks up a flag by its key.
pub(super) trait Lookup: Fn(&str) -> Result<Json, NoValue> + Send + Sync + 'static {}

impl<F: Fn(&str) -> Result<Json, NoValue> + Send + Sync + 'static> Lookup for F {}

/// Why a template was not rendered.
#[derive(Debug, PartialEq)]
pub(super) struct Problem {
    /// Counted from 1, if it is known.
    pub(super) line: Option<usize>,
    pub(super) message: String,
    /// flagd is unreachable, or rejects the call.
    pub(super) is_unreachable: bool,
}

/// Renders templates.
pub(super) struct Engine(Environment<'static>);

impl Engine {
    /// # Errors
    ///
    /// minijinja rejects the delimiters, which no input can cause.
    pub(super) fn new(get: impl Lookup) -> Result<Self, Error> {
        let mut environment = Environment::new();
        environment.set_syntax(
            SyntaxConfig::builder()
                .variable_delimiters(EXPRESSION.0, EXPRESSION.1)
                .block_delimiters(STATEMENT.0, STATEMENT.1)
                .comment_delimiters(COMMENT.0, COMMENT.1)
                .keep_trailing_newline(true)
                .build()?,
        );
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        // The default goes by the ending of the file.
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_formatter(|out, _, value| {
            out.write_str(&filters::text(value)?).map_err(|_| Error::from(ErrorKind::WriteFailure))
        });
        filters::add(&mut environment);
        compare::add(&mut environment);

        let get = Arc::new(get);
        for (name, is_env) in [("flag", false), ("env", true)] {
            for (ending, is_tolerant) in [("", false), ("_or_none", true)] {
                let get = Arc::clone(&get);
                let look_up = move |key: String, default: Option<Value>| {
                    let found = if is_env { lookup::env(&key, &*get) } else { get(&key) };
                    value(&key, found, default, is_tolerant)
                };
                environment.add_function(format!("{name}{ending}"), look_up);
            }
        }
        Ok(Self(environment))
    }

    /// Renders a template, in either syntax.
    ///
    /// # Errors
    ///
    /// The template is invalid, or a flag in it has no value.
    pub(super) fn render(&self, template: &str) -> Result<String, Problem> {
        let template = rewrite(template).map_err(|problem| Problem {
            line: Some(problem.line),
            message: problem.message,
            is_unreachable: false,
        })?;
        self.0.render_str(&template, ()).map_err(|error| problem(&error))
    }
}

/// What a look-up returns to the template.
fn value(
    key: &str,
    found: Result<Json, NoValue>,
    default: Option<Value>,
    is_tolerant: bool,
) -> Result<Value, Error> {
    let why = match (found, default) {
        (Ok(value), _) => return Ok(Value::from(Serde(value))),
        (Err(NoValue::Failed { message, is_unreachable }), _) => {
            return Err(failed(Failed { message, is_unreachable }));
        }
        (Err(_), Some(default)) => return Ok(default),
        (Err(_), None) if is_tolerant => return Ok(Value::UNDEFINED),
        (Err(NoValue::Absent), None) => absent(key),
        (Err(NoValue::Left(why)), None) => why,
    };
    let message = format!("{why}; to render without it, write a default: `| default(VALUE)`");
    Err(failed(Failed { message, is_unreachable: false }))
}

/// What is missing.
fn absent(key: &str) -> String {
    let name = excerpt(key);
    match key.split_once('.') {
        Some((flag, _)) if !flag.is_empty() => {
            format!("flag `{name}` does not exist, and neither does `{}`", excerpt(flag))
        }
        _ => format!("flag `{name}` does not exist"),
    }
}

/// An error of a look-up on its way through minijinja.
#[derive(Debug)]
struct Failed {
    message: String,
    is_unreachable: bool,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failed {}

fn failed(failed: Failed) -> Error {
    Error::new(ErrorKind::InvalidOperation, failed.message.clone()).with_source(failed)
}

/// minijinja's error in this program's words.
fn problem(error: &Error) -> Problem {
    // minijinja counts no further.
    let line = error.line().filter(|line| *line < usize::from(u16::MAX));
    let failed =
        std::error::Error::source(error).and_then(|source| source.downcast_ref::<Failed>());
    if let Some(Failed { message, is_unreachable }) = failed {
        return Problem { line, message: message.clone(), is_unreachable: *is_unreachable };
    }
    let mut message = match error.detail() {
        Some(detail) => format!("{}: {}", error.kind(), excerpt(detail)),
        None => error.kind().to_string(),
    };
    let remedy = match error.kind() {
        ErrorKind::SyntaxError => "; for `[{` in the output, such as in a YAML array, write `[ {`",
        ErrorKind::UndefinedError => {
            "; a name or a key is misspelled, or needs a default: `| default(VALUE)`"
        }
        _ => "",
    };
    message += remedy;
    Problem { line, message, is_unreachable: false }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn get(key: &str) -> Result<Json, NoValue> {
        Ok(match key {
            "int" => json!(5),
            "zero" => json!(0),
            "float" => json!(0.5),
            "text" => json!("a\"b"),
            "empty" => json!(""),
            "on" => json!(true),
            "off" => json!(false),
            "object" => json!({ "a": { "b": [1, "x"], "c": "no" }, "null": null }),
            "disabled" => return Err(NoValue::Left("flag `disabled` is disabled".to_owned())),
            "broken" => {
                return Err(NoValue::Failed { message: "broken".to_owned(), is_unreachable: true });
            }
            _ => return Err(NoValue::Absent),
        })
    }

    fn render(template: &str) -> Result<String, Problem> {
        Engine::new(get).unwrap().render(template)
    }

    #[test]
    fn the_calls_of_the_original_work() {
        for (template, expected) in [
            (r#"replicas: [{ env "int" }]"#, "replicas: 5"),
            (r#"[{ env "float" }] [{env "text"}]"#, "0.5 a\"b"),
            (
                r#"[{ env "on_enabled" }] [{ env "missing_enabled" }] [{ env "on" }]"#,
                "true false true",
            ),
            (r#"[{ env "object.a.c" }] [{ env "object.a.b" }]"#, r#"no [1,"x"]"#),
            (r#"[{ env "text" | quote }]"#, r#""a\"b""#),
            (r#"[{ env "object.a" | toYaml | nindent 2 }]"#, "\n  b:\n  - 1\n  - x\n  c: \"no\""),
            ("[{ if env \"on_enabled\" }]a[{ else }]b[{ end }]\n", "a\n"),
            (
                r#"[{ if env "x_enabled" }]a[{ else if eq (env "int") "5" }]b[{ else }]c[{ end }]"#,
                "b",
            ),
            (r#"[{ if not (env "on_enabled") }]a[{ end }]"#, ""),
            // As in Go, every string that is not empty is true.
            (r#"[{ if env "zero" }]a[{ end }]"#, "a"),
            (r#"[{ env "missing" | default "x" }] [{ env "empty" | default "y" }]"#, "x y"),
            (r#"[{ env "object.x" | default 3 }] [{ env "disabled" | default 4 }]"#, "3 4"),
            ("a\n[{- /* comment */ -}]\nb", "ab"),
            ("{{ .Values.x }} [ {a: b} ]", "{{ .Values.x }} [ {a: b} ]"),
        ] {
            assert_eq!(render(template).as_deref(), Ok(expected), "{template}");
        }
    }

    #[test]
    fn flags_have_types_and_defaults() {
        for (template, expected) in [
            (r#"[{ flag("int") + 1 }]"#, "6"),
            (
                r#"[{ flag("missing", 3) }] [{ flag("disabled", [1]) }] [{ flag("zero", 3) }]"#,
                "3 [1] 0",
            ),
            (r#"[{ flag("missing") | default("x") }] [{ env("missing") | default("y") }]"#, "x y"),
            (r#"[{ flag("object").a.b[1] }] [{ flag("object").null }]"#, "x null"),
            (r#"[{ flag("object").x | default("y") }]"#, "y"),
            (r#"[{% if flag("off") %}]a[{% else %}]b[{% endif %}]"#, "b"),
            (r#"[{% for x in flag("object").a.b %}]<[{ x }]>[{% endfor %}]"#, "<1><x>"),
            ("[{% raw %}][{ env \"int\" }][{% endraw %}]", "[{ env \"int\" }]"),
            (r#"[{# a comment #}][{ "[{" }]"#, "[{"),
            (r#"[{ {"a": [{"b": 1}]} | toJson }]"#, r#"{"a":[{"b":1}]}"#),
        ] {
            assert_eq!(render(template).as_deref(), Ok(expected), "{template}");
        }
    }

    #[test]
    fn a_problem_has_a_line_a_reason_and_a_remedy() {
        for (template, line, parts) in [
            ("a\n[{ env \"missing\" }]", 2, &["flag `missing` does not exist", "default"][..]),
            ("[{ flag(\"missing\") == 1 }]", 1, &["flag `missing` does not exist"]),
            ("a\n\n[{ flag(\"missing\") }]", 3, &["flag `missing` does not exist"]),
            (
                "[{ env \"missing.a\" }]",
                1,
                &["`missing.a` does not exist, and neither does `missing`"],
            ),
            ("\n[{ env \"object.x\" | quote }]", 2, &["flag `object` has no key `x`", "default"]),
            ("\n[{ flag(\"object\").x }]", 2, &["undefined value", "default"]),
            ("[{ if flag(\"object\").x }][{ end }]", 1, &["undefined value"]),
            ("[{ env \"disabled\" }]", 1, &["flag `disabled` is disabled", "default"]),
            ("\n[{ if eq (env \"int\") 5 }][{ end }]", 2, &["cannot compare string with number"]),
            ("[{ env \"int_enabled\" }]", 1, &["needs a boolean"]),
            ("\n[{ range env \"x\" }]", 2, &["`range`", "not supported"]),
            ("\n[{name: a}]", 2, &["syntax error", "write `[ {`"]),
            ("\n[{ if env \"on_enabled\" }]", 2, &["syntax error"]),
            ("[{ flag('a'", 1, &["syntax error"]),
            ("\n[{ x }]", 2, &["undefined value"]),
            ("\n[{ 1 | nonsense }]", 2, &["unknown filter", "nonsense"]),
            ("\n[{ env }]", 2, &["a function was not called", "env \"KEY\""]),
            ("a\n[{ flag }]", 2, &["a function was not called"]),
            ("[{ env | toYaml }]", 1, &["a function was not called"]),
            ("[{ env | quote }]", 1, &["a function was not called"]),
            ("[{ env\n\"int\" }]\n[{ x }]", 3, &["undefined value"]),
            ("[{% include 'x' %}]", 1, &["syntax error", "include"]),
        ] {
            let problem = render(template).unwrap_err();
            assert_eq!(problem.line, Some(line), "{template}: {problem:?}");
            let all = parts.iter().all(|part| problem.message.contains(part));
            assert!(all && !problem.is_unreachable, "{template}: {problem:?}");
        }
    }

    #[test]
    fn no_default_hides_a_failure() {
        for template in [
            r#"[{ flag("broken", 1) }]"#,
            r#"[{ flag("broken") | default(1) }]"#,
            r#"[{ env "broken_enabled" }]"#,
        ] {
            let problem = render(template).unwrap_err();
            let expected =
                Problem { line: Some(1), message: "broken".to_owned(), is_unreachable: true };
            assert_eq!(problem, expected, "{template}");
        }
    }
}
