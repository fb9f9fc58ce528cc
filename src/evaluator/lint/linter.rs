//! What a walk over a definition carries along: where it is, and the warnings so
//! far.
//!
//! [`Linter`] is the receiver of all checks, which are in the files beside this
//! one, each for one subject. A check looks at a part of the tree, and calls
//! [`Linter::warn`] with the place of the smallest part that is wrong. It goes on
//! after a warning, except where another one would only repeat the first.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    rc::Rc,
};

use crate::evaluator::{
    diagnostic::Diagnostic,
    load::tree::{Entry, Kind, Tree},
    location::Position,
};

/// What the names of variables refer to.
///
/// Operators that iterate evaluate their body on other data than the context, and
/// so a name that is wrong at the top may be right there, and the reverse.
///
/// ```text
/// {"some": [{"var": "roles"}, {"==": [{"var": "name"}, "admin"]}]}
///            Context           Item
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The evaluation context, with `$flagd`.
    #[default]
    Context,
    /// An item of an array about which nothing is known.
    Item,
    /// An item of an array that is written in the rule, and contains only
    /// scalars.
    Scalar,
    /// The fields that the body of `reduce` sees: `current`, `accumulator` and
    /// `valueType`.
    Accumulation,
}

/// The state of a walk over a definition, of which `'t` is the tree.
#[derive(Default)]
pub(crate) struct Linter<'t> {
    /// The key of the flag that is checked, with which warnings are marked.
    pub(crate) flag: Option<&'t str>,
    /// The shared rules by name. Behind an `Rc`, because each flag has a linter
    /// of its own.
    pub(crate) evaluators: Rc<BTreeMap<&'t str, &'t Tree>>,
    /// Whether the rule that is checked is a shared one. References in it are not
    /// replaced.
    pub(crate) in_evaluator: bool,
    /// The names of the flag's variants; `None` if it has no object `variants`,
    /// so that nothing can be said about results.
    pub(crate) variants: Option<HashSet<&'t str>>,
    /// What the names of variables refer to in this part of the rule.
    pub(crate) scope: Scope,
    /// The warnings so far, in the order of the walk. They are sorted at the end.
    pub(crate) warnings: Vec<Diagnostic>,
}

impl<'t> Linter<'t> {
    /// Adds a warning about the current flag, if there is one.
    pub(crate) fn warn(&mut self, at: Position, message: impl Into<String>) {
        let flag = self.flag.map(str::to_owned);
        let Position { line, column } = at;
        self.warnings.push(Diagnostic { flag, message: message.into(), line, column });
    }

    /// The entries of an object, with a warning about each that is hidden by a
    /// later one with the same name; `None` if it is not an object.
    pub(crate) fn entries(&mut self, tree: &'t Tree) -> Option<Vec<&'t Entry>> {
        let Kind::Object(entries) = &tree.kind else { return None };
        // Nearly all objects are small, and comparing their names is cheaper than building a map.
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

    /// The entries of an object, with a warning if it is not an object.
    pub(crate) fn object(&mut self, tree: &'t Tree, what: &str) -> Vec<&'t Entry> {
        self.entries(tree).unwrap_or_else(|| {
            self.warn(tree.at, format!("{what} should be an object"));
            Vec::new()
        })
    }
}

/// The value, if it is a string.
pub(crate) fn text(tree: &Tree) -> Option<&str> {
    match &tree.kind {
        Kind::Scalar(scalar) => scalar.as_str(),
        _ => None,
    }
}
