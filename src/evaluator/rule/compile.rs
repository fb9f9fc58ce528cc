//! From the JSON of a targeting rule to a tree, once for each definition.
//!
//! An object with exactly one field is an operation: the field's name is the
//! operator and its value the arguments. Any other object is a value.
//!
//! Compiling fails only for rules that are nested too deeply. A rule that
//! cannot work, such as one with an unknown operator, is a valid part of a
//! definition for flagd, and fails when it is evaluated: such a part becomes a
//! [`Node::Fail`]. It is the linter that warns of them.
//!
//! The functions pass on `room`, the number of levels that may still follow.

use std::collections::HashSet;

use serde_json::Value as Json;

use super::{
    node::{Body, Each, EachKind, Member, Node, Reduce, Rule, Subject},
    operator::{self, Eager, Lazy, Operator},
    slots, switch,
};
use crate::evaluator::value::path::Path;

/// How deeply a rule may be nested, counted in JSON arrays and objects:
/// `{"!": [true]}` has two levels.
///
/// The parser of the definition limits nesting too, but references are replaced
/// after it, and can put one rule into another.
pub(crate) const MAX_NESTING: usize = 160;

/// A rule that is nested deeper than [`MAX_NESTING`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooDeep;

/// Compiles the targeting rule of a flag, which is evaluated on the context.
///
/// # Errors
///
/// [`TooDeep`] if the rule is nested more than [`MAX_NESTING`] levels deep, even
/// in a part that is never evaluated.
pub(crate) fn compile(rule: &Json) -> Result<Rule, TooDeep> {
    let mut node = part(rule)?;
    let slots = slots::assign(&mut node);
    Ok(Rule { node, slots })
}

/// Compiles a rule that is evaluated on any data, so that its variables have no
/// slots.
pub(crate) fn part(rule: &Json) -> Result<Node, TooDeep> {
    node(rule, MAX_NESTING)
}

/// Compiles any part of a rule.
fn node(rule: &Json, room: usize) -> Result<Node, TooDeep> {
    Ok(match rule {
        Json::Array(items) => fold(nodes(items, room)?),
        Json::Object(fields) => match fields.iter().next() {
            Some((name, arguments)) if fields.len() == 1 => {
                operation(name, arguments, deeper(room)?)?
            }
            _ => {
                check_depth(rule, room)?;
                Node::Constant(rule.clone())
            }
        },
        scalar => Node::Constant(scalar.clone()),
    })
}

/// The room that is left one level further down.
fn deeper(room: usize) -> Result<usize, TooDeep> {
    room.checked_sub(1).ok_or(TooDeep)
}

/// Checks a part that is kept as JSON, or not kept at all. It counts all the
/// same, so that the copies, comparisons and conversions of JSON, which are
/// recursive, are bounded too.
fn check_depth(value: &Json, room: usize) -> Result<(), TooDeep> {
    match value {
        Json::Array(items) => {
            let room = deeper(room)?;
            items.iter().try_for_each(|item| check_depth(item, room))
        }
        Json::Object(fields) => {
            let room = deeper(room)?;
            fields.values().try_for_each(|value| check_depth(value, room))
        }
        _ => Ok(()),
    }
}

/// Compiles the items of an array, which is a level of its own.
fn nodes(items: &[Json], room: usize) -> Result<Vec<Node>, TooDeep> {
    let room = deeper(room)?;
    items.iter().map(|item| node(item, room)).collect()
}

/// An array of constants is a constant, which is evaluated without a copy.
fn fold(items: Vec<Node>) -> Node {
    if !items.iter().all(|item| matches!(item, Node::Constant(_))) {
        return Node::List(items);
    }
    let constant = |item| match item {
        Node::Constant(value) => Some(value),
        _ => None,
    };
    Node::Constant(Json::Array(items.into_iter().filter_map(constant).collect()))
}

/// The arguments of an operator: an array stays a [`Node::List`] even if all items
/// are constants, so that they can be evaluated onto the stack.
fn arguments(rule: &Json, room: usize) -> Result<Node, TooDeep> {
    match rule {
        Json::Array(items) => Ok(Node::List(nodes(items, room)?)),
        other => node(other, room),
    }
}

/// Compiles the operation `{name: values}`.
fn operation(name: &str, values: &Json, room: usize) -> Result<Node, TooDeep> {
    let Some(operator) = operator::find(name) else {
        check_depth(values, room)?;
        return Ok(Node::Fail("unknown operator"));
    };
    match (operator, values) {
        (Operator::Compare(comparison), Json::Array(items)) if items.len() == 2 => {
            let room = deeper(room)?;
            let sides = [node(&items[0], room)?, node(&items[1], room)?];
            Ok(Node::Compare(comparison, Box::new(sides)))
        }
        (Operator::Compare(comparison), _) => {
            let arguments = Box::new(arguments(values, room)?);
            Ok(Node::Call(Eager::Compare(comparison), arguments))
        }
        (Operator::Eager(Eager::In), Json::Array(items)) => {
            let room = deeper(room)?;
            if let [needle, list] = &items[..]
                && let Some(strings) = strings(list)
            {
                // The list is as deep as any.
                deeper(room)?;
                let needle = node(needle, room)?;
                return Ok(Node::Member(Box::new(Member { needle, strings })));
            }
            let items = items.iter().map(|item| node(item, room)).collect::<Result<_, _>>()?;
            Ok(Node::Call(Eager::In, Box::new(Node::List(items))))
        }
        (Operator::Eager(eager), _) => Ok(Node::Call(eager, Box::new(arguments(values, room)?))),
        (Operator::Variable, _) => variable(values, room),
        (Operator::Lazy(lazy), Json::Array(items)) => lazily(lazy, items, room),
        (Operator::Lazy(_), _) => {
            check_depth(values, room)?;
            Ok(Node::Fail("the arguments are not an array"))
        }
    }
}

/// How many strings are compared one after the other all the same.
const FEW_STRINGS: usize = 8;

/// The strings of a list that holds nothing else, if they are many.
fn strings(list: &Json) -> Option<HashSet<Box<str>, foldhash::fast::RandomState>> {
    let items = list.as_array().filter(|items| items.len() > FEW_STRINGS)?;
    items.iter().map(|item| item.as_str().map(Into::into)).collect()
}

/// Compiles `{"var": values}`.
///
/// | Rule | Node |
/// |---|---|
/// | `{"var": "a.b"}`, `{"var": ["a.b"]}`, `{"var": 1.5}` | [`Node::Variable`] |
/// | `{"var": ["a.b", default]}` | [`Node::VariableOr`] |
/// | anything else, such as `{"var": [1]}` or `{"var": {"cat": ["a", "b"]}}` | [`Node::ComputedVariable`] |
fn variable(values: &Json, room: usize) -> Result<Node, TooDeep> {
    let name = match values {
        Json::Array(items) if items.len() <= 2 => items.first(),
        Json::Array(_) => None,
        other => Some(other),
    };
    let path = match name {
        Some(Json::String(name)) => Some(Path::new(name)),
        Some(Json::Number(number)) if !values.is_array() => Some(Path::of_number(number)),
        _ => None,
    };
    let default = values.as_array().and_then(|items| items.get(1));
    Ok(match (path, default) {
        (Some(path), None) => Node::Variable(path.into()),
        (Some(path), Some(default)) => {
            Node::VariableOr(path.into(), Box::new(node(default, deeper(room)?)?))
        }
        (None, _) => Node::ComputedVariable(Box::new(arguments(values, room)?)),
    })
}

/// Compiles an operator that decides which of its arguments are evaluated.
///
/// As in flagd, `filter` and `map` with fewer than two arguments are an empty
/// array, `reduce` with fewer than three is 0, and `all`, `none` and `some`
/// without any fail.
fn lazily(lazy: Lazy, items: &[Json], room: usize) -> Result<Node, TooDeep> {
    let each = |kind, shortest| {
        if items.len() < shortest {
            return Ok(Node::Constant(Json::Array(Vec::new())));
        }
        let Some(first) = items.first() else { return Ok(Node::Fail("an argument is missing")) };
        let room = deeper(room)?;
        let subject = subject(first, room)?;
        let body = items.get(1).map(|rule| body(rule, room)).transpose()?;
        Ok(Node::Each(Box::new(Each { kind, subject, body })))
    };
    match lazy {
        Lazy::And => Ok(Node::And(nodes(items, room)?)),
        Lazy::Or => Ok(Node::Or(nodes(items, room)?)),
        Lazy::If => Ok(match switch::of_clauses(nodes(items, room)?) {
            Ok(switch) => Node::Switch(Box::new(switch)),
            Err(clauses) => Node::If(clauses),
        }),
        Lazy::Filter => each(EachKind::Filter, 2),
        Lazy::Map => each(EachKind::Map, 2),
        Lazy::All => each(EachKind::All, 0),
        Lazy::None => each(EachKind::None, 0),
        Lazy::Some => each(EachKind::Some, 0),
        Lazy::Reduce => match items {
            [first, rule, start, ..] => {
                let room = deeper(room)?;
                let body = node(rule, room)?;
                let start = match start {
                    Json::Array(_) => Node::Fail("`reduce` cannot start with an array"),
                    start => node(start, room)?,
                };
                Ok(Node::Reduce(Box::new(Reduce {
                    subject: subject(first, room)?,
                    body: rule.is_object().then_some(body),
                    start,
                })))
            }
            _ => Ok(Node::Constant(Json::from(0))),
        },
    }
}

/// Compiles the first argument of an operator that iterates over it.
fn subject(rule: &Json, room: usize) -> Result<Subject, TooDeep> {
    Ok(match rule {
        Json::Array(items) => {
            check_depth(rule, room)?;
            Subject::Literal(items.clone())
        }
        Json::Object(_) => Subject::Rule(node(rule, room)?),
        _ => Subject::Nothing,
    })
}

/// Compiles the second argument of such an operator.
fn body(rule: &Json, room: usize) -> Result<Body, TooDeep> {
    let mut found = Found { variables: Some(Vec::new()), transparent: true };
    found.look(rule);
    let is_variable = rule.get("var").is_some();
    Ok(Body {
        node: node(rule, room)?,
        json: rule.clone(),
        variables: found.variables,
        transparent: found.transparent && !is_variable,
    })
}

/// What was found out about the variables of a body: see [`Body`] for the fields.
struct Found {
    variables: Option<Vec<Path>>,
    transparent: bool,
}

impl Found {
    /// Goes through a rule as the substitution of variables does, so also
    /// through parts that are never evaluated.
    fn look(&mut self, rule: &Json) {
        match rule {
            Json::Array(items) => items.iter().for_each(|item| self.look(item)),
            Json::Object(fields) => {
                self.transparent &= fields.len() <= 1;
                for (name, value) in fields {
                    match (name.as_str(), value) {
                        ("var", Json::String(path)) if stays(path) => {}
                        ("var", Json::String(path)) => self.add(Path::new(path)),
                        ("var", Json::Number(number)) => self.add(Path::of_number(number)),
                        ("var", _) => self.variables = None,
                        (name, value) => {
                            self.transparent &= !operator::is_scope(name);
                            self.look(value);
                        }
                    }
                }
            }
            _ => {}
        }
    }

    /// Notes a variable, unless an earlier one has a computed name.
    fn add(&mut self, path: Path) {
        if let Some(variables) = &mut self.variables {
            variables.push(path);
        }
    }
}

/// Whether a variable with this name is never substituted in a body. A body can
/// therefore read the field `name` of the item as `.name`, whatever the outer
/// context holds: empty parts of a name are skipped when the variable is read.
pub(crate) fn stays(path: &str) -> bool {
    path.is_empty() || path.starts_with('.')
}
