//! What a part of a rule says, read from its tree.

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

/// The only name and value of an object, which then is an operation or a reference.
pub(crate) fn operation(tree: &Tree) -> Option<&Entry> {
    match &tree.kind {
        // Of two with one name the later counts.
        Kind::Object(entries) => {
            let last = entries.last()?;
            entries.iter().all(|entry| entry.name == last.name).then_some(last)
        }
        _ => None,
    }
}

/// The value, if nothing in it is evaluated.
pub(crate) fn literal(tree: &Tree) -> Option<Json> {
    match &tree.kind {
        Kind::Scalar(scalar) => Some(scalar.clone()),
        Kind::List(items) => items.iter().map(|item| literal(item)).collect(),
        Kind::Object(_) => None,
    }
}

/// The value, if it is the same in every context: a literal, or an operation on literals.
pub(crate) fn fixed(tree: &Tree) -> Option<Json> {
    literal(tree).or_else(|| {
        let operation = operation(tree)?;
        let reads = operators::find(&operation.name).is_none_or(Operator::reads);
        let fixed = !reads && literal(&operation.value).is_some();
        fixed.then(|| evaluated(&operation.name, &operation.value).ok())?
    })
}

/// What an operation gives that reads nothing of its context. Infinity and NaN are objects.
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
