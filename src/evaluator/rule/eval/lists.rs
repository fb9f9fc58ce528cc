//! The operators that go through a list with a rule.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::{
    eval,
    late::{compile_late, substitute},
};
use crate::evaluator::{
    rule::{
        node::{Body, Each, EachKind, Node, Reduce, Subject},
        run::Run,
        variable,
    },
    value::{Answer, Fail, List, Value, path::Path},
};

/// The list that an operator goes through, or what is in its place.
fn subject<'a>(subject: &'a Subject, data: &Value<'a>, run: &Run) -> Answer<'a> {
    match subject {
        Subject::Nothing => Ok(Value::Null),
        Subject::Literal(items) => Ok(Value::List(List::Json(items))),
        Subject::Rule(rule) => eval(rule, data, run),
    }
}

fn items(subject: Value<'_>) -> Result<List<'_>, Fail> {
    match subject {
        Value::List(list) => Ok(list),
        _ => Err(Fail("expected an array")),
    }
}

pub(crate) fn each<'a>(each: &'a Each, data: &Value<'a>, run: &Run) -> Answer<'a> {
    let subject = subject(&each.subject, data, run)?;
    let collects = matches!(each.kind, EachKind::Filter | EachKind::Map);
    if collects && subject.is_null() {
        return Ok(Vec::new().into());
    }
    if !collects && !subject.is_true() {
        return Ok(Value::Bool(each.kind == EachKind::None));
    }
    let list = items(subject)?;
    run.charge(list.steps())?;
    let body = each.body.as_ref().ok_or(Fail("an argument is missing"))?;
    match each.kind {
        EachKind::Map => {
            let items: Result<Vec<_>, _> =
                list.iter().map(|item| eval(&body.node, &item, run)).collect();
            Ok(items?.into())
        }
        EachKind::Filter => {
            let test = Test::new(body, Some(data), false, run)?;
            let mut kept = Vec::new();
            for item in list.iter() {
                if test.holds(&item, run)? {
                    kept.push(item);
                }
            }
            Ok(kept.into())
        }
        EachKind::All => {
            let test = Test::new(body, None, true, run)?;
            let holds = all(&list, |item| test.holds_within(item, run))?;
            Ok(Value::Bool(holds))
        }
        EachKind::None => {
            let test = Test::new(body, Some(data), true, run)?;
            Ok(Value::Bool(all(&list, |item| Ok(!test.holds(item, run)?))?))
        }
        EachKind::Some => {
            let test = Test::new(body, Some(data), true, run)?;
            Ok(Value::Bool(!all(&list, |item| Ok(!test.holds_within(item, run)?))?))
        }
    }
}

fn all<'a>(
    list: &List<'a>,
    mut holds: impl FnMut(&Value<'a>) -> Result<bool, Fail>,
) -> Result<bool, Fail> {
    for item in list.iter() {
        if !holds(&item)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The condition of an operator that goes through a list.
///
/// flagd puts the variables that it finds in the outer context (for `all` and `some`: in the item)
/// into the rule before it evaluates the rule on the item, so that an outer variable hides the
/// item's, and a value that looks like a rule is one. Where that cannot change the answer, the
/// compiled rule is evaluated as it is.
struct Test<'a> {
    body: &'a Body,
    /// The rule with the variables of the outer context in it, where there are any.
    rewritten: Option<(Json, Node)>,
    /// Whether the body must be a rule.
    strict: bool,
}

impl<'a> Test<'a> {
    fn new(
        body: &'a Body,
        outer: Option<&Value<'a>>,
        strict: bool,
        run: &Run,
    ) -> Result<Self, Fail> {
        let untouched = |outer: &Value<'a>, variables: &Vec<Path>| {
            variables.iter().all(|path| variable::read(path, outer).is_null())
        };
        let rewritten = match (outer, &body.variables) {
            (None, _) => None,
            (Some(outer), Some(variables)) if untouched(outer, variables) => None,
            (Some(outer), _) => {
                let json = substitute(&body.json, outer, run)?;
                let node = compile_late(&json)?;
                Some((json, node))
            }
        };
        Ok(Self { body, rewritten, strict })
    }

    fn json(&self) -> &Json {
        self.rewritten.as_ref().map_or(&self.body.json, |(json, _)| json)
    }

    /// Whether the condition holds for an item.
    fn holds(&self, item: &Value<'a>, run: &Run) -> Result<bool, Fail> {
        self.check(self.json())?;
        match &self.rewritten {
            None => Ok(eval(&self.body.node, item, run)?.is_true()),
            Some((_, node)) => Ok(eval(node, item, run)?.is_true()),
        }
    }

    /// The same, with the item's own variables put into the rule.
    fn holds_within(&self, item: &Value<'a>, run: &Run) -> Result<bool, Fail> {
        let scalars = |variables: &Vec<Path>| {
            variables.iter().all(|path| variable::is_scalar(&variable::read(path, item)))
        };
        let direct = self.rewritten.is_none() && self.body.transparent;
        if direct && self.body.variables.as_ref().is_some_and(scalars) {
            return self.holds(item, run);
        }
        let json = substitute(self.json(), item, run)?;
        self.check(&json)?;
        let node = compile_late(&json)?;
        Ok(eval(&node, item, run)?.is_true())
    }

    fn check(&self, rule: &Json) -> Result<(), Fail> {
        if self.strict && !rule.is_object() {
            return Err(Fail("a condition should be a rule"));
        }
        Ok(())
    }
}

/// `reduce`: the accumulator keeps the type of its start.
pub(crate) fn reduce<'a>(reduce: &'a Reduce, data: &Value<'a>, run: &Run) -> Answer<'a> {
    let start = match eval(&reduce.start, data, run)? {
        Value::Null | Value::List(_) | Value::Object(_) => {
            return Err(Fail("the initial value is not a boolean, a number or a string"));
        }
        Value::IntegerZero => Value::Number(0.0),
        start => start,
    };
    let kind = match &start {
        Value::Bool(_) => "bool",
        Value::Text(_) => "string",
        _ => "number",
    };
    let subject = subject(&reduce.subject, data, run)?;
    if subject.is_null() {
        return Ok(Value::Number(0.0));
    }
    let mut accumulator = start;
    for item in items(subject)?.iter().filter(|item| !item.is_null()) {
        run.charge(1)?;
        let body = reduce.body.as_ref().ok_or(Fail("the second argument should be a rule"))?;
        let scope = Value::from(BTreeMap::from([
            ("accumulator".to_owned(), accumulator),
            ("current".to_owned(), item),
            ("valueType".to_owned(), Value::Text(kind.into())),
        ]));
        let value = eval(body, &scope, run)?;
        run.charge(value.steps())?;
        accumulator = match kind {
            "bool" => Value::Bool(value.is_true()),
            "string" => Value::Text(value.to_text()?),
            _ => Value::Number(value.to_number()?),
        };
    }
    Ok(accumulator)
}
