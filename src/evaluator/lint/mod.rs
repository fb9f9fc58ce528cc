//! Warnings: what is in a flag definition that flagd accepts but that its published schema rejects,
//! that can never work, or that cannot be meant.

mod buckets;
mod definition;
mod near;
mod operators;
mod results;
mod targeting;
#[cfg(test)]
mod tests;
mod versions;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    rc::Rc,
};

use self::targeting::Scope;
use super::{
    location::Position,
    problem::{self, DefinitionError},
    surrogates,
    tree::{Entry, Kind, Tree, Unread},
    without_bom, yaml,
};

/// What is doubtful in a flag definition, though it is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Warning {
    /// The flag, unless it is the definition itself.
    pub flag: Option<String>,
    /// What is doubtful.
    pub message: String,
    /// Where, counted from 1.
    pub line: usize,
    /// Where in the line, in characters, counted from 1.
    pub column: usize,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = (self.line, self.column);
        problem::write_finding(f, self.flag.as_deref(), place, &self.message)
    }
}

/// Finds what is wrong in a flag definition in JSON although flagd (and
/// [`FlagSet::parse`](super::FlagSet::parse)) accepts it. The warnings come in the order of the text.
///
/// It warns of all that flagd's schema rejects, and of all else that can be seen to be wrong without a
/// context:
///
/// | warning | because |
/// |---|---|
/// | a reference within an evaluator, also in a circle; a reference to an evaluator that is not there | always `PARSE_ERROR` |
/// | an unknown operator (`endswith`), with the nearest that is known | always `PARSE_ERROR` |
/// | arguments that an operator fails with (`{"+": [true, 1]}`), or too few of them | always `PARSE_ERROR` |
/// | a result of the rule that is not a variant of the flag: a value, a branch of `if`, a bucket of `fractional`, `true` and `false` of a comparison; its name needs an escape in JSON | always `GENERAL` |
/// | `starts_with`, `ends_with` and `sem_ver` with another number of arguments, another type, an unknown operator or an invalid version | always null |
/// | comparisons of values that are written there, or of types that are never equal (`{"===": [{"cat": [1]}, 1]}`); conditions that are neither rules nor booleans | always true or always false |
/// | `in` with an array as the first argument, or with neither string nor array as the second; in an array, arrays that are not ranges of two numbers | never holds |
/// | weights of `fractional` whose sum is 0 or above 2^31-1, that are below 0, or not whole numbers; a single bucket; one bucketing value for everybody | everybody or nobody is chosen |
/// | objects of several names where one operator is expected | never evaluated |
/// | names of variables that differ from `targetingKey`, `$flagd`, `$flagd.flagKey` and `$flagd.timestamp` in case; unknown fields of `$flagd`; other variables than `current` and `accumulator` in the body of `reduce` | always null |
/// | numbers that a 64-bit float does not hold (`9007199254740993`); in YAML, those that become strings (`1e400`) | other values than are written |
/// | names of fields that are misspelled (`defaultvariant`, `targetting`), or there twice; two flags with one key in a list | ignored, by flagd or by other providers |
/// | an empty `flagSetId` | the flags are left out |
///
/// What depends on the context is not looked for, and neither is `{"if": [true, ...]}`.
///
/// # Errors
///
/// When the text is not JSON. What else `parse` rejects is not looked for.
pub fn lint(text: &str) -> Result<Vec<Warning>, DefinitionError> {
    let text = surrogates::mended(without_bom(text));
    let (outline, unread) = Tree::outline(&text)?;
    warnings(&outline, Some(&unread))
}

/// As [`lint`], for YAML.
///
/// # Errors
///
/// When the text is not YAML.
pub fn lint_yaml(text: &str) -> Result<Vec<Warning>, DefinitionError> {
    warnings(&*yaml::parse(without_bom(text))?, None)
}

fn warnings(
    definition: &Tree,
    unread: Option<&Unread<'_>>,
) -> Result<Vec<Warning>, DefinitionError> {
    let mut linter = Linter::default();
    linter.definition(definition, unread)?;
    let mut warnings = linter.warnings;
    warnings.sort_by(|a, b| (a.line, a.column, &a.message).cmp(&(b.line, b.column, &b.message)));
    // Two ways may lead to one place, an alias of YAML too.
    warnings.dedup();
    Ok(warnings)
}

#[derive(Default)]
struct Linter<'t> {
    /// The flag that is looked at.
    flag: Option<&'t str>,
    evaluators: Rc<BTreeMap<&'t str, &'t Tree>>,
    /// Whether the rule is an evaluator, not a flag's.
    in_evaluator: bool,
    /// The names of the flag's variants, if it has any.
    variants: Option<HashSet<&'t str>>,
    scope: Scope,
    warnings: Vec<Warning>,
}

impl<'t> Linter<'t> {
    fn warn(&mut self, at: Position, message: impl Into<String>) {
        let flag = self.flag.map(str::to_owned);
        let Position { line, column } = at;
        self.warnings.push(Warning { flag, message: message.into(), line, column });
    }

    /// The entries of an object, of two with one name the later; None if it is no object.
    fn entries(&mut self, tree: &'t Tree) -> Option<Vec<&'t Entry>> {
        let Kind::Object(entries) = &tree.kind else { return None };
        // Nearly all objects are small.
        let many = entries.len() > 8;
        let last: HashMap<_, _> = if many {
            entries.iter().map(|entry| &entry.name).zip(0..).collect()
        } else {
            HashMap::new()
        };
        let mut counted = Vec::with_capacity(entries.len());
        for (index, entry) in entries.iter().enumerate() {
            let is_last = match last.get(&entry.name) {
                Some(last) => *last == index,
                None => entries[index + 1..].iter().all(|later| later.name != entry.name),
            };
            if is_last {
                counted.push(entry);
            } else {
                let message = format!("`{}` is there twice: only the last counts", entry.name);
                self.warn(entry.at, message);
            }
        }
        Some(counted)
    }

    /// The entries of an object, with a warning if it is none.
    fn object(&mut self, tree: &'t Tree, what: &str) -> Vec<&'t Entry> {
        self.entries(tree).unwrap_or_else(|| {
            self.warn(tree.at, format!("{what} should be an object"));
            Vec::new()
        })
    }
}

fn text(tree: &Tree) -> Option<&str> {
    match &tree.kind {
        Kind::Scalar(scalar) => scalar.as_str(),
        _ => None,
    }
}
