//! Rules with the results that flagd returns, and the limits of an evaluation.

use serde_json::{Value as Json, json};

use crate::evaluator::{
    flag_set::FlagSet,
    outcome::ErrorCode,
    rule::operators::testing::{assert_all, on},
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
    let context = json!({"rule": {"var": "x"}, "two": {"a": 1, "b": 2}, "data": {"a": 1}, "x": 5});
    for (rule, expected) in [
        (json!({"if": [true, {"var": "rule"}]}), "5"),
        (json!({"if": [true, {"var": "two"}]}), r#"{"a":1,"b":2}"#),
        (json!({"if": [true, {"var": "data"}]}), "fails"),
        (json!({"or": [{"var": "rule"}]}), r#"{"var":"x"}"#),
    ] {
        assert_eq!(on(&rule, &context), expected, "{rule}");
    }
}

#[test]
fn variables() {
    let context = json!({"s": "x", "n": null, "l": [1, 2], "x": {"y": 1}});
    for (rule, expected) in [
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
        assert_eq!(on(&rule, &context), expected, "{rule}");
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
    for (rule, expected) in [
        (json!({"filter": [items, a_is_2]}), "[]"),
        (json!({"some": [items, a_is_2]}), "false"),
        (json!({"none": [items, a_is_2]}), "true"),
        (json!({"all": [items, a_is_2]}), "true"),
        (json!({"map": [items, a_is_2]}), "[true]"),
        (json!({"filter": [items, {"==": [{"var": ".a"}, 2]}]}), r#"[{"a":2,"b":3}]"#),
        (json!({"filter": [items, {"==": [{"var": "rule"}, 3]}]}), r#"[{"a":2,"b":3}]"#),
    ] {
        assert_eq!(on(&rule, &context), expected, "{rule}");
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
        let flag =
            format!(r#"{{"f": {{"variants": {{"true": 1, "false": 0}}, "targeting": {rule}}}}}"#);
        FlagSet::parse(&format!(r#"{{"flags": {flag}, "$evaluators": {{"r": {shared}}}}}"#))
    };
    let set = definition(&nested(50, "100"), "100").unwrap();
    assert_eq!(set.evaluate("f", &serde_json::Map::new()).integer(), Ok(Some(1)));
    assert!(definition(&nested(5000, "1"), "100").is_err());
    let error = definition(&nested(55, r#"{"$ref": "r"}"#), &nested(55, "1")).unwrap_err();
    assert!(error.to_string().contains("column 68): `targeting` is nested too deeply"), "{error}");
    let set = definition(&nested(35, r#"{"$ref": "r"}"#), &nested(35, "nope")).err();
    assert!(set.is_some());
    let set = definition(&nested(35, r#"{"$ref": "r"}"#), &nested(35, "100")).unwrap();
    assert_eq!(set.evaluate("f", &serde_json::Map::new()).error, None::<ErrorCode>);
}
