//! What a walk over a definition carries along: where it is, and the warnings so far.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    rc::Rc,
};

use crate::evaluator::{
    diagnostic::Diagnostic,
    load::{
        location::Position,
        tree::{Entry, Kind, Tree},
    },
};

/// What the names of variables stand for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Scope {
    #[default]
    Context,
    /// An item of a list, of which nothing is known.
    Item,
    /// An item of a list of scalars.
    Scalar,
    /// The fields that the body of `reduce` sees.
    Accumulation,
}

#[derive(Default)]
pub(crate) struct Linter<'t> {
    /// The flag that is looked at.
    pub(crate) flag: Option<&'t str>,
    pub(crate) evaluators: Rc<BTreeMap<&'t str, &'t Tree>>,
    /// Whether the rule is an evaluator, not a flag's.
    pub(crate) in_evaluator: bool,
    /// The names of the flag's variants, if it has any.
    pub(crate) variants: Option<HashSet<&'t str>>,
    pub(crate) scope: Scope,
    pub(crate) warnings: Vec<Diagnostic>,
}

impl<'t> Linter<'t> {
    pub(crate) fn warn(&mut self, at: Position, message: impl Into<String>) {
        let flag = self.flag.map(str::to_owned);
        let Position { line, column } = at;
        self.warnings.push(Diagnostic { flag, message: message.into(), line, column });
    }

    /// The entries of an object, of two with one name the later; None if it is no object.
    pub(crate) fn entries(&mut self, tree: &'t Tree) -> Option<Vec<&'t Entry>> {
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
                let message = format!("`{}` occurs twice: only the last counts", entry.name);
                self.warn(entry.at, message);
            }
        }
        Some(counted)
    }

    /// The entries of an object, with a warning if it is none.
    pub(crate) fn object(&mut self, tree: &'t Tree, what: &str) -> Vec<&'t Entry> {
        self.entries(tree).unwrap_or_else(|| {
            self.warn(tree.at, format!("{what} should be an object"));
            Vec::new()
        })
    }
}

pub(crate) fn text(tree: &Tree) -> Option<&str> {
    match &tree.kind {
        Kind::Scalar(scalar) => scalar.as_str(),
        _ => None,
    }
}
