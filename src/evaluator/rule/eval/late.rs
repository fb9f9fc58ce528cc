//! Rules that are known only during an evaluation.
//!
//! There are two kinds. Both are compiled where they are met, evaluated and dropped,
//! and each of these takes steps.
//!
//! - **Values that are rules.** flagd evaluates some results again: a branch of `if`,
//!   the value of `set`, the names of `missing`. An object with one field is a rule
//!   then, and so is one in an array: see [`eval_value`].
//! - **Bodies with substituted variables.** flagd replaces variables in the JSON of a
//!   condition before it evaluates the condition: see [`substitute`].
//!
//! ```text
//! body         {"==": [{"var": "plan"}, {"var": "name"}]}
//! context      {"plan": "pro"}
//! substituted  {"==": ["pro", {"var": "name"}]}
//! ```
//!
//! A result cannot borrow from a rule that is dropped, so it is copied whole.

use serde_json::Value as Json;

use super::{eval, variable};
use crate::evaluator::{
    rule::{compile, node::Node, run::Run},
    value::{Evaluated, Fail, List, Object, Value, steps},
};

/// Evaluates a value as a rule if it is one or contains one, and otherwise returns it
/// unchanged.
pub(crate) fn eval_value<'a>(value: &Value<'a>, data: &Value<'a>, run: &Run) -> Evaluated<'a> {
    if !holds_rules(value, run)? {
        return Ok(value.clone());
    }
    eval_json(&value.to_json(), data, run)
}

/// Whether a value is an object with one field, or an array that contains one at any
/// depth of arrays. The fields of other objects are not looked at: a rule does not
/// evaluate them either.
fn holds_rules(value: &Value<'_>, run: &Run) -> Result<bool, Fail> {
    match value {
        Value::Object(object) => return Ok(object.has_one_field()),
        Value::List(list) => {
            run.charge(list.steps())?;
            for item in list.iter() {
                if holds_rules(&item, run)? {
                    return Ok(true);
                }
            }
        }
        _ => {}
    }
    Ok(false)
}

/// Compiles a rule and evaluates it on `data`.
fn eval_json<'a>(rule: &Json, data: &Value<'a>, run: &Run) -> Evaluated<'a> {
    run.charge(size(rule))?;
    let node = compile::part(rule).map_err(|_| Fail("the rule is nested too deeply"))?;
    let value = eval(&node, data, run)?.into_owned();
    run.charge(weight(&value))?;
    Ok(value)
}

/// How many steps it took to make a copy that borrows nothing: one for each value in
/// it, and those of its strings.
fn weight(value: &Value<'static>) -> usize {
    match value {
        Value::List(List::Made(items)) => items.iter().map(weight).sum::<usize>() + 1,
        Value::Object(Object::Made(fields)) => fields.values().map(weight).sum::<usize>() + 1,
        other => other.steps() + 1,
    }
}

/// How many steps it takes to compile or copy JSON, counted like [`weight`].
fn size(rule: &Json) -> usize {
    match rule {
        Json::String(text) => steps(text.len()) + 1,
        Json::Array(items) => items.iter().map(size).sum::<usize>() + 1,
        Json::Object(fields) => fields.values().map(size).sum::<usize>() + 1,
        _ => 1,
    }
}

/// Compiles a rule that [`substitute`] has made. Its nesting has to be checked again,
/// since what was substituted may be nested too.
pub(crate) fn compile_late(rule: &Json) -> Result<Node, Fail> {
    compile::part(rule).map_err(|_| Fail("the rule is nested too deeply"))
}

/// The rule with each variable replaced by its value in `data`, if it is not null.
///
/// An object with the field `var` is replaced as a whole, whatever other fields it has.
/// A variable stays if its name is empty or begins with a dot. A value is not looked
/// through again, so that the size of the outcome is bounded by that of its parts; each
/// part takes steps.
pub(crate) fn substitute(rule: &Json, data: &Value<'_>, run: &Run) -> Result<Json, Fail> {
    run.charge(1)?;
    match rule {
        Json::Array(items) => {
            let items = items.iter().map(|item| substitute(item, data, run));
            Ok(Json::Array(items.collect::<Result<_, _>>()?))
        }
        Json::Object(fields) => {
            let mut substituted = serde_json::Map::new();
            for (name, value) in fields {
                let value = if name != "var" {
                    substitute(value, data, run)?
                } else if value.as_str().is_some_and(compile::stays) {
                    value.clone()
                } else {
                    let found = variable(&computed_name(value, data, run)?, data, run)?;
                    if !found.is_null() {
                        let found = found.to_json();
                        run.charge(size(&found))?;
                        return Ok(found);
                    }
                    value.clone()
                };
                substituted.insert(name.clone(), value);
            }
            Ok(Json::Object(substituted))
        }
        scalar => {
            run.charge(size(scalar))?;
            Ok(scalar.clone())
        }
    }
}

/// The name in a `var`: evaluated if it is an array or an object.
fn computed_name<'a>(name: &'a Json, data: &Value<'a>, run: &Run) -> Evaluated<'a> {
    match name {
        Json::Array(_) | Json::Object(_) => eval_json(name, data, run),
        scalar => Ok(scalar.into()),
    }
}
