//! `flagstaff check`: finds errors in flag definitions before they are deployed.
//!
//! The library does the checking: [`FlagSet::parse`] rejects what flagd would reject, and
//! [`lint`] warns of what flagd loads but is probably wrong. This module reads the files and
//! prints what was found, sorted by place:
//!
//! ```text
//! flags.json:4:85: error: flag `a`: the default variant `none` is not among its variants
//! flags.json:7:116: warning: flag `b`: `onn` is not a variant of the flag (GENERAL); [...]
//! other.json: error: cannot be read: No such file or directory (os error 2)
//! ```
//!
//! Editors and CI recognize this form, which is that of compilers. With `--json`, each line is
//! an object with the same contents.
//!
//! Each file is checked on its own; a definition is not merged with that of another source.

use std::{
    fmt::{self, Write as _},
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use flagstaff::{
    evaluator::{DefinitionError, Diagnostic, FlagSet, lint, lint_yaml},
    source::Format,
};
use serde_json::{Value as Json, json};

use crate::{excerpt::is_control, exit::Exit, output};

/// The largest definition that is read, in bytes, which is also the limit of a source.
const LIMIT: u64 = 64 << 20;

/// Check files of flag definitions: what flagd rejects is an error; what only its schema rejects, or
/// can be seen to be wrong without a context, is a warning; each with line and column.
///
/// Exit code 0: all files are valid; 1: a file is invalid, cannot be read, or (with --strict) has a
/// warning; 2: usage error.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Files to check: YAML if the name ends in `.yaml` or `.yml`, else JSON; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Parse standard input as YAML.
    #[arg(long)]
    yaml: bool,
    /// Fail on warnings too.
    #[arg(long)]
    strict: bool,
    /// Print each problem as a line of JSON: file, line, column, flag, level, message.
    #[arg(long)]
    json: bool,
}

/// Checks every file, also after one that is invalid.
pub(crate) fn run(args: &Args) -> Exit {
    let mut exit = Exit::Success;
    for file in &args.files {
        let found = check(file, args.yaml);
        if found.iter().any(|finding| args.strict || finding.level == Level::Error) {
            exit = Exit::No;
        }
        for finding in found {
            let written =
                if args.json { output::line(&finding.json()) } else { output::line(&finding) };
            // Nobody reads on. The exit code still counts, so the other files are checked.
            if written.is_err() {
                break;
            }
        }
    }
    exit
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    /// flagd rejects the definition, or the file cannot be read.
    Error,
    /// flagd loads the definition. The check fails only with `--strict`.
    Warning,
}

impl Level {
    /// The word in the output.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// Something that is wrong with a file: a line of output.
struct Finding<'a> {
    /// As it was given; `-` is standard input.
    file: &'a Path,
    level: Level,
    /// Line and column, counted from 1. `None` if it concerns the file as a whole.
    place: Option<(usize, usize)>,
    /// The key of the flag, if it concerns one.
    flag: Option<String>,
    /// What is wrong, not yet escaped.
    message: String,
}

/// Checks a file and returns what is wrong with it, sorted by place.
///
/// After an error of syntax there is nothing else to report. Otherwise, warnings are
/// reported beside the errors, except where an error already is.
fn check(file: &Path, yaml: bool) -> Vec<Finding<'_>> {
    let unread = |message| Finding { file, level: Level::Error, place: None, flag: None, message };
    let text = match read(file) {
        Ok(text) => text,
        Err(cause) => return vec![unread(format!("cannot be read: {cause}"))],
    };
    let yaml = if is_input(file) { yaml } else { Format::of_path(file) == Format::Yaml };
    let found = |level, line, column, flag, message| {
        let place = Some((line, column));
        Finding { file, level, place, flag, message }
    };
    let parsed = if yaml { FlagSet::parse_yaml(&text) } else { FlagSet::parse(&text) };
    let mut findings = match parsed {
        Ok(_) => Vec::new(),
        Err(DefinitionError::Syntax { message, line, column }) => {
            return vec![found(Level::Error, line, column, None, message)];
        }
        Err(DefinitionError::Invalid(problems)) => problems
            .into_iter()
            .map(|Diagnostic { flag, message, line, column, .. }| {
                found(Level::Error, line, column, flag, message)
            })
            .collect(),
        Err(other) => return vec![unread(other.to_string())],
    };
    // The syntax is valid here, and nothing else makes the linter fail.
    let warnings = if yaml { lint_yaml(&text) } else { lint(&text) }.unwrap_or_default();
    let errors: Vec<_> = findings.iter().map(|error| error.place).collect();
    // A warning at the place of an error would say the same again.
    let beyond = |warning: &Diagnostic| !errors.contains(&Some((warning.line, warning.column)));
    findings.extend(warnings.into_iter().filter(beyond).map(|warning| {
        let Diagnostic { flag, message, line, column, .. } = warning;
        found(Level::Warning, line, column, flag, message)
    }));
    if !is_input(file) && !is_named(file) {
        let message =
            "flagd accepts only file names that end in `.json`, `.yaml` or `.yml`".to_owned();
        findings.push(Finding { file, level: Level::Warning, place: None, flag: None, message });
    }
    findings.sort_by_key(|finding| finding.place);
    findings
}

/// Whether flagd accepts the name of the file. flagstaff reads any other as JSON.
fn is_named(file: &Path) -> bool {
    let ending = file.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| matches!(ending, "json" | "yaml" | "yml"))
}

/// Whether the file is standard input.
fn is_input(file: &Path) -> bool {
    file.as_os_str() == "-"
}

/// Reads a file, or standard input.
///
/// # Errors
///
/// The file cannot be read, is not UTF-8, or is larger than [`LIMIT`]. No more than that is
/// read, so that neither a device nor a pipe without end exhausts the memory.
fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    // One byte more, to see whether there is any.
    if is_input(file) {
        io::stdin().take(LIMIT + 1).read_to_string(&mut text)?;
    } else {
        File::open(file)?.take(LIMIT + 1).read_to_string(&mut text)?;
    }
    if text.len() as u64 > LIMIT {
        return Err(io::Error::other(format!("it is larger than {} MiB", LIMIT >> 20)));
    }
    Ok(text)
}

impl Finding<'_> {
    /// The line of `--json`. What is not known is null. `serde_json` escapes what could end the
    /// line.
    fn json(&self) -> Json {
        json!({
            "file": self.file.to_string_lossy(),
            "line": self.place.map(|(line, _)| line),
            "column": self.place.map(|(_, column)| column),
            "flag": self.flag,
            "level": self.level.as_str(),
            "message": self.message,
        })
    }
}

/// The line of text. Keys and messages can contain anything that a definition contains, so
/// characters that would begin another line, or control the terminal, are escaped. The name
/// of the file is escaped too.
impl fmt::Display for Finding<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = format!("{}:", self.file.display());
        if let Some((row, column)) = self.place {
            write!(line, "{row}:{column}:")?;
        }
        write!(line, " {}: ", self.level.as_str())?;
        if let Some(flag) = &self.flag {
            write!(line, "flag `{flag}`: ")?;
        }
        line += &self.message;
        line.chars().try_for_each(|character| {
            if is_control(character) {
                write!(f, "{}", character.escape_default())
            } else {
                f.write_char(character)
            }
        })
    }
}
