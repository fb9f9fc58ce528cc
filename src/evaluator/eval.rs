//! Evaluating a compiled rule.

use std::{borrow::Cow, cell::Cell, collections::BTreeMap};

use serde_json::Value as Json;

use super::{
    compile::{self, Body, Each, EachKind, Node, Reduce, Subject, Variable},
    fractional::Bucketing,
    operators::{Args, Comparison, Eager, Plain},
    path::{self, Path},
    value::{Answer, Fail, List, Object, Value, steps},
};

/// How many steps an evaluation may take: a rule that would run (or grow a text) without bound
/// fails, where flagd would hang or run out of memory.
const MAX_STEPS: u32 = 5_000_000;

/// How deep rules may be evaluated: a rule read from the context that reads itself fails, where
/// flagd would overflow its stack.
const MAX_DEPTH: u32 = 200;

/// What an evaluation carries along.
pub(super) struct Run {
    pub(super) bucketing: Bucketing,
    steps: Cell<u32>,
    depth: Cell<u32>,
}

impl Run {
    pub(super) fn new(bucketing: Bucketing) -> Self {
        Self { bucketing, steps: Cell::new(MAX_STEPS), depth: Cell::new(0) }
    }

    /// Takes so many steps at once.
    pub(super) fn charge(&self, steps: usize) -> Result<(), Fail> {
        let steps = u32::try_from(steps).unwrap_or(u32::MAX);
        let left = self.steps.get().checked_sub(steps).ok_or(Fail("the rule takes too long"))?;
        self.steps.set(left);
        Ok(())
    }
}

/// Evaluates a rule on `data`: the context, or the item that an operator looks at.
pub(super) fn eval<'a>(node: &'a Node, data: &Value<'a>, run: &Run) -> Answer<'a> {
    match node {
        Node::Constant(value) => Ok(value.into()),
        Node::Variable(variable) => read(variable, data, run),
        Node::Fail(reason) => Err(Fail(reason)),
        _ => {
            run.charge(1)?;
            let depth = run.depth.get();
            if depth >= MAX_DEPTH {
                return Err(Fail("the rule is nested too deeply"));
            }
            run.depth.set(depth + 1);
            let answer = eval_inner(node, data, run);
            run.depth.set(depth);
            answer
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
                    operator(Args::Single(&value), data, run)
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
        Node::Each(each) => self::each(each, data, run),
        Node::Reduce(reduce) => self::reduce(reduce, data, run),
    }
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
        None => variable.path.read(data),
    };
    if let Value::Text(Cow::Owned(copy)) = &value {
        run.charge(steps(copy.len()))?;
    }
    Ok(value)
}

/// Calls an operator, whose work is in proportion to the texts that it is given.
fn call<'a>(operator: Eager, items: &[Value<'a>], data: &Value<'a>, run: &Run) -> Answer<'a> {
    run.charge(items.iter().map(Value::steps).sum())?;
    operator(Args::List(items), data, run)
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
pub(super) fn variable<'a>(name: &Value<'a>, data: &Value<'a>, run: &Run) -> Answer<'a> {
    let no_name = Fail("a variable's name is no text");
    let or = |value: Value<'a>, default| if value.is_null() { default } else { value };
    match name {
        Value::Null if matches!(data, Value::List(_) | Value::Object(_)) => Ok(Value::Null),
        Value::Null => Ok(data.clone()),
        Value::Text(name) => read_named(name, data, run),
        Value::Number(_) | Value::IntegerZero => Ok(path::read(&name.to_text()?, data)),
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
    let value = path::read(name, data);
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

/// Evaluates a value that was computed or read as the rule that it may hold.
pub(super) fn eval_value<'a>(value: &Value<'a>, data: &Value<'a>, run: &Run) -> Answer<'a> {
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
        _ => Err(Fail("a list was expected")),
    }
}

fn each<'a>(each: &'a Each, data: &Value<'a>, run: &Run) -> Answer<'a> {
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
            variables.iter().all(|path| path.read(outer).is_null())
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
        let scalars =
            |variables: &Vec<Path>| variables.iter().all(|path| path::is_scalar(&path.read(item)));
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
            return Err(Fail("a condition is no rule"));
        }
        Ok(())
    }
}

fn compile_late(rule: &Json) -> Result<Node, Fail> {
    compile::part(rule).map_err(|_| Fail("the rule is nested too deeply"))
}

/// The rule with the variables that `data` has in their places.
fn substitute(rule: &Json, data: &Value<'_>, run: &Run) -> Result<Json, Fail> {
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

/// `reduce`: the accumulator keeps the type of its start.
fn reduce<'a>(reduce: &'a Reduce, data: &Value<'a>, run: &Run) -> Answer<'a> {
    let start = match eval(&reduce.start, data, run)? {
        Value::Null | Value::List(_) | Value::Object(_) => {
            return Err(Fail("a start that is neither boolean, number nor text"));
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
        let body = reduce.body.as_ref().ok_or(Fail("a body is no rule"))?;
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

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::super::{
        ErrorCode, FlagSet,
        operators::testing::{assert_all, on},
    };

    #[test]
    fn conditions() {
        assert_all([
            (json!({"if": []}), "null"),
            (json!({"if": [1]}), "1"),
            (json!({"if": [false, 1]}), "null"),
            (json!({"if": [false, 1, "0", 2, 3]}), "2"),
            (json!({"?:": [0, 1, 2]}), "2"),
            (json!({"if": true}), "fails"),
            (json!({"and": []}), "null"),
            (json!({"and": [1, "", 2]}), r#""""#),
            (json!({"or": [0, "a", 2]}), r#""a""#),
            (json!({"or": [0, null]}), "null"),
            (json!({"and": null}), "fails"),
        ]);
    }

    #[test]
    fn an_object_that_a_branch_gives_is_a_rule() {
        let context =
            json!({"rule": {"var": "x"}, "two": {"a": 1, "b": 2}, "data": {"a": 1}, "x": 5});
        for (rule, answer) in [
            (json!({"if": [true, {"var": "rule"}]}), "5"),
            (json!({"if": [true, {"var": "two"}]}), r#"{"a":1,"b":2}"#),
            (json!({"if": [true, {"var": "data"}]}), "fails"),
            (json!({"or": [{"var": "rule"}]}), r#"{"var":"x"}"#),
        ] {
            assert_eq!(on(&rule, &context), answer, "{rule}");
        }
    }

    #[test]
    fn variables() {
        let context = json!({"s": "x", "n": null, "l": [1, 2], "x": {"y": 1}});
        for (rule, answer) in [
            (json!({"var": "x.y"}), "1"),
            (json!({"var": ["n", 7]}), "7"),
            (json!({"var": ["n", 7, 8]}), "null"),
            (json!({"var": ["s", {"nope": 1}]}), "fails"),
            (json!({"var": {"var": "s"}}), r#"{"y":1}"#),
            (json!({"var": [1]}), "fails"),
            (json!({"var": [[]]}), "fails"),
            (json!({"var": true}), "fails"),
            (json!({"var": null}), "null"),
            (json!({"var": "$flagd.flagKey"}), r#""flag""#),
            (json!({"var": "$flagd.timestamp"}), "7"),
        ] {
            assert_eq!(on(&rule, &context), answer, "{rule}");
        }
        let all = r#"{"$flagd":{"flagKey":"flag","timestamp":7},"a":1}"#;
        assert_eq!(on(&json!({"var": ""}), &json!({"a": 1, "$flagd": 2})), all);
        assert_eq!(on(&json!({"var": []}), &json!({"a": 1})), all);
    }

    #[test]
    fn lists_are_gone_through() {
        let double = json!({"*": [{"var": ""}, 2]});
        assert_all([
            (json!({"map": [[1, 2], double]}), "[2,4]"),
            (json!({"map": [[{"nope": 1}], 1]}), "[1]"),
            (json!({"map": [null, 1]}), "[]"),
            (json!({"map": [[1]]}), "[]"),
            (json!({"map": 1}), "fails"),
            (json!({"map": [{"cat": "a"}, 1]}), "fails"),
            (json!({"filter": [[0, 1, 2], {"var": ""}]}), "[1,2]"),
            (json!({"all": [[], {"==": [1, 1]}]}), "false"),
            (json!({"all": [[1, 2], {">": [{"var": ""}, 0]}]}), "true"),
            (json!({"all": [[1], true]}), "fails"),
            (json!({"all": [[{"a": true}], {"var": "a"}]}), "fails"),
            (json!({"none": [[], 1]}), "true"),
            (json!({"none": [[1, 2], {">": [{"var": ""}, 2]}]}), "true"),
            (json!({"some": [[1, 3], {">": [{"var": ""}, 2]}]}), "true"),
            (json!({"some": ["abc", 1]}), "false"),
            (json!({"some": []}), "fails"),
        ]);
    }

    #[test]
    fn an_outer_variable_hides_that_of_the_item() {
        let context = json!({"a": 1, "rule": {"var": "b"}});
        let items = json!([{"a": 2, "b": 3}]);
        let a_is_2 = json!({"==": [{"var": "a"}, 2]});
        for (rule, answer) in [
            (json!({"filter": [items, a_is_2]}), "[]"),
            (json!({"some": [items, a_is_2]}), "false"),
            (json!({"none": [items, a_is_2]}), "true"),
            (json!({"all": [items, a_is_2]}), "true"),
            (json!({"map": [items, a_is_2]}), "[true]"),
            (json!({"filter": [items, {"==": [{"var": ".a"}, 2]}]}), r#"[{"a":2,"b":3}]"#),
            (json!({"filter": [items, {"==": [{"var": "rule"}, 3]}]}), r#"[{"a":2,"b":3}]"#),
        ] {
            assert_eq!(on(&rule, &context), answer, "{rule}");
        }
    }

    #[test]
    fn infinity_in_a_rule_that_is_not_reached_does_no_harm() {
        let infinite = json!({"map": [[1], {"map": [[1], {"/": [1, 0]}]}]});
        let body = json!({"all": [{"contains_all": -1}, {"in": [{"var": "m"}, []]}]});
        assert_all([
            (json!({"all": [infinite, body]}), "false"),
            (json!({"all": [infinite, {">": [{"var": "m"}, 1e300]}]}), "true"),
        ]);
    }

    #[test]
    fn accumulation() {
        let sum = json!({"+": [{"var": "accumulator"}, {"var": "current"}]});
        let join = json!({"cat": [{"var": "accumulator"}, {"var": "current"}]});
        assert_all([
            (json!({"reduce": [[1, 2, 3], sum, 0]}), "6"),
            (json!({"reduce": [[1, 2, 3], sum]}), "0"),
            (json!({"reduce": [[1, null, 3], sum, "0"]}), r#""4""#),
            (json!({"reduce": [[1, 2], join, 0]}), "12"),
            (json!({"reduce": [[1, 2], sum, true]}), "fails"),
            (json!({"reduce": [[1, 2], {"var": "valueType"}, true]}), "true"),
            (json!({"reduce": [[1], sum, null]}), "fails"),
            (json!({"reduce": [[1], sum, []]}), "fails"),
            (json!({"reduce": ["a", sum, 7]}), "0"),
            (json!({"reduce": [[], 1, 7]}), "7"),
            (json!({"reduce": [[1], 1, 7]}), "fails"),
        ]);
    }

    #[test]
    fn rules_without_end_fail() {
        let context = json!({"r": {"if": [true, {"var": "r"}]},
            "s": {"if": [{"if": [true, {"var": "s"}]}, {"if": [true, {"var": "s"}]}]}});
        assert_eq!(on(&json!({"if": [true, {"var": "r"}]}), &context), "fails");
        assert_eq!(on(&json!({"if": [true, {"var": "s"}]}), &context), "fails");
    }

    #[test]
    fn work_without_bound_fails() {
        let list: Vec<_> = (0..60).collect();
        let twice = json!({"cat": [{"var": "accumulator"}, {"var": "accumulator"}]});
        assert_eq!(on(&json!({"reduce": [list, twice, "x"]}), &json!({})), "fails");

        let long = json!({"l": (0..300).collect::<Vec<_>>()});
        let inner = json!({"map": [{"var": ""}, 1]});
        let mut rule = json!({"+": [1, 1]});
        for _ in 0..4 {
            rule = json!({"map": [(0..300).collect::<Vec<_>>(), rule]});
        }
        assert_eq!(on(&rule, &long), "fails");
        assert_eq!(on(&inner, &json!({})), "fails");
    }

    #[test]
    fn work_on_long_texts_without_bound_fails() {
        let text = json!({"var": "text"});
        let filter = |condition: Json| json!({"filter": [{"var": "items"}, condition]});
        let reduce = |body: Json| json!({"reduce": [{"var": "items"}, body, text]});
        let accumulator = json!({"var": "accumulator"});
        let is = |other: &str| json!({"==": [accumulator, other]});
        let switch = json!({"if": [is("a"), 1, is("b"), 1, is("c"), 1, is("d"), 1, accumulator]});
        let ranges = json!(vec![[0, 1]; 2000]);
        let cases = [
            filter(json!({"==": [{"var": ""}, text]})),
            filter(json!({"<=": [text, {"var": ""}, 1]})),
            filter(json!({"===": [text, text]})),
            filter(json!({"starts_with": [text, text]})),
            filter(json!({"ends_with": [text, text, text]})),
            filter(json!({"in": ["x", text]})),
            filter(json!({"in": [{"var": ""}, [text]]})),
            filter(json!({"sem_ver": [text, "=", text]})),
            filter(json!({"fractional": [text, ["a", 1]]})),
            filter(json!({"+": [text, 1]})),
            filter(json!({"!": [{"+": text}]})),
            filter(json!({"missing": [text]})),
            reduce(accumulator.clone()),
            reduce(json!({"if": [{"<": [accumulator, 1]}, "a", accumulator]})),
            reduce(switch),
            json!({"in": [text, ranges]}),
            json!({"some": [{"var": "items"}, {"all": [[1], {"==": [{"var": ""}, text]}]}]}),
        ];
        let context = |length| json!({"text": "1".repeat(length), "items": vec![7; 2000]});
        for rule in cases {
            assert_eq!(on(&rule, &context(100_000)), "fails", "{rule}");
            assert_ne!(on(&rule, &context(50)), "fails", "{rule}");
        }
        let fractional = json!({"map": [{"var": "items"}, {"fractional": [["a", 1]]}]});
        let key = |length| json!({"targetingKey": "1".repeat(length)});
        let items = |length| json!({"items": vec![key(length); 200]});
        assert_eq!(on(&fractional, &items(500_000)), "fails");
        assert_ne!(on(&fractional, &items(50)), "fails");
    }

    #[test]
    fn deep_rules_are_refused_and_deeper_ones_by_reference_too() {
        let nested = |depth: usize, inner: &str| {
            format!("{}{inner}{}", r#"{"!":["#.repeat(depth), "]}".repeat(depth))
        };
        let definition = |rule: &str, shared: &str| {
            let flag = format!(
                r#"{{"f": {{"variants": {{"true": 1, "false": 0}}, "targeting": {rule}}}}}"#
            );
            FlagSet::parse(&format!(r#"{{"flags": {flag}, "$evaluators": {{"r": {shared}}}}}"#))
        };
        let set = definition(&nested(50, "100"), "100").unwrap();
        assert_eq!(set.evaluate("f", &serde_json::Map::new()).integer(), Ok(Some(1)));
        assert!(definition(&nested(5000, "1"), "100").is_err());
        let error = definition(&nested(55, r#"{"$ref": "r"}"#), &nested(55, "1")).unwrap_err();
        assert!(
            error.to_string().contains("column 68): `targeting` is nested too deeply"),
            "{error}"
        );
        let set = definition(&nested(35, r#"{"$ref": "r"}"#), &nested(35, "nope")).err();
        assert!(set.is_some());
        let set = definition(&nested(35, r#"{"$ref": "r"}"#), &nested(35, "100")).unwrap();
        assert_eq!(set.evaluate("f", &serde_json::Map::new()).error, None::<ErrorCode>);
    }
}
