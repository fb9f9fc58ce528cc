//! Evaluates a compiled rule.
//!
//! [`eval`] walks the tree. A node is evaluated on `data`, which is the whole
//! context at the root, and in the body of an operator such as `map` the item. The
//! result borrows from the rule and the context, which have the same lifetime `'a`
//! here.
//!
//! - [`lists`] has the operators that iterate over an array.
//! - [`late`] has the rules that are known only during the evaluation: flagd takes
//!   some results and some values of the context for rules in their turn.
//! - [`operators`] has the operators on evaluated arguments.
//!
//! Every function returns [`Fail`] in two cases: where flagd reports a
//! `PARSE_ERROR`, and where a limit of [`Run`] is exceeded. Nothing catches it, so
//! that one failing part that is evaluated makes the whole evaluation fail.
//!
//! The usual condition compares a variable with a constant. [`holds`] and [`compare`]
//! have a shorter way for it, which has the same result.

use std::borrow::Cow;

use serde_json::Value as Json;

mod late;
mod lists;

use super::{
    args::Args,
    node::{Member, Node, Variable},
    operator::{Comparison, Eager},
    operators::{self, Plain},
    run::Run,
    variable as variables,
};
use crate::evaluator::value::{Evaluated, Fail, Object, Value, steps};
pub(crate) use late::eval_value;

/// Evaluates a rule, or a part of one, on `data`.
///
/// Leaves cost no step and no level: to evaluate them is to read a value.
///
/// # Errors
///
/// The rule fails in flagd, or exceeds a limit of `run`.
pub(crate) fn eval<'a>(node: &'a Node, data: &Value<'a>, run: &Run) -> Evaluated<'a> {
    match node {
        Node::Constant(value) => Ok(value.into()),
        Node::Variable(variable) => read(variable, data, run),
        Node::Fail(reason) => Err(Fail(reason)),
        _ => {
            run.charge(1)?;
            run.deeper(|| eval_inner(node, data, run))
        }
    }
}

/// Evaluates a node that has parts, for which [`eval`] has taken a step and a level.
fn eval_inner<'a>(node: &'a Node, data: &Value<'a>, run: &Run) -> Evaluated<'a> {
    match node {
        // `eval` does not pass on these.
        Node::Constant(_) | Node::Variable(_) | Node::Fail(_) => eval(node, data, run),
        Node::VariableOr(variable, default) => {
            let default = eval(default, data, run)?;
            let value = read(variable, data, run)?;
            Ok(if value.is_null() { default } else { value })
        }
        Node::ComputedVariable(name) => variable(&eval(name, data, run)?, data, run),
        Node::List(items) => {
            let items: Result<Vec<_>, _> = items.iter().map(|item| eval(item, data, run)).collect();
            Ok(items?.into())
        }
        Node::Call(operator, arguments) => match &**arguments {
            Node::List(items) => {
                with_items(items, data, run, |items| call(*operator, items, data, run))
            }
            single => match eval(single, data, run)? {
                Value::List(list) => {
                    run.charge(list.steps())?;
                    call(*operator, &list.iter().collect::<Vec<_>>(), data, run)
                }
                value => {
                    run.charge(value.steps())?;
                    operators::call(*operator, Args::Single(&value), data, run)
                }
            },
        },
        Node::Compare(comparison, sides) => {
            let holds = compare(*comparison, sides, data, run)?;
            Ok(holds.map_or(Value::Null, Value::Bool))
        }
        Node::And(items) => until(items, data, run, false),
        Node::Or(items) => until(items, data, run, true),
        Node::If(clauses) => conditional(clauses, data, run),
        Node::Switch(switch) => match read(&switch.variable, data, run)? {
            Value::Text(text) => {
                run.charge(steps(text.len()))?;
                conditional(switch.clauses_for(&text), data, run)
            }
            _ => conditional(&switch.clauses, data, run),
        },
        Node::Member(member) => is_member(member, data, run),
        Node::Each(each) => lists::each(each, data, run),
        Node::Reduce(reduce) => lists::reduce(reduce, data, run),
    }
}

/// Whether a value is one of many strings.
fn is_member<'a>(member: &'a Member, data: &Value<'a>, run: &Run) -> Evaluated<'a> {
    let needle = eval(&member.needle, data, run)?;
    run.charge(needle.steps())?;
    if let Some(text) = needle.as_text() {
        return Ok(Value::Bool(member.strings.contains(text)));
    }
    if !needle.is_number() {
        return Ok(Value::Bool(false));
    }
    // A string may equal it as a number: all are gone through.
    let strings = member.strings.iter().map(|text| Value::Text(Cow::Borrowed(&**text)));
    let list = strings.collect::<Vec<_>>().into();
    call(Eager::In, &[needle, list], data, run)
}

/// The value of a variable that has a slot: read now, if it has not been read before.
///
/// `None` if it has none, or if `data` is not the whole context.
fn kept<'a>(variable: &Variable, data: &Value<'a>) -> Option<&'a Value<'a>> {
    match (variable.slot, data) {
        (Some(slot), Value::Object(Object::Root(root))) => {
            root.kept.map(|kept| kept.get(slot, &variable.path))
        }
        _ => None,
    }
}

/// The value of a variable, from its slot if it has one.
///
/// Strings usually stay where the context has them. Copying one that the context had
/// to make takes steps.
fn read<'a>(variable: &Variable, data: &Value<'a>, run: &Run) -> Evaluated<'a> {
    let value = match kept(variable, data) {
        Some(value) => value.clone(),
        None => variables::read(&variable.path, data),
    };
    if let Value::Text(Cow::Owned(copy)) = &value {
        run.charge(steps(copy.len()))?;
    }
    Ok(value)
}

/// Calls an operator on an array of arguments. The work of most operators is in
/// proportion to the strings among them, so that these take steps.
fn call<'a>(operator: Eager, items: &[Value<'a>], data: &Value<'a>, run: &Run) -> Evaluated<'a> {
    run.charge(items.iter().map(Value::steps).sum())?;
    operators::call(operator, Args::List(items), data, run)
}

/// Whether a condition holds.
fn holds<'a>(node: &'a Node, data: &Value<'a>, run: &Run) -> Result<bool, Fail> {
    match node {
        // Its sides are leaves, so there is no level to go down.
        Node::Compare(comparison, sides) if !sides.iter().any(Node::is_inner) => {
            run.charge(1)?;
            Ok(compare(*comparison, sides, data, run)?.unwrap_or(false))
        }
        _ => Ok(eval(node, data, run)?.is_true()),
    }
}

/// Compares two nodes, without a copy of the values where possible. `None`, which is
/// null in a rule, if the comparison is of strings only and one is not.
fn compare<'a>(
    comparison: Comparison,
    sides: &'a [Node; 2],
    data: &Value<'a>,
    run: &Run,
) -> Result<Option<bool>, Fail> {
    if let (Some(a), Some(b)) = (plain(&sides[0], data), plain(&sides[1], data)) {
        run.charge(steps(a.compared_with(b)))?;
        return Ok(comparison.of_plain(a, b));
    }
    let (mut left, mut right) = (Value::Null, Value::Null);
    let a = look(&sides[0], data, run, &mut left)?;
    let b = look(&sides[1], data, run, &mut right)?;
    run.charge(match (Plain::of(a), Plain::of(b)) {
        (Some(a), Some(b)) => steps(a.compared_with(b)),
        _ => a.steps() + b.steps(),
    })?;
    Ok(comparison.of(a, b))
}

/// The string or number that a node stands for, if that can be had without a copy: it
/// is a constant, or a variable that has a slot.
#[inline]
fn plain<'v, 'a: 'v>(node: &'a Node, data: &Value<'a>) -> Option<Plain<'v>> {
    match node {
        Node::Constant(Json::String(text)) => Some(Plain::Text(text)),
        Node::Constant(Json::Number(number)) => number.as_f64().map(Plain::Number),
        Node::Variable(variable) => kept(variable, data).and_then(Plain::of),
        _ => None,
    }
}

/// The value of a node: that of its slot, or else one that is evaluated into `room`.
#[inline]
fn look<'v, 'a: 'v>(
    node: &'a Node,
    data: &Value<'a>,
    run: &Run,
    room: &'v mut Value<'a>,
) -> Result<&'v Value<'a>, Fail> {
    if let Node::Variable(variable) = node
        && let Some(value) = kept(variable, data)
    {
        return Ok(value);
    }
    *room = eval(node, data, run)?;
    Ok(room)
}

/// Evaluates arguments and passes them to `call`: on the stack, unless there are more
/// than 64.
fn with_items<'a>(
    nodes: &'a [Node],
    data: &Value<'a>,
    run: &Run,
    call: impl FnOnce(&[Value<'a>]) -> Evaluated<'a>,
) -> Evaluated<'a> {
    match nodes {
        [a] => call(&[eval(a, data, run)?]),
        [a, b] => call(&[eval(a, data, run)?, eval(b, data, run)?]),
        [a, b, c] => call(&[eval(a, data, run)?, eval(b, data, run)?, eval(c, data, run)?]),
        _ if nodes.len() <= 8 => on_stack::<8>(nodes, data, run, call),
        _ if nodes.len() <= 64 => on_stack::<64>(nodes, data, run, call),
        many => {
            let items: Result<Vec<_>, _> = many.iter().map(|item| eval(item, data, run)).collect();
            call(&items?)
        }
    }
}

/// The same with room for `N` arguments, of which some stay unused.
///
/// Not inlined: evaluation is recursive, and each level would have this room on its
/// stack whether it uses it or not.
#[inline(never)]
fn on_stack<'a, const N: usize>(
    nodes: &'a [Node],
    data: &Value<'a>,
    run: &Run,
    call: impl FnOnce(&[Value<'a>]) -> Evaluated<'a>,
) -> Evaluated<'a> {
    let mut items = [const { Value::Null }; N];
    for (item, node) in items.iter_mut().zip(nodes) {
        *item = eval(node, data, run)?;
    }
    call(&items[..nodes.len()])
}

/// The value of a variable whose name was computed.
///
/// | Name | Result |
/// |---|---|
/// | a string | the variable |
/// | a number | the variable with this name: 1.5 is field `5` of field `1` |
/// | an array of a string, or of a string and a default | the variable, or its default |
/// | an array of a string and more | the variable |
/// | an empty array | all of `data` |
/// | another array | fails |
/// | null | null if `data` is an array or an object, else `data` |
/// | a boolean or an object | null if `data` is null, else fails |
pub(crate) fn variable<'a>(name: &Value<'a>, data: &Value<'a>, run: &Run) -> Evaluated<'a> {
    let no_name = Fail("the name of a variable should be a string");
    let or = |value: Value<'a>, default| if value.is_null() { default } else { value };
    match name {
        Value::Null if matches!(data, Value::List(_) | Value::Object(_)) => Ok(Value::Null),
        Value::Null => Ok(data.clone()),
        Value::Text(name) => read_named(name, data, run),
        Value::Number(_) | Value::IntegerZero => Ok(variables::read_named(&name.to_text()?, data)),
        Value::List(list) => {
            let Some(first) = list.get(0) else { return Ok(data.clone()) };
            let default = if list.len() == 2 { list.get(1) } else { None };
            let first = first.as_text().ok_or(no_name)?;
            Ok(or(read_named(first, data, run)?, default.unwrap_or(Value::Null)))
        }
        Value::Bool(_) | Value::Object(_) if data.is_null() => Ok(Value::Null),
        Value::Bool(_) | Value::Object(_) => Err(no_name),
    }
}

/// The value of the variable with this name. The name can be as long as the context
/// likes, so reading it takes steps.
fn read_named<'a>(name: &str, data: &Value<'a>, run: &Run) -> Evaluated<'a> {
    let value = variables::read_named(name, data);
    run.charge(steps(name.len()) + value.steps())?;
    Ok(value)
}

/// The first item that is true (or false, as `wanted`), or else the last one, or null
/// if there are no items. The items after it are not evaluated.
fn until<'a>(items: &'a [Node], data: &Value<'a>, run: &Run, wanted: bool) -> Evaluated<'a> {
    let mut last = Value::Null;
    for item in items {
        last = eval(item, data, run)?;
        if last.is_true() == wanted {
            break;
        }
    }
    Ok(last)
}

/// The result of the first condition that holds, the last clause if it has no
/// condition, or null.
///
/// `clauses` are those of an `if`, or its end from a condition on.
fn conditional<'a>(clauses: &'a [Node], data: &Value<'a>, run: &Run) -> Evaluated<'a> {
    for clause in clauses.chunks(2) {
        match clause {
            [condition, then] if holds(condition, data, run)? => {
                return again(eval(then, data, run)?, data, run);
            }
            [otherwise] => return again(eval(otherwise, data, run)?, data, run),
            _ => {}
        }
    }
    Ok(Value::Null)
}

/// An object that a branch of an `if` returns is evaluated as a rule in its turn.
///
/// It can come from the context: `{"if": [true, {"var": "x"}]}` evaluates what is in
/// `x`. So whoever provides the context provides rules, and the limits of [`Run`] hold
/// for them too.
fn again<'a>(value: Value<'a>, data: &Value<'a>, run: &Run) -> Evaluated<'a> {
    match &value {
        Value::Object(object) if object.has_one_field() => eval_value(&value, data, run),
        _ => Ok(value),
    }
}

#[cfg(test)]
mod tests;
