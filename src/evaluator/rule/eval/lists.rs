//! The operators that iterate over an array with a rule: `filter`, `map`, `all`,
//! `none`, `some` and `reduce`.
//!
//! The rule is evaluated on each item in place of the context: `{"var": ""}` is the
//! item, `{"var": "a"}` its field `a`. For `reduce`, it is evaluated on an object with
//! the fields `accumulator`, `current` and `valueType`.
//!
//! How far the rule sees the outer context differs, because flagd substitutes
//! variables in the rule before it evaluates it:
//!
//! | Operator | Substituted before the first item | Substituted for each item |
//! |---|---|---|
//! | `map`, `reduce` | nothing | nothing |
//! | `filter`, `none` | variables of the outer context | nothing |
//! | `all` | nothing | variables of the item |
//! | `some` | variables of the outer context | variables of the item |

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
    value::{Evaluated, Fail, List, Value, path::Path},
};

/// The array that an operator iterates over, or what is in its place.
fn subject<'a>(subject: &'a Subject, data: &Value<'a>, run: &Run) -> Evaluated<'a> {
    match subject {
        Subject::Nothing => Ok(Value::Null),
        Subject::Literal(items) => Ok(Value::List(List::Json(items))),
        Subject::Rule(rule) => eval(rule, data, run),
    }
}

/// The array, or a failure if it is anything else.
fn items(subject: Value<'_>) -> Result<List<'_>, Fail> {
    match subject {
        Value::List(list) => Ok(list),
        _ => Err(Fail("expected an array")),
    }
}

/// Evaluates `filter`, `map`, `all`, `none` or `some`.
///
/// In place of the array, null is an empty one for `filter` and `map`. For the
/// others, anything that is false is an empty array, of which `none` is true and
/// `all` and `some` are false. Anything else that is not an array fails.
pub(crate) fn each<'a>(each: &'a Each, data: &Value<'a>, run: &Run) -> Evaluated<'a> {
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

/// Whether a condition holds for every item, up to the first for which it does not.
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

/// The condition of an operator that iterates over an array.
///
/// Because of the substitution, a variable of the outer context hides the item's, and
/// a value that looks like a rule is one. Substituting and compiling for each item is
/// slow, and rarely makes a difference. So the compiled rule is evaluated as it is
///
/// - if nothing is substituted from the outer context, and
/// - for `all` and `some`, if substituting is the same as reading
///   ([`Body::transparent`]) and the item's values of the variables are scalars.
struct Test<'a> {
    /// The condition as it is written.
    body: &'a Body,
    /// The condition with variables of the outer context substituted, as JSON and
    /// compiled, if the outer context has any of them.
    rewritten: Option<(Json, Node)>,
    /// Whether the condition must be an object; for `filter` it may be any value.
    strict: bool,
}

impl<'a> Test<'a> {
    /// Prepares a condition before the first item. `outer` is the context from which
    /// variables are substituted; with `None`, none are.
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

    /// The condition as JSON, after the substitution from the outer context.
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

    /// The same, with the item's own variables substituted in the condition.
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

    /// Fails if the condition is not a rule and must be one.
    fn check(&self, rule: &Json) -> Result<(), Fail> {
        if self.strict && !rule.is_object() {
            return Err(Fail("a condition should be a rule"));
        }
        Ok(())
    }
}

/// Evaluates `reduce`. After each item, the accumulator is converted to the type that
/// it had at the start.
///
/// Items that are null are skipped. The result is 0 if there is null in place of the
/// array. It fails if the accumulator does not start as a boolean, a number or a string,
/// or cannot be converted.
pub(crate) fn reduce<'a>(reduce: &'a Reduce, data: &Value<'a>, run: &Run) -> Evaluated<'a> {
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
