//! What a part of a rule says, read from its tree.
//!
//! The linter must know when an object is an operation and when it is a value,
//! and what the evaluator makes of an expression without variables. The first is
//! decided here as the compiler decides it. For the second the evaluator itself
//! is run, so that a warning about a constant cannot contradict it.

use serde_json::{Map, Value as Json};

use super::operators::{self, Operator};
use crate::{
    bucketing::Bucketing,
    evaluator::{
        json_text,
        load::tree::{Entry, Kind, Tree},
        rule::{compile, eval, run::Run},
        value::{Fail, Object, Root, Value},
    },
};

/// The only name of an object and its value: an operation, or a reference.
///
/// `None` for objects with no name or with several, which are values, and for
/// everything that is not an object.
pub(crate) fn operation(tree: &Tree) -> Option<&Entry> {
    match &tree.kind {
        // Of two entries with the same name the later one counts.
        Kind::Object(entries) => {
            let last = entries.last()?;
            entries.iter().all(|entry| entry.name == last.name).then_some(last)
        }
        _ => None,
    }
}

/// The value, if nothing in it is evaluated: a scalar, or an array without
/// objects.
pub(crate) fn literal(tree: &Tree) -> Option<Json> {
    match &tree.kind {
        Kind::Scalar(scalar) => Some(scalar.clone()),
        Kind::List(items) => items.iter().map(|item| literal(item)).collect(),
        Kind::Object(_) => None,
    }
}

/// The value, if it is the same in every context: a literal, or one operation on
/// literals.
///
/// `None` also if the operation fails.
pub(crate) fn fixed(tree: &Tree) -> Option<Json> {
    literal(tree).or_else(|| {
        let operation = operation(tree)?;
        let reads = operators::find(&operation.name).is_none_or(Operator::reads);
        let fixed = !reads && literal(&operation.value).is_some();
        fixed.then(|| evaluated(&operation.name, &operation.value).ok())?
    })
}

/// The result of an operation that does not read its context. Infinity and NaN,
/// which JSON cannot represent, are returned as the rule that results in them,
/// and so as objects.
///
/// # Errors
///
/// When the operation fails, with the evaluator's reason.
pub(crate) fn evaluated(operator: &str, arguments: &Tree) -> Result<Json, Fail> {
    let mut json = String::from("{");
    json_text::write_text(operator, &mut json);
    json.push(':');
    arguments.write_json(&mut json);
    json.push('}');
    let json = serde_json::from_str(&json).map_err(|_| Fail("it cannot be read"))?;
    let node = compile::part(&json).map_err(|_| Fail("the rule is nested too deeply"))?;
    let root = Root { context: &Map::new(), flag_key: "", timestamp: Some(0), kept: None };
    let data = Value::Object(Object::Root(&root));
    Ok(eval::eval(&node, &data, &Run::new(Bucketing::default()))?.to_json())
}
