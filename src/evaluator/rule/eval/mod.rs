//! Evaluating a compiled rule.

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
use crate::evaluator::value::{Answer, Fail, Object, Value, steps};
pub(crate) use late::eval_value;

/// Evaluates a rule on `data`: the context, or the item that an operator looks at.
pub(crate) fn eval<'a>(node: &'a Node, data: &Value<'a>, run: &Run) -> Answer<'a> {
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

fn eval_inner<'a>(node: &'a Node, data: &Value<'a>, run: &Run) -> Answer<'a> {
    match node {
        // These have no parts: `eval` has taken them.
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
fn is_member<'a>(member: &'a Member, data: &Value<'a>, run: &Run) -> Answer<'a> {
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

/// The value of a variable that was read before, or is read now and kept.
fn kept<'a>(variable: &Variable, data: &Value<'a>) -> Option<&'a Value<'a>> {
    match (variable.slot, data) {
        (Some(slot), Value::Object(Object::Root(root))) => {
            root.kept.map(|kept| kept.get(slot, &variable.path))
        }
        _ => None,
    }
}

fn read<'a>(variable: &Variable, data: &Value<'a>, run: &Run) -> Answer<'a> {
    let value = match kept(variable, data) {
        Some(value) => value.clone(),
        None => variables::read(&variable.path, data),
    };
    if let Value::Text(Cow::Owned(copy)) = &value {
        run.charge(steps(copy.len()))?;
    }
    Ok(value)
}

/// Calls an operator, whose work is in proportion to the texts that it is given.
fn call<'a>(operator: Eager, items: &[Value<'a>], data: &Value<'a>, run: &Run) -> Answer<'a> {
    run.charge(items.iter().map(Value::steps).sum())?;
    operators::call(operator, Args::List(items), data, run)
}

/// Whether a condition holds.
fn holds<'a>(node: &'a Node, data: &Value<'a>, run: &Run) -> Result<bool, Fail> {
    match node {
        // The usual condition, of the usual form, takes a shorter way.
        Node::Compare(comparison, sides) if !sides.iter().any(Node::is_inner) => {
            run.charge(1)?;
            Ok(compare(*comparison, sides, data, run)?.unwrap_or(false))
        }
        _ => Ok(eval(node, data, run)?.is_true()),
    }
}

/// Compares two values where they stand.
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

/// The text or number that a node stands for, without a copy.
#[inline]
fn plain<'v, 'a: 'v>(node: &'a Node, data: &Value<'a>) -> Option<Plain<'v>> {
    match node {
        Node::Constant(Json::String(text)) => Some(Plain::Text(text)),
        Node::Constant(Json::Number(number)) => number.as_f64().map(Plain::Number),
        Node::Variable(variable) => kept(variable, data).and_then(Plain::of),
        _ => None,
    }
}

/// The value of a node, in `room` unless it is kept elsewhere.
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

/// Evaluates arguments onto the stack, as long as they are few.
fn with_items<'a>(
    nodes: &'a [Node],
    data: &Value<'a>,
    run: &Run,
    call: impl FnOnce(&[Value<'a>]) -> Answer<'a>,
) -> Answer<'a> {
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

#[inline(never)]
fn on_stack<'a, const N: usize>(
    nodes: &'a [Node],
    data: &Value<'a>,
    run: &Run,
    call: impl FnOnce(&[Value<'a>]) -> Answer<'a>,
) -> Answer<'a> {
    let mut items = [const { Value::Null }; N];
    for (item, node) in items.iter_mut().zip(nodes) {
        *item = eval(node, data, run)?;
    }
    call(&items[..nodes.len()])
}

/// The value of a variable whose name was computed: a name, or a list of name and default.
pub(crate) fn variable<'a>(name: &Value<'a>, data: &Value<'a>, run: &Run) -> Answer<'a> {
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

fn read_named<'a>(name: &str, data: &Value<'a>, run: &Run) -> Answer<'a> {
    let value = variables::read_named(name, data);
    run.charge(steps(name.len()) + value.steps())?;
    Ok(value)
}

/// The first item whose truth is `wanted`, else the last.
fn until<'a>(items: &'a [Node], data: &Value<'a>, run: &Run, wanted: bool) -> Answer<'a> {
    let mut last = Value::Null;
    for item in items {
        last = eval(item, data, run)?;
        if last.is_true() == wanted {
            break;
        }
    }
    Ok(last)
}

fn conditional<'a>(clauses: &'a [Node], data: &Value<'a>, run: &Run) -> Answer<'a> {
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

/// An object that a rule gives is taken for a rule in its turn.
fn again<'a>(value: Value<'a>, data: &Value<'a>, run: &Run) -> Answer<'a> {
    match &value {
        Value::Object(object) if object.has_one_field() => eval_value(&value, data, run),
        _ => Ok(value),
    }
}

#[cfg(test)]
mod tests;
