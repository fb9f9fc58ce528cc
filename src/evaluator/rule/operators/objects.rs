//! Operators on objects.

use crate::evaluator::{
    rule::{args::Args, eval, run::Run},
    value::{Evaluated, Fail, Value},
};

/// `set`: a copy of an object with one field added or replaced:
/// `{"set": [{"var": "user"}, "plan", "pro"]}`.
///
/// The value is evaluated once more if it contains a rule, as in flagd. With fewer
/// than three arguments, or if the first is not an object, the result is the first
/// argument. Fails if the name is not a string, or the arguments are not an array.
pub(crate) fn set<'a>(args: Args<'_, 'a>, data: &Value<'a>, run: &Run) -> Evaluated<'a> {
    let items = args.list()?;
    let [object, name, value, ..] = items else {
        return Ok(items.first().cloned().unwrap_or(Value::Null));
    };
    let Some(fields) = object.as_object() else { return Ok(object.clone()) };
    let name = name.as_text().ok_or(Fail("the name of a field should be a string"))?;
    let mut fields = fields.fields();
    run.charge(fields.len())?;
    fields.insert(name.to_owned(), eval::eval_value(value, data, run)?);
    Ok(fields.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::evaluator::rule::operators::testing::{assert_all, on};

    #[test]
    fn setting_a_field() {
        assert_all([
            (json!({"set": [{}, "b", 2]}), r#"{"b":2}"#),
            (json!({"set": [1, "b", 2]}), "1"),
            (json!({"set": [{}, 1, 2]}), "fails"),
            (json!({"set": [{}, "b"]}), "{}"),
            (json!({"set": []}), "null"),
            (json!({"set": 1}), "fails"),
        ]);
        let context = json!({"o": {"a": 1, "b": 1}, "rule": {"var": "o.a"}});
        let rule = json!({"set": [{"var": "o"}, "b", {"var": "rule"}]});
        assert_eq!(on(&rule, &context), r#"{"a":1,"b":1}"#);
    }
}
