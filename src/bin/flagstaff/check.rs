//! `flagstaff check`: flag definitions before they are deployed.

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

/// The longest definition that a source reads, in bytes.
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
            // The exit code counts, whether the lines are read or not.
            if written.is_err() {
                break;
            }
        }
    }
    exit
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Error,
    Warning,
}

impl Level {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// Something wrong with a file.
struct Finding<'a> {
    file: &'a Path,
    level: Level,
    /// Unless the file cannot be read.
    place: Option<(usize, usize)>,
    flag: Option<String>,
    message: String,
}

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
    // What can be parsed can be looked through.
    let warnings = if yaml { lint_yaml(&text) } else { lint(&text) }.unwrap_or_default();
    let errors: Vec<_> = findings.iter().map(|error| error.place).collect();
    // What is an error needs no warning besides.
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

/// Whether the name says what the file is written in.
fn is_named(file: &Path) -> bool {
    let ending = file.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| matches!(ending, "json" | "yaml" | "yml"))
}

fn is_input(file: &Path) -> bool {
    file.as_os_str() == "-"
}

fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    // No source takes more.
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

/// As compilers write it, so that editors find the place, and in one line, whatever is quoted.
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
