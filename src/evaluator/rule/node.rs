//! A compiled rule.

use std::collections::HashSet;

use serde_json::Value as Json;

use super::operator::{Comparison, Eager};
use crate::evaluator::{by_name::ByName, value::path::Path};

/// A rule, or a part of one.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    /// A value that is no rule: evaluates to itself.
    Constant(Json),
    /// A list whose items are evaluated.
    List(Vec<Node>),
    /// A variable whose name is known.
    Variable(Variable),
    /// A variable whose name is known, and what stands for it where it is missing.
    VariableOr(Variable, Box<Node>),
    /// A variable whose name is computed.
    ComputedVariable(Box<Node>),
    /// An operator on evaluated arguments.
    Call(Eager, Box<Node>),
    /// A comparison of two values.
    Compare(Comparison, Box<[Node; 2]>),
    And(Vec<Node>),
    Or(Vec<Node>),
    If(Vec<Node>),
    /// `if` with many conditions on one variable.
    Switch(Box<Switch>),
    /// `in` with a list of many constant strings.
    Member(Box<Member>),
    Each(Box<Each>),
    Reduce(Box<Reduce>),
    /// What fails whenever it is evaluated, and why.
    Fail(&'static str),
}

impl Node {
    /// Whether it has parts that are evaluated.
    pub(crate) fn is_inner(&self) -> bool {
        !matches!(self, Node::Constant(_) | Node::Variable(_) | Node::Fail(_))
    }
}

/// A variable whose name is known.
#[derive(Clone, Debug)]
pub(crate) struct Variable {
    pub(crate) path: Path,
    /// Where its value is kept during an evaluation, if the rule reads it more than once.
    pub(crate) slot: Option<usize>,
}

impl From<Path> for Variable {
    fn from(path: Path) -> Self {
        Self { path, slot: None }
    }
}

/// An operator that goes through a list.
#[derive(Clone, Debug)]
pub(crate) struct Each {
    pub(crate) kind: EachKind,
    pub(crate) subject: Subject,
    /// None is an argument that is missing, which matters only when it is looked at.
    pub(crate) body: Option<Body>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EachKind {
    Filter,
    Map,
    All,
    None,
    Some,
}

/// The list that an operator goes through.
#[derive(Clone, Debug)]
pub(crate) enum Subject {
    /// Neither list nor rule.
    Nothing,
    /// A list in the rule is taken as it stands: its items are not evaluated.
    Literal(Vec<Json>),
    Rule(Node),
}

/// What is evaluated for each item.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    pub(crate) node: Node,
    /// The same as JSON, since variables found in the outer context are put into the rule, and may
    /// themselves be rules.
    pub(crate) json: Json,
    /// The variables that would be put in. None: they cannot be told beforehand.
    pub(crate) variables: Option<Vec<Path>>,
    /// Whether putting a scalar in the place of a variable is the same as reading the variable.
    pub(crate) transparent: bool,
}

/// `reduce`.
#[derive(Clone, Debug)]
pub(crate) struct Reduce {
    pub(crate) subject: Subject,
    /// None is a body that is no rule.
    pub(crate) body: Option<Node>,
    pub(crate) start: Node,
}

/// A targeting rule.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) node: Node,
    /// How many slots its variables have.
    pub(crate) slots: usize,
}

/// The clauses of an `if`, the first of which compare one variable with texts.
#[derive(Clone, Debug)]
pub(crate) struct Switch {
    pub(crate) variable: Variable,
    pub(crate) clauses: Vec<Node>,
    /// The clause of each text; of two with one text the first counts.
    pub(crate) branches: ByName<usize>,
    /// The first clause of another form.
    pub(crate) end: usize,
}

/// Whether a value is in a list of constant strings: a string is looked up, so that it does not matter
/// how long the list is.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) needle: Node,
    /// The strings of the list. Nothing that is not a string is among them, so neither their order nor
    /// how often each occurs matters.
    pub(crate) strings: HashSet<Box<str>, foldhash::fast::RandomState>,
}

impl Switch {
    /// The clauses from the first on whose condition may hold if the variable is this text.
    pub(crate) fn clauses_for(&self, text: &str) -> &[Node] {
        &self.clauses[self.branches.get(text).copied().unwrap_or(self.end)..]
    }
}
