//! Problems of a definition, whose places in the text are looked for once all are known.

use super::{
    location::Position,
    tree::{Places, Step, Tree},
};
use crate::evaluator::diagnostic::Diagnostic;

/// A problem whose place in the text is not known yet.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) flag: Option<String>,
    pub(crate) message: String,
    /// The way to it from the top of the definition.
    pub(crate) path: Vec<Step>,
}

/// The problems with their places, in the order of the text. No place is known without a tree.
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
