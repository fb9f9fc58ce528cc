//! `flagstaff check`: flag definitions before they are deployed.

use std::{
    fmt, fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use flagstaff::evaluator::{DefinitionError, FlagSet, Problem};
use serde_json::{Value as Json, json};

use crate::{Exit, output};

/// Check files of flag definitions: what flagd would refuse is an error, with line and column.
///
/// Exit code 0: all are valid; 1: one is not, or cannot be read; 2: wrong usage.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Files, YAML if they are called `.yaml` or `.yml`, else JSON; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Take standard input for YAML.
    #[arg(long)]
    yaml: bool,
    /// Print each problem as a line of JSON: file, line, column, flag, level, message.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Exit {
    let mut exit = Exit::Success;
    for file in &args.files {
        let found = check(file, args.yaml);
        if found.iter().any(|finding| finding.level == Level::Error) {
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
}

impl Level {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
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
    let error = |place, flag, message| Finding { file, level: Level::Error, place, flag, message };
    let text = match read(file) {
        Ok(text) => text,
        Err(cause) => return vec![error(None, None, format!("cannot be read: {cause}"))],
    };
    let extension = file.extension().and_then(|extension| extension.to_str());
    let yaml = if is_input(file) { yaml } else { matches!(extension, Some("yaml" | "yml")) };
    let parsed = if yaml { FlagSet::parse_yaml(&text) } else { FlagSet::parse(&text) };
    match parsed {
        Ok(_) => Vec::new(),
        Err(DefinitionError::Syntax { message, line, column }) => {
            vec![error(Some((line, column)), None, message)]
        }
        Err(DefinitionError::Invalid(problems)) => problems
            .into_iter()
            .map(|Problem { flag, message, line, column, .. }| {
                error(Some((line, column)), flag, message)
            })
            .collect(),
        Err(other) => vec![error(None, None, other.to_string())],
    }
}

fn is_input(file: &Path) -> bool {
    file.as_os_str() == "-"
}

fn read(file: &Path) -> io::Result<String> {
    if !is_input(file) {
        return fs::read_to_string(file);
    }
    let mut text = String::new();
    io::stdin().read_to_string(&mut text).map(|_| text)
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

/// As compilers write it, so that editors find the place.
impl fmt::Display for Finding<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some((line, column)) = self.place {
            write!(f, "{line}:{column}:")?;
        }
        write!(f, " {}: ", self.level.as_str())?;
        if let Some(flag) = &self.flag {
            write!(f, "flag `{flag}`: ")?;
        }
        f.write_str(&self.message)
    }
}
