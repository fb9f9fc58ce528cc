//! What a part of a rule says, read from its tree.

use serde_json::{Map, Value as Json};

use crate::{
    bucketing::Bucketing,
    evaluator::{
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

/// What a rule gives that reads nothing of its context.
pub(crate) fn evaluated(rule: &Tree) -> Result<Json, Fail> {
    let mut json = String::new();
    rule.write_json(&mut json);
    let json = serde_json::from_str(&json).map_err(|_| Fail("it cannot be read"))?;
    let node = compile::part(&json).map_err(|_| Fail("the rule is nested too deeply"))?;
    let root = Root { context: &Map::new(), flag_key: "", timestamp: Some(0), kept: None };
    let data = Value::Object(Object::Root(&root));
    Ok(eval::eval(&node, &data, &Run::new(Bucketing::default()))?.to_json())
}
