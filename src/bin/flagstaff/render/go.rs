//! The part of Go's template syntax that manifests need, translated to minijinja's.
//!
//! | Go | minijinja |
//! |---|---|
//! | `env "x"` | `env("x")` |
//! | `env "x" \| default "a" \| quote` | `((env_or_none("x"))\|default("a"))\|quote` |
//! | `if not (env "x_enabled")` | the statement `if (not env("x_enabled"))` |
//! | `else if`, `else`, `end` | the statements `elif`, `else`, `endif` |
//!
//! In Go, a piped value is the last argument, so a function of one subject is a filter here.
//! What both languages accept, such as `flag("x") | quote`, means the same in both.

use super::{scan::tolerant, yaml::quoted};

/// How deep parentheses may nest. Each level is a call of the parser.
const MAX_DEPTH: usize = 32;

/// What an action does, with expressions in minijinja's syntax.
#[derive(Debug, PartialEq)]
pub(super) enum Action {
    Output(String),
    If(String),
    ElseIf(String),
    Else,
    End,
}

/// Translates the text between the delimiters. `None` if it is not Go's syntax, and so is
/// left to minijinja.
///
/// # Errors
///
/// The action is Go's, but uses what is not supported; the error is the message.
pub(super) fn translate(text: &str) -> Result<Option<Action>, String> {
    let (word, rest) = split_word(text);
    match word {
        "if" if is_apart(rest) => condition(rest).map(|text| Some(Action::If(text))),
        "else" if rest.trim().is_empty() => Ok(Some(Action::Else)),
        "else" if is_apart(rest) => match split_word(rest.trim_start()) {
            ("if", rest) if is_apart(rest) => {
                condition(rest).map(|text| Some(Action::ElseIf(text)))
            }
            _ => Err(unsupported(text)),
        },
        "end" if rest.trim().is_empty() => Ok(Some(Action::End)),
        "range" | "with" | "define" | "template" | "block"
            if rest.starts_with([' ', '\t', '\n']) =>
        {
            Err(unsupported(word))
        }
        "" if text.starts_with(['$', '.']) => Err(unsupported(text)),
        _ => match Parser::parse(text) {
            Ok(code) => Ok(Some(Action::Output(code.text))),
            Err(Stop::NotGo) => Ok(None),
            Err(Stop::Invalid(message)) => Err(message),
        },
    }
}

/// The condition of an `if`. One that is not Go's is left to minijinja.
fn condition(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.starts_with(['$', '.']) {
        return Err(unsupported(text));
    }
    match Parser::parse(text) {
        Ok(code) => Ok(code.text),
        Err(Stop::NotGo) => Ok(tolerant(text)),
        Err(Stop::Invalid(message)) => Err(message),
    }
}

/// Whether what follows a keyword is separated from it.
fn is_apart(rest: &str) -> bool {
    rest.starts_with(|c: char| c.is_ascii_whitespace() || c == '(')
}

/// Splits off the name at the beginning.
fn split_word(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    text.split_at(end.unwrap_or(text.len()))
}

fn unsupported(what: &str) -> String {
    let what = crate::excerpt::excerpt(what);
    format!(
        "`{what}` of Go's templates is not supported; write it with the statements and filters of \
         docs/cli.md, such as `[{{% for x in flag(\"list\") %}}]`"
    )
}

/// Why a template action is not translated.
#[derive(Debug)]
enum Stop {
    /// It is for minijinja.
    NotGo,
    /// It is for nobody.
    Invalid(String),
}

/// An expression in minijinja's syntax.
struct Code {
    text: String,
    /// The same, where a flag without a value is undefined instead of an error.
    tolerant: Option<String>,
}

impl From<String> for Code {
    fn from(text: String) -> Self {
        Self { text, tolerant: None }
    }
}

/// How a function is written in minijinja.
#[derive(Clone, Copy)]
enum Function {
    /// A call that looks up a flag.
    Lookup,
    /// A call with two arguments.
    Comparison,
    /// An operator between operands.
    Logic(&'static str),
    Not,
    /// A filter with this many arguments besides its subject.
    Filter(usize),
}

/// Every function that is translated. Only functions that mean the same as in Go and sprig;
/// docs/cli.md, "Functions", lists them.
const FUNCTIONS: [(&str, Function); 22] = [
    ("env", Function::Lookup),
    ("flag", Function::Lookup),
    ("eq", Function::Comparison),
    ("ne", Function::Comparison),
    ("lt", Function::Comparison),
    ("le", Function::Comparison),
    ("gt", Function::Comparison),
    ("ge", Function::Comparison),
    ("and", Function::Logic("and")),
    ("or", Function::Logic("or")),
    ("not", Function::Not),
    ("quote", Function::Filter(0)),
    ("squote", Function::Filter(0)),
    ("toYaml", Function::Filter(0)),
    ("toJson", Function::Filter(0)),
    ("upper", Function::Filter(0)),
    ("lower", Function::Filter(0)),
    ("trim", Function::Filter(0)),
    ("int", Function::Filter(0)),
    ("default", Function::Filter(1)),
    ("indent", Function::Filter(1)),
    ("nindent", Function::Filter(1)),
];

fn function(name: &str) -> Option<Function> {
    FUNCTIONS.iter().find(|(known, _)| *known == name).map(|(_, function)| *function)
}

/// Applies a function to its arguments, in Go's order.
fn apply(name: &str, mut arguments: Vec<Code>) -> Result<Code, Stop> {
    let count = arguments.len();
    let joined = |arguments: &[Code], separator: &str| {
        let texts: Vec<_> = arguments.iter().map(|code| &*code.text).collect();
        texts.join(separator)
    };
    let wrong = |expected| Stop::Invalid(format!("`{name}` takes {expected}, got {count}"));
    match function(name) {
        None => Err(Stop::Invalid(unsupported(name))),
        Some(Function::Lookup) if count == 1 || count == 2 => {
            let arguments = joined(&arguments, ", ");
            let tolerant = Some(format!("{name}_or_none({arguments})"));
            Ok(Code { text: format!("{name}({arguments})"), tolerant })
        }
        Some(Function::Lookup) => Err(wrong("the name of a flag, and a default if you like")),
        Some(Function::Comparison) if count == 2 => {
            Ok(format!("{name}({})", joined(&arguments, ", ")).into())
        }
        Some(Function::Comparison) => Err(wrong("2 arguments")),
        Some(Function::Logic(operator)) if count > 0 => {
            Ok(format!("({})", joined(&arguments, &format!(" {operator} "))).into())
        }
        Some(Function::Logic(_)) => Err(wrong("at least 1 argument")),
        Some(Function::Not) if count == 1 => Ok(format!("(not {})", joined(&arguments, "")).into()),
        Some(Function::Not) => Err(wrong("1 argument")),
        Some(Function::Filter(expected)) => match arguments.pop() {
            Some(subject) if arguments.len() == expected => {
                let subject = match subject.tolerant {
                    Some(tolerant) if name == "default" => tolerant,
                    _ => subject.text,
                };
                let arguments = joined(&arguments, ", ");
                Ok(format!("(({subject})|{name}({arguments}))").into())
            }
            _ => Err(wrong(if expected == 0 { "1 argument" } else { "2 arguments" })),
        },
    }
}

/// Reads an action from left to right.
struct Parser<'t> {
    rest: &'t str,
    depth: usize,
    /// A call without parentheses was read, which only Go has.
    is_go: bool,
}

impl<'t> Parser<'t> {
    /// Parses the whole text.
    fn parse(text: &'t str) -> Result<Code, Stop> {
        let mut parser = Self { rest: text, depth: 0, is_go: false };
        let code = parser.pipeline()?;
        if parser.rest.is_empty() { Ok(code) } else { Err(Stop::NotGo) }
    }

    /// `command | command ...`.
    fn pipeline(&mut self) -> Result<Code, Stop> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Stop::Invalid("parentheses are nested too deeply".to_owned()));
        }
        let mut code = self.command(None)?;
        while self.eat('|') {
            code = self.command(Some(code))?;
        }
        self.depth -= 1;
        Ok(code)
    }

    /// A function with its arguments, or an operand alone.
    fn command(&mut self, piped: Option<Code>) -> Result<Code, Stop> {
        self.skip_space();
        let (name, after) = split_word(self.rest);
        if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') || is_constant(name) {
            // Go cannot pipe into an operand either.
            return if piped.is_none() { self.operand() } else { Err(Stop::NotGo) };
        }
        self.rest = after;
        let mut arguments = Vec::new();
        loop {
            let before = self.rest;
            self.skip_space();
            if self.rest.is_empty() || self.rest.starts_with(['|', ')']) {
                break;
            }
            let is_apart = before.len() != self.rest.len();
            arguments.push(self.operand()?);
            self.is_go |= is_apart;
        }
        if arguments.is_empty() && piped.is_none() {
            return Err(Stop::NotGo); // a variable
        }
        arguments.extend(piped);
        if function(name).is_none() && !self.is_go {
            return Err(Stop::NotGo); // a filter or a function of minijinja
        }
        apply(name, arguments)
    }

    /// A constant, or a pipeline in parentheses.
    fn operand(&mut self) -> Result<Code, Stop> {
        let text = match self.rest.chars().next() {
            Some('(') => {
                self.rest = &self.rest[1..];
                let code = self.pipeline()?;
                return if self.eat(')') { Ok(code) } else { Err(Stop::NotGo) };
            }
            Some('"') => {
                // Go's escapes are JSON's, and some that nobody writes.
                let mut strings =
                    serde_json::Deserializer::from_str(self.rest).into_iter::<String>();
                let Some(Ok(text)) = strings.next() else { return Err(Stop::NotGo) };
                self.rest = &self.rest[strings.byte_offset()..];
                quoted(&text)
            }
            Some('`') => {
                let (text, rest) = self.rest[1..].split_once('`').ok_or(Stop::NotGo)?;
                self.rest = rest;
                quoted(text)
            }
            Some('0'..='9' | '-') => {
                let digits = self.rest.trim_start_matches('-');
                let end = digits.find(|c: char| !c.is_ascii_digit() && c != '.');
                let end = self.rest.len() - digits.len() + end.unwrap_or(digits.len());
                let (number, rest) = self.rest.split_at(end);
                serde_json::from_str::<serde_json::Number>(number).map_err(|_| Stop::NotGo)?;
                self.rest = rest;
                number.to_owned()
            }
            _ => {
                let (name, rest) = split_word(self.rest);
                if !is_constant(name) {
                    return Err(Stop::NotGo);
                }
                self.rest = rest;
                if name == "nil" { "none".to_owned() } else { name.to_owned() }
            }
        };
        // `1x`, `"a".b` and the like.
        let ends = self.rest.is_empty()
            || self.rest.starts_with(|c: char| c.is_ascii_whitespace() || matches!(c, '|' | ')'));
        if ends { Ok(text.into()) } else { Err(Stop::NotGo) }
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// Skips this character, and the space around it.
    fn eat(&mut self, character: char) -> bool {
        self.skip_space();
        let rest = self.rest.strip_prefix(character);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }
}

fn is_constant(name: &str) -> bool {
    matches!(name, "true" | "false" | "nil")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(text: &str) -> Option<String> {
        match translate(text).unwrap() {
            Some(Action::Output(text)) => Some(text),
            None => None,
            Some(other) => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn calls_and_pipelines_are_translated() {
        for (go, expected) in [
            (r#"env "x""#, r#"env("x")"#),
            ("env `x`", r#"env("x")"#),
            (r#"(env "x")"#, r#"env("x")"#),
            (r#"flag "x" 3"#, r#"flag("x", 3)"#),
            (r#"flag "x" -0.5"#, r#"flag("x", -0.5)"#),
            (r#"flag "x" nil"#, r#"flag("x", none)"#),
            (r#"env "x" | quote"#, r#"((env("x"))|quote())"#),
            (r#"quote (env "x")"#, r#"((env("x"))|quote())"#),
            (r#"env "a.b" | toYaml | nindent 8"#, r#"((((env("a.b"))|toYaml()))|nindent(8))"#),
            (r#"env "x" | default "3""#, r#"((env_or_none("x"))|default("3"))"#),
            (r#"default 3 (env "x")"#, r#"((env_or_none("x"))|default(3))"#),
            (r#"eq (env "x") "a""#, r#"eq(env("x"), "a")"#),
            (r#"env "x" | eq "a""#, r#"eq("a", env("x"))"#),
            (r#"and (env "a_enabled") true"#, r#"(env("a_enabled") and true)"#),
            (r#"not (env "a_enabled")"#, r#"(not env("a_enabled"))"#),
            ("env \"x\"\n  | int", r#"((env("x"))|int())"#),
            (r#"env "a\"}]\n""#, r#"env("a\"}]\n")"#),
            // What is the same in both languages.
            (r#"flag("x")"#, r#"flag("x")"#),
            (r#"flag("x") | default(3)"#, r#"((flag_or_none("x"))|default(3))"#),
        ] {
            assert_eq!(output(go).as_deref(), Some(expected), "{go}");
        }
    }

    #[test]
    fn the_syntax_of_minijinja_is_left_alone() {
        for text in [
            r#"flag("x", 3)"#,
            r#"flag("x").a"#,
            r#"flag("x") | tojson"#,
            r#"flag("x") | replace("a", "b")"#,
            r#"flag("x") == 3"#,
            r#"flag("a") and flag("b")"#,
            r#"not flag("a") and true"#,
            r#""a" if flag("b") else "c""#,
            "x",
            "end_of",
            "ranges",
            "range(3)",
            "x is defined",
            "1 + 2",
            "1x",
            "'a'",
            "",
            "env 'x'",
        ] {
            assert_eq!(output(text), None, "{text}");
        }
    }

    #[test]
    fn conditions_are_statements() {
        let text = |text: &str| text.to_owned();
        for (go, expected) in [
            (r#"if env "x_enabled""#, Action::If(text(r#"env("x_enabled")"#))),
            (r#"if (env "x_enabled")"#, Action::If(text(r#"env("x_enabled")"#))),
            (r#"if flag("x").on"#, Action::If(text(r#"flag("x").on"#))),
            (
                r#"if flag("x") | default(1) > 2"#,
                Action::If(text(r#"flag_or_none("x") | default(1) > 2"#)),
            ),
            (r#"else if env "y_enabled""#, Action::ElseIf(text(r#"env("y_enabled")"#))),
            ("else", Action::Else),
            ("end", Action::End),
        ] {
            assert_eq!(translate(go), Ok(Some(expected)), "{go}");
        }
    }

    #[test]
    fn what_is_not_supported_is_an_error_that_names_it() {
        for (go, named) in [
            (r#"range env "list""#, "`range`"),
            (r#"with env "o""#, "`with`"),
            (r#"template "x""#, "`template`"),
            ("$x := 1", "`$x := 1`"),
            (".Values.x", "`.Values.x`"),
            ("if .Values.x", "`.Values.x`"),
            ("else with 1", "`else with 1`"),
            (r#"env "x" | trunc 63"#, "`trunc`"),
            (r#"env "x" | title"#, "`title`"),
            (r#"printf "%s" (env "x")"#, "`printf`"),
            (r#"env "x" | indent"#, "`indent` takes 2 arguments, got 1"),
            (r#"eq (env "x")"#, "`eq` takes 2 arguments, got 1"),
            (r#"env "x" "y" "z""#, "`env` takes the name"),
            (r#"if eq (env "x") 1 2"#, "`eq` takes 2 arguments, got 3"),
        ] {
            let error = translate(go).unwrap_err();
            assert!(error.contains(named), "{go}: {error}");
        }
    }

    #[test]
    fn the_page_lists_every_function() {
        let page = include_str!("../../../../docs/cli.md");
        let (_, table) = page.split_once("\n| Function | Meaning |\n|---|---|\n").unwrap();
        let rows = table.lines().take_while(|line| line.starts_with("| "));
        let cells = rows.filter_map(|row| row.split(" | ").next());
        let mut listed: Vec<_> = cells
            .flat_map(|cell| cell.split('`').skip(1).step_by(2))
            .map(|usage| usage.split([' ', '(']).next().unwrap())
            .collect();
        let mut known = FUNCTIONS.map(|(name, _)| name).to_vec();
        listed.sort_unstable();
        known.sort_unstable();
        assert_eq!(listed, known);
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = format!("{}1{}", "(".repeat(100_000), ")".repeat(100_000));
        assert!(translate(&deep).unwrap_err().contains("too deeply"));
        let fine = format!("not {}true{}", "(".repeat(20), ")".repeat(20));
        assert_eq!(output(&fine).as_deref(), Some("(not true)"));
    }
}
