//! Reads feature files as Gherkin specifies, where the library's parser is stricter.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use cucumber::{
    feature::Ext as _,
    gherkin::{Feature, GherkinEnv},
};

/// Reads all features below the folder, in the order of their paths.
pub(crate) fn read(folder: &Path) -> Result<Vec<Feature>, String> {
    let mut files = Vec::new();
    find(folder, &mut files).map_err(|error| format!("{}: {error}", folder.display()))?;
    files.sort_unstable();
    files
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path);
            let text = text.map_err(|error| format!("{}: {error}", path.display()))?;
            parse(&text, path)
        })
        .collect()
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, files)?;
        } else if path.extension().is_some_and(|ending| ending == "feature") {
            files.push(path);
        }
    }
    Ok(())
}

/// The feature, with a scenario for each row of its examples.
pub(crate) fn parse(text: &str, path: PathBuf) -> Result<Feature, String> {
    let feature = Feature::parse(escaped(text), GherkinEnv::default());
    let mut feature = feature.map_err(|error| format!("{}: {error}", path.display()))?;
    feature.path = Some(path);
    feature.expand_examples().map_err(|error| error.to_string())
}

/// In the cells of a table `\n`, `\|` and `\\` are escapes; any other backslash stands for itself,
/// which the parser understands only when it is doubled.
fn escaped(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut docstring = None;
    for line in text.split_inclusive('\n') {
        let start = line.trim_start();
        match docstring {
            Some(end) if start.starts_with(end) => docstring = None,
            Some(_) => {}
            None => docstring = ["\"\"\"", "```"].into_iter().find(|it| start.starts_with(it)),
        }
        if docstring.is_none() && start.starts_with('|') {
            escape_row(line, &mut result);
        } else {
            result.push_str(line);
        }
    }
    result
}

fn escape_row(row: &str, result: &mut String) {
    let mut characters = row.chars().peekable();
    while let Some(character) = characters.next() {
        result.push(character);
        if character == '\\' {
            let escape = characters.next_if(|next| matches!(next, 'n' | '|' | '\\'));
            result.push(escape.unwrap_or('\\'));
        }
    }
}
