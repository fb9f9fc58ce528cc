//! Rules that are known only while a rule is evaluated: they were computed, or read from the context.

use serde_json::Value as Json;

use super::{eval, variable};
use crate::evaluator::{
    rule::{compile, node::Node, run::Run},
    value::{Answer, Fail, List, Object, Value, steps},
};

/// Evaluates a value that was computed or read as the rule that it may hold.
pub(crate) fn eval_value<'a>(value: &Value<'a>, data: &Value<'a>, run: &Run) -> Answer<'a> {
    if !holds_rules(value, run)? {
        return Ok(value.clone());
    }
    eval_json(&value.to_json(), data, run)
}

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

/// Compiles and evaluates a rule that is known only now.
fn eval_json<'a>(rule: &Json, data: &Value<'a>, run: &Run) -> Answer<'a> {
    run.charge(size(rule))?;
    let node = compile::part(rule).map_err(|_| Fail("the rule is nested too deeply"))?;
    let value = eval(&node, data, run)?.into_owned();
    run.charge(weight(&value))?;
    Ok(value)
}

/// How many steps a copy takes that borrows nothing.
fn weight(value: &Value<'static>) -> usize {
    match value {
        Value::List(List::Made(items)) => items.iter().map(weight).sum::<usize>() + 1,
        Value::Object(Object::Made(fields)) => fields.values().map(weight).sum::<usize>() + 1,
        other => other.steps() + 1,
    }
}

fn size(rule: &Json) -> usize {
    match rule {
        Json::String(text) => steps(text.len()) + 1,
        Json::Array(items) => items.iter().map(size).sum::<usize>() + 1,
        Json::Object(fields) => fields.values().map(size).sum::<usize>() + 1,
        _ => 1,
    }
}

pub(crate) fn compile_late(rule: &Json) -> Result<Node, Fail> {
    compile::part(rule).map_err(|_| Fail("the rule is nested too deeply"))
}

/// The rule with the variables that `data` has in their places.
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

fn computed_name<'a>(name: &'a Json, data: &Value<'a>, run: &Run) -> Answer<'a> {
    match name {
        Json::Array(_) | Json::Object(_) => eval_json(name, data, run),
        scalar => Ok(scalar.into()),
    }
}
