//! A compiled rule: a tree that is evaluated without looking at JSON again.
//!
//! Everything that can be decided from the rule alone is decided when the tree
//! is made: which operator a name stands for, how a path splits into its parts,
//! whether a value contains rules at all. What is wrong with a rule is decided
//! then too, but becomes a [`Node::Fail`], because flagd fails only when it
//! reaches that part: `{"if": [true, "on", {"nope": []}]}` returns `on`.

use std::collections::HashSet;

use serde_json::Value as Json;

use super::operator::{Comparison, Eager};
use crate::evaluator::{by_name::ByName, value::path::Path};

/// A rule, or a part of one.
///
/// The operators that decide themselves which of their arguments are evaluated
/// (`if`, `and`, `map` and so on) have variants of their own. All others share
/// [`Node::Call`], except that a comparison of two values, the usual form of a
/// condition, is a [`Node::Compare`]: it is evaluated without collecting the
/// arguments.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    /// A value that evaluates to itself: a scalar, an array of constants, or an
    /// object that does not have exactly one field. Such an object is not a
    /// rule, and nothing in it is evaluated.
    Constant(Json),
    /// An array of items that are evaluated.
    ///
    /// The arguments of an operator are always such a node if they are written
    /// as an array, even if all of them are constants.
    List(Vec<Node>),
    /// `{"var": "name"}`: a variable whose name is known.
    Variable(Variable),
    /// `{"var": ["name", default]}`: a variable whose name is known, and its
    /// default, which is evaluated in any case, as flagd does it.
    VariableOr(Variable, Box<Node>),
    /// `{"var": rule}`: a variable whose name is computed, or is not a valid
    /// name, which fails or returns null as
    /// [`eval::variable`](super::eval::variable) describes.
    ComputedVariable(Box<Node>),
    /// An operator on evaluated arguments: a [`Node::List`], or a single node
    /// if they are not written as an array.
    Call(Eager, Box<Node>),
    /// A comparison of two values. One of more or fewer is an
    /// [`Eager::Compare`].
    Compare(Comparison, Box<[Node; 2]>),
    /// `and`: the first item that is false, or the last one.
    And(Vec<Node>),
    /// `or`: the first item that is true, or the last one.
    Or(Vec<Node>),
    /// `if`: condition, result, condition, result, and so on; an odd one at the
    /// end is the result if no condition holds.
    If(Vec<Node>),
    /// An `if` with many conditions on one variable.
    Switch(Box<Switch>),
    /// `in` with a list of many constant strings.
    Member(Box<Member>),
    /// `filter`, `map`, `all`, `none` or `some`.
    Each(Box<Each>),
    /// `reduce`.
    Reduce(Box<Reduce>),
    /// A part that fails whenever it is evaluated, and why.
    Fail(&'static str),
}

impl Node {
    /// Whether evaluating the node takes a step, and may evaluate other nodes.
    ///
    /// The others are leaves: to evaluate one is to read a value, or to fail.
    pub(crate) fn is_inner(&self) -> bool {
        !matches!(self, Node::Constant(_) | Node::Variable(_) | Node::Fail(_))
    }
}

/// A variable whose name is known when the rule is compiled.
#[derive(Clone, Debug)]
pub(crate) struct Variable {
    /// The name, split at its dots. The empty path is all of the data.
    pub(crate) path: Path,
    /// Where its value is kept during an evaluation, if the rule reads it more
    /// than once. Always `None` in a body, where the data changes from item to
    /// item.
    pub(crate) slot: Option<usize>,
}

impl From<Path> for Variable {
    fn from(path: Path) -> Self {
        Self { path, slot: None }
    }
}

/// An operator that iterates over an array with a rule: `filter`, `map`, `all`,
/// `none` or `some`.
#[derive(Clone, Debug)]
pub(crate) struct Each {
    /// Which of them.
    pub(crate) kind: EachKind,
    /// The first argument: what is iterated over.
    pub(crate) subject: Subject,
    /// The second argument: what is evaluated for each item. `None` is a missing
    /// argument, which fails only if there is an array to iterate over.
    pub(crate) body: Option<Body>,
}

/// What an operator does with the items that it iterates over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EachKind {
    /// Keeps the items for which the body is true.
    Filter,
    /// Replaces each item with the result of the body.
    Map,
    /// Whether the body is true for every item; false for an empty array.
    All,
    /// Whether the body is true for no item.
    None,
    /// Whether the body is true for an item.
    Some,
}

/// What an operator iterates over.
#[derive(Clone, Debug)]
pub(crate) enum Subject {
    /// A scalar, whose value does not matter: it counts as null.
    Nothing,
    /// An array that is written in the rule. Its items are taken as they are
    /// and never evaluated, as in flagd: `{"map": [[{"nope": 1}], 1]}` is `[1]`.
    Literal(Vec<Json>),
    /// Any object: a rule that is evaluated to the array.
    Rule(Node),
}

/// What is evaluated for each item.
///
/// flagd substitutes variables in the JSON of a body before it evaluates the
/// body on an item (see `Test` in `eval/lists.rs`). `variables` and
/// `transparent` are found out once, and tell when the substitution cannot
/// change the result and the compiled `node` can be used instead.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    /// The body, compiled as it is written.
    pub(crate) node: Node,
    /// The same as JSON, for substitution: the value of a variable may itself
    /// be a rule, so the outcome must be compiled anew.
    pub(crate) json: Json,
    /// The variables that would be substituted. `None` if their names are
    /// computed, and so not known before the evaluation.
    pub(crate) variables: Option<Vec<Path>>,
    /// Whether substituting a scalar for a variable has the same result as
    /// reading the variable. It does not
    ///
    /// - in an object with several fields, which is a constant unless a `var`
    ///   in it is substituted;
    /// - in the body of an inner operator, where the variable is another one;
    /// - if the body is itself a variable: what is left is not a rule, which
    ///   some operators reject.
    pub(crate) transparent: bool,
}

/// `reduce`.
#[derive(Clone, Debug)]
pub(crate) struct Reduce {
    /// The first argument: what is iterated over.
    pub(crate) subject: Subject,
    /// The second argument. `None` if it is not an object and so not a rule,
    /// which fails at the first item.
    pub(crate) body: Option<Node>,
    /// The third argument: the accumulator before the first item.
    pub(crate) start: Node,
}

/// The targeting rule of a flag.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    /// The root of the tree, evaluated on the context.
    pub(crate) node: Node,
    /// The number of slots that an evaluation needs: each
    /// [`slot`](Variable::slot) in the tree is less.
    pub(crate) slots: usize,
}

/// An `if` whose first conditions compare one variable with strings.
///
/// A table leads from the value of the variable to its condition, so that the
/// conditions before it need not be evaluated. See [`switch`](super::switch).
#[derive(Clone, Debug)]
pub(crate) struct Switch {
    /// The variable that the conditions read.
    pub(crate) variable: Variable,
    /// All conditions and results of the `if`, as in [`Node::If`].
    pub(crate) clauses: Vec<Node>,
    /// For each string the index of its condition in `clauses`; if two
    /// conditions have the same string, that of the first.
    pub(crate) branches: ByName<usize>,
    /// The index in `clauses` of the first condition of another form, or of the
    /// last result.
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
    /// The clauses without those at the beginning whose conditions cannot hold
    /// if the variable is this string.
    pub(crate) fn clauses_for(&self, text: &str) -> &[Node] {
        &self.clauses[self.branches.get(text).copied().unwrap_or(self.end)..]
    }
}
