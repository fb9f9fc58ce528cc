//! Problems of a definition whose places in the text are not known yet.
//!
//! The reader knows a problem by its path, such as `flags`, `f`, `state`. A tree
//! of the whole definition, which knows the places, is built only if there are
//! problems, and once for all of them.
//!
//! ```text
//! path: flags, f, state      text: {"flags": {"f": {"state": 1}}}      place: line 1, column 27
//! ```

use super::tree::{Places, Step, Tree};
use crate::evaluator::{diagnostic::Diagnostic, location::Position};

/// A problem whose place in the text is not known yet.
#[derive(Debug)]
pub(crate) struct Finding {
    /// The key of the flag, if the problem belongs to one.
    pub(crate) flag: Option<String>,
    /// What is wrong, without flag and place.
    pub(crate) message: String,
    /// The path to the value from the top of the definition. Names are as
    /// written.
    pub(crate) path: Vec<Step>,
}

/// The problems with their places, in the order of the text. Without a tree, each
/// is placed at the beginning.
pub(crate) fn located(findings: Vec<Finding>, tree: Option<&Tree>) -> Vec<Diagnostic> {
    let mut places = Places::default();
    let located = findings.into_iter().map(|Finding { flag, message, path }| {
        let nowhere = Position { line: 1, column: 1 };
        let place = tree.map_or(nowhere, |tree| places.place(tree, &path));
        Diagnostic { flag, message, line: place.line, column: place.column }
    });
    let mut problems: Vec<_> = located.collect();
    problems.sort_by_key(|problem| (problem.line, problem.column));
    problems
}
