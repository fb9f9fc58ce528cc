//! Warnings of rules, each proved by evaluation in many contexts.

use serde_json::{Value as Json, json};

use crate::evaluator::{
    flag_set::FlagSet,
    lint::{lint, operators},
    outcome::Reason,
};

/// A rule in a flag with the variants `a`, `b`, `true`, `false` and the default variant `d`.
fn definition(rule: &str) -> String {
    let variants = r#"{"a": 1, "b": 2, "true": 3, "false": 4, "d": 5}"#;
    let flag = format!(
        r#"{{"state":"ENABLED","variants":{variants},"defaultVariant":"d","targeting":{rule}}}"#
    );
    let evaluators = r#"{"e":{"==":[{"var":"x"},1]},"two":{"if":[{"var":"x"},"a","zz"]},
        "on":"on"}"#;
    format!(r#"{{"$evaluators":{evaluators},"flags":{{"f":{flag}}}}}"#)
}

/// The messages for a rule.
fn of_rule(rule: &str) -> Vec<String> {
    let warnings = lint(&definition(rule)).unwrap().into_iter();
    warnings.filter(|warning| warning.flag.is_some()).map(|warning| warning.message).collect()
}

fn contexts() -> Vec<Json> {
    let values = [
        json!(null),
        json!(true),
        json!(false),
        json!(0),
        json!(1),
        json!(2.5),
        json!("a"),
        json!("1"),
        json!(""),
        json!("1.2.3"),
        json!(["a", 1]),
        json!([]),
        json!({"y": 1}),
    ];
    let with = |x: &Json| {
        [json!({"x": x}), json!({"x": x, "targetingKey": "user-1", "y": x, "current": x})]
    };
    let users = (0..40).map(|n| json!({"x": format!("u{n}"), "targetingKey": format!("user-{n}")}));
    values.iter().flat_map(with).chain([json!({})]).chain(users).collect()
}

/// What a rule gives in each of many contexts: a variant, `null`, or the code of an error.
fn outcomes(rule: &str) -> Vec<String> {
    let flags = FlagSet::parse(&definition(rule)).unwrap();
    let contexts = contexts().into_iter();
    let outcomes = contexts.map(|context| {
        let outcome = flags.evaluate("f", context.as_object().unwrap());
        match (outcome.error, outcome.reason) {
            (Some(error), _) => error.as_str().to_owned(),
            (None, Reason::Default) => "null".to_owned(),
            (None, _) => outcome.variant.unwrap().to_owned(),
        }
    });
    let mut outcomes: Vec<_> = outcomes.collect();
    outcomes.sort();
    outcomes.dedup();
    outcomes
}

/// Asserts for each rule the warnings, and that they are true: the outcomes are all that there are.
#[track_caller]
fn assert_true(cases: &[(&str, &[&str], &[&str])]) {
    for (rule, messages, expected) in cases {
        let warned = of_rule(rule);
        assert_eq!(warned.len(), messages.len(), "{rule}: {warned:?}");
        for (warning, message) in warned.iter().zip(*messages) {
            assert!(warning.contains(message), "{rule}: {warning}");
        }
        assert_eq!(outcomes(rule), *expected, "{rule}");
    }
}

#[test]
fn references() {
    assert_true(&[
        (
            r#"{"if":[{"$ref":"x"},"a"]}"#,
            &[
                "evaluator `x` does not exist: the reference fails (PARSE_ERROR) where it is evaluated",
            ],
            &["PARSE_ERROR"],
        ),
        (r#"{"if":[{"$ref":"tow"},"a"]}"#, &["; did you mean `two`?"], &["PARSE_ERROR"]),
        (r#"{"and":[{"$ref":1}]}"#, &["`$ref` should be a string: it fails"], &["PARSE_ERROR"]),
    ]);
}

#[test]
fn operators_that_are_unknown() {
    assert_true(&[
        (
            r#"{"endswith":[{"var":"x"},"a"]}"#,
            &[
                "`endswith` is not an operator: it fails (PARSE_ERROR) where it is evaluated; did you mean `ends_with`?",
            ],
            &["PARSE_ERROR"],
        ),
        (
            r#"{"if":[{"startsWith":[{"var":"x"},"a"]},"a"]}"#,
            &["; did you mean `starts_with`?"],
            &["PARSE_ERROR"],
        ),
        (r#"{"fraction":[["a",1],["b",1]]}"#, &["`fraction` is not an operator"], &["PARSE_ERROR"]),
        (
            r#"{"nope":[1]}"#,
            &["`nope` is not an operator: it fails (PARSE_ERROR) where it is evaluated"],
            &["PARSE_ERROR"],
        ),
    ]);
}

/// Where it is not evaluated, it does not fail.
#[test]
fn operators_that_are_not_reached() {
    let unreached = "fails (PARSE_ERROR) where it is evaluated";
    assert_true(&[
        (r#"{"if":[false,{"nope":[1]},"a"]}"#, &[unreached], &["a"]),
        (r#"{"if":[false,{"$ref":"gone"},"a"]}"#, &[unreached], &["a"]),
        (r#"{"if":[{"ref":"e"},"a"]}"#, &["; did you mean `$ref`?"], &["PARSE_ERROR"]),
        (r#"{"if":[{"$REF":"e"},"a"]}"#, &["; did you mean `$ref`?"], &["PARSE_ERROR"]),
    ]);
}

#[test]
fn arguments() {
    assert_true(&[
        (r#"{"if":"a"}"#, &["`if` takes an array: it fails (PARSE_ERROR)"], &["PARSE_ERROR"]),
        (r#"{"%":[1]}"#, &["and has 1: it fails (PARSE_ERROR)"], &["PARSE_ERROR"]),
        (
            r#"{"in":[{"+":[{"var":"$flagd.timestamp"}]},[["a"]]]}"#,
            &["needs two numbers: `in` fails (PARSE_ERROR) where it compares with this one"],
            &["PARSE_ERROR"],
        ),
        (
            r#"{"in":[{"+":[{"var":"$flagd.timestamp"}]},[[true,1]]]}"#,
            &["other types fail (PARSE_ERROR)"],
            &["PARSE_ERROR"],
        ),
        (
            r#"{"if":[{"var":"$FLAGD.FLAGKEY"},"a","b"]}"#,
            &["names are case-sensitive: did you mean `$flagd.flagKey`?"],
            &["b"],
        ),
        (
            r#"{"+":[{"var":"$flagd.timestamp"},true]}"#,
            &[
                "a number is not a variant of the flag (GENERAL)",
                "`+` fails (PARSE_ERROR): expected a number or a string, got a boolean",
            ],
            &["PARSE_ERROR"],
        ),
        (
            r#"{"==":[{"cat":["a",[1]]},"b"]}"#,
            &["`cat` fails (PARSE_ERROR): expected null, a number or a string, got an array"],
            &["PARSE_ERROR"],
        ),
        (r#"{"%":[1]}"#, &["`%` takes 2 arguments, and has 1"], &["PARSE_ERROR"]),
        (r#"{"in":[5,"5a"]}"#, &["`in` fails (PARSE_ERROR): expected a string"], &["PARSE_ERROR"]),
        (r#"{"if":[{"var":true},"a"]}"#, &["`var` fails (PARSE_ERROR)"], &["PARSE_ERROR"]),
        (
            r#"{"reduce":[{"var":"x"},{"var":"current"},[]]}"#,
            &["`reduce` fails (PARSE_ERROR)"],
            &["PARSE_ERROR"],
        ),
        (
            r#"{"all":[[1,{"var":"x"}],true]}"#,
            &["`all` fails (PARSE_ERROR) for every item"],
            &["PARSE_ERROR"],
        ),
    ]);
}

#[test]
fn what_is_always_null() {
    assert_true(&[
        (
            r#"{"starts_with":["a",{"var":"x"},1]}"#,
            &["`starts_with` takes 2 arguments, and has 3: it is always null"],
            &["null"],
        ),
        (
            r#"{"ends_with":[{"var":"x"},1]}"#,
            &["`ends_with` is always null: expected a string, got a number"],
            &["null"],
        ),
        (r#"{"ends_with":[{"+":[1]},"1"]}"#, &["`ends_with` is always null"], &["null"]),
        (
            r#"{"sem_ver":[{"var":"x"},"==","1.2.3"]}"#,
            &["this is not an operator of `sem_ver`, which is always null; did you mean `=`?"],
            &["null"],
        ),
        (r#"{"sem_ver":[{"var":"x"},"=>","1.2.3"]}"#, &["did you mean `>=`?"], &["null"]),
        (
            r#"{"sem_ver":[{"var":"x"},"is","1.2.3"]}"#,
            &["expected one of >= <= != = > < ~ ^"],
            &["null"],
        ),
        (
            r#"{"sem_ver":[{"var":"x"},1,"1.2.3"]}"#,
            &["this is not an operator of `sem_ver`"],
            &["null"],
        ),
        (
            r#"{"sem_ver":[{"var":"x"},"=","1.2.x"]}"#,
            &["this is not a semantic version: `sem_ver` is always null"],
            &["null"],
        ),
        (r#"{"sem_ver":[{"var":"x"},"=",true]}"#, &["`sem_ver` is always null"], &["null"]),
        (
            r#"{"sem_ver":[{"var":"x"},"="]}"#,
            &["`sem_ver` takes 3 arguments, and has 2: it is always null"],
            &["null"],
        ),
    ]);
}

#[test]
fn comparisons() {
    assert_true(&[
        (r#"{"==":[1,1]}"#, &["`==` is always true of these values"], &["true"]),
        (
            r#"{"starts_with":["x","y"]}"#,
            &["`starts_with` is always false of these values"],
            &["false"],
        ),
        (
            r#"{"sem_ver":["1.2.3","<","1.3.0"]}"#,
            &["`sem_ver` is always true of these values"],
            &["true"],
        ),
        (
            r#"{"===":[{"+":[{"var":"$flagd.timestamp"}]},"1"]}"#,
            &["`===` is always false: a number never equals a string"],
            &["false"],
        ),
        (r#"{"!=":[{"missing":["x"]},[]]}"#, &["`!=` is always true: expected"], &["true"]),
        (
            r#"{"==":[{"cat":["a",{"var":"$flagd.flagKey"}]},null]}"#,
            &["`==` is always false: a string never equals null"],
            &["false"],
        ),
        (r#"{"<=":[{"var":"x"},[1]]}"#, &["`<=` is always false"], &["false"]),
        (r#"{"in":[["a"],["a","b"]]}"#, &["`in` never holds: expected"], &["false"]),
        (
            r#"{"in":["a",{"!":[{"var":"x"}]}]}"#,
            &["`in` never holds: expected a string or an array, got a boolean"],
            &["false"],
        ),
        (r#"{"if":["x","a","b"]}"#, &["this condition is always true"], &["a"]),
        (r#"{"if":[0,"a","b"]}"#, &["this condition is always false"], &["b"]),
    ]);
}

#[test]
fn results() {
    let general = "is not a variant of the flag (GENERAL)";
    assert_true(&[
        (
            r#""c""#,
            &["`c` is not a variant of the flag (GENERAL)", "a rule should be an object"],
            &["GENERAL"],
        ),
        (
            r#"{"if":[{"var":"x"},"A","B"]}"#,
            &["`A` is not a variant of the flag (GENERAL); did you mean `a`?", general],
            &["GENERAL"],
        ),
        (
            r#"{"if":[{"==":[{"var":"x"},1]},{"if":[{"var":"y"},"p","q"]},1]}"#,
            &[general, general, general],
            &["GENERAL"],
        ),
        (r#"{"fractional":[["x",1],["y",1]]}"#, &[general, general], &["GENERAL", "null"]),
        (r#"{"or":[{"var":"nowhere"},"c"]}"#, &[general], &["GENERAL"]),
        (r#"{"and":[true,"c"]}"#, &[general], &["GENERAL"]),
        (r#"{"cat":["c","d"]}"#, &["`cd` is not a variant"], &["GENERAL"]),
        (r#"{"var":["nowhere","c"]}"#, &[general], &["GENERAL"]),
        (r#"[1,"a"]"#, &["`[1,a]` is not a variant", "a rule should be an object"], &["GENERAL"]),
        (
            r#"{"<":[1,2],"<=":[1,2]}"#,
            &["a rule should have one operator: flagd evaluates none of these"],
            &["GENERAL"],
        ),
    ]);
}

#[test]
fn weights() {
    assert_true(&[
        (
            r#"{"fractional":[["a",0],["b",0]]}"#,
            &["there is no weight above 0: `fractional` chooses no variant"],
            &["null"],
        ),
        (r#"{"fractional":[{"var":"targetingKey"}]}"#, &["there is no weight above 0"], &["null"]),
        (
            r#"{"fractional":[["a",2147483647],["b",1]]}"#,
            &["the sum of the weights is above 2147483647: `fractional` is always null"],
            &["null"],
        ),
        (
            r#"{"fractional":[["a",2147483648],["b",1]]}"#,
            &["a weight above 2147483647 is invalid"],
            &["null"],
        ),
        (
            r#"{"fractional":[["a",0.5],["b",0.5]]}"#,
            &[
                "a weight should be a whole number: `fractional` is always null",
                "a weight should be a whole number: `fractional` is always null",
            ],
            &["null"],
        ),
        (
            r#"{"fractional":[["a","50"],["b",50]]}"#,
            &["a weight should be a number: `fractional` is always null"],
            &["null"],
        ),
        (
            r#"{"fractional":[["a",50],["b",{"cat":["5"]}]]}"#,
            &["a weight should be a number: `fractional` is always null"],
            &["null"],
        ),
        (
            r#"{"fractional":[["a",-1],["b",1]]}"#,
            &["all of the weight is on `b`", "a weight below 0 counts as 0"],
            &["b", "null"],
        ),
        (
            r#"{"fractional":[["a",-5],["b",-1]]}"#,
            &["there is no weight above 0", "counts as 0", "counts as 0"],
            &["null"],
        ),
        (r#"{"fractional":[["a",0],["b",100]]}"#, &["all of the weight is on `b`"], &["b", "null"]),
        (r#"{"fractional":[["zz",0],["a",1]]}"#, &["all of the weight is on `a`"], &["a", "null"]),
        (r#"{"fractional":[["a",50],["a",50]]}"#, &["all of the weight is on `a`"], &["a", "null"]),
        (
            r#"{"fractional":[[{"if":[{"var":"y"},"a","b"]},1],["a",0]]}"#,
            &["all of the weight is on one bucket"],
            &["a", "b", "null"],
        ),
        (r#"{"fractional":[["a",7]]}"#, &["a single bucket takes everybody"], &["a", "null"]),
        (
            r#"{"fractional":["seed",["a",1],["b",1]]}"#,
            &["this value is the same for everybody"],
            &["b"],
        ),
        (
            r#"{"fractional":[{"cat":["se","ed"]},["a",1],["b",1]]}"#,
            &["this value is the same for everybody"],
            &["b"],
        ),
        (
            r#"{"fractional":[{"var":"$flagd.flagKey"},["a",1],["b",1]]}"#,
            &["this value is the same for everybody"],
            &["a"],
        ),
        (
            r#"{"fractional":[{"cat":[{"var":"$flagd.flagKey"},"-s"]},["a",1],["b",1]]}"#,
            &["this value is the same for everybody"],
            &["b"],
        ),
        (
            r#"{"fractional":[{"+":[{"var":"$flagd.timestamp"}]},["a",1],["b",1]]}"#,
            &["expected a string to bucket by, got a number"],
            &["null"],
        ),
        (
            r#"{"fractional":[["a",1],"b"]}"#,
            &["a bucket should be an array of a variant and its weight"],
            &["null"],
        ),
        (
            r#"{"fractional":[[["a"],1],["b",1]]}"#,
            &["expected a variant, got an array: `fractional` is always null"],
            &["null"],
        ),
    ]);
}

#[test]
fn names_of_variables() {
    assert_true(&[
        (
            r#"{"var":"targetingkey"}"#,
            &["names are case-sensitive: did you mean `targetingKey`?"],
            &["null"],
        ),
        (r#"{"var":["TargetingKey"]}"#, &["did you mean `targetingKey`?"], &["null"]),
        (r#"{"var":"$Flagd.timestamp"}"#, &["did you mean `$flagd.timestamp`?"], &["null"]),
        (
            r#"{"var":"$flagd.flagkey"}"#,
            &["`$flagd` has only the fields `flagKey`, `timestamp`; did you mean `flagKey`?"],
            &["null"],
        ),
        (
            r#"{"if":[{"missing":["$flagd.TimeStamp"]},"a"]}"#,
            &["; did you mean `timestamp`?"],
            &["a"],
        ),
        (
            r#"{"if":[{"reduce":[[1,2],{"var":"x"},false]},"a","b"]}"#,
            &["what `reduce` evaluates has only the fields `current`, `accumulator`, `valueType`"],
            &["b"],
        ),
    ]);
}

#[test]
fn results_of_a_type_that_no_variant_has() {
    let array = "an array is not a variant of the flag (GENERAL)";
    let object = "an object is not a variant of the flag (GENERAL)";
    let number = "a number is not a variant of the flag (GENERAL)";
    assert_true(&[
        (r#"{"+":[1,2]}"#, &["`3` is not a variant of the flag (GENERAL)"], &["GENERAL"]),
        (r#"{"+":[{"var":"$flagd.timestamp"},1]}"#, &[number], &["GENERAL"]),
        (r#"{"max":[1,{"var":"x"}]}"#, &[number], &["GENERAL", "PARSE_ERROR"]),
        (r#"{"merge":[["on"]]}"#, &["`[on]` is not a variant of the flag (GENERAL)"], &["GENERAL"]),
        (r#"{"merge":[{"var":"x"}]}"#, &[array], &["GENERAL"]),
        (r#"{"missing":["a"]}"#, &[array], &["GENERAL"]),
        (r#"{"missing":"a"}"#, &[array, "`missing` takes an array"], &["GENERAL"]),
        (r#"{"if":[{"missing":["zz"]},{"missing":["zz"]}]}"#, &[array], &["GENERAL"]),
        (r#"{"filter":[[1,2],{"var":""}]}"#, &[array], &["GENERAL"]),
        (r#"{"var":""}"#, &[object], &["GENERAL"]),
        (r#"{"var":[]}"#, &[object], &["GENERAL"]),
        (r#"{"var":["."]}"#, &[object], &["GENERAL"]),
        (r#"{"var":"$flagd"}"#, &[object], &["GENERAL"]),
        (r#"{"var":"$flagd.timestamp"}"#, &[number], &["GENERAL"]),
        (r#"{"var":["$flagd.timestamp","zz"]}"#, &[number], &["GENERAL"]),
    ]);
    // Such variants may be.
    let of = |variant: &str, rule: &str| {
        let variants = json!({variant: 1});
        let flag = json!({"state": "ENABLED", "variants": variants, "targeting": "RULE"});
        let text = json!({"flags": {"f": flag}}).to_string().replace("\"RULE\"", rule);
        let flags = FlagSet::parse(&text).unwrap();
        let outcome = flags.evaluate("f", &serde_json::Map::new());
        (lint(&text).unwrap().len(), outcome.variant.map(str::to_owned))
    };
    for (variant, rule) in [
        ("[a]", r#"{"missing":["a"]}"#),
        ("-1", r#"{"-":[{"var":["n",1]}]}"#),
        ("3", r#"{"+":[1,2]}"#),
        ("false", r#"{"!":{"cat":["a"]}}"#),
    ] {
        let (warnings, given) = of(variant, rule);
        let negation = rule.starts_with(r#"{"!""#);
        assert_eq!(warnings, usize::from(negation), "{rule}");
        assert_eq!(given.as_deref(), Some(variant), "{rule}");
    }
}

#[test]
fn divisions_by_zero() {
    let fails = "as the result of the rule, it fails (PARSE_ERROR)";
    let number = "a number is not a variant of the flag (GENERAL)";
    for rule in
        [r#"{"%":[{"var":"x"},0]}"#, r#"{"/":[{"var":"x"},0]}"#, r#"{"/":[{"var":"x"},"none"]}"#]
    {
        assert_true(&[(rule, &[number, fails], &["PARSE_ERROR"])]);
    }
    assert_true(&[
        (r#"{"/":[1,0]}"#, &[fails], &["PARSE_ERROR"]),
        (r#"{"%":[1,-0.0]}"#, &[fails], &["PARSE_ERROR"]),
        (r#"{"if":[{"/":[1,0]},"a","b"]}"#, &[fails], &["a"]),
    ]);
}

#[test]
fn conditions_that_never_change() {
    assert_true(&[
        (r#"{"!":["x"]}"#, &["`!` is always false of these values"], &["false"]),
        (r#"{"!!":["x"]}"#, &["`!!` is always true of these values"], &["true"]),
        (r#"{"!":"x"}"#, &["`!` is always false of these values"], &["false"]),
        (r#"{"in":[{"var":"x"},[]]}"#, &["`in` never holds: the array is empty"], &["false"]),
        (
            r#"{"<":[5,{"var":"x"},3]}"#,
            &["`<` is always false: nothing lies between 5 and 3"],
            &["false"],
        ),
        (r#"{"<":[1,{"var":"x"},1]}"#, &["nothing lies between 1 and 1"], &["false"]),
        (r#"{"<=":[2,{"var":"x"},1]}"#, &["nothing lies between 2 and 1"], &["false"]),
        (
            r#"{"in":[{"+":[{"var":"$flagd.timestamp"}]},[[3,1]]]}"#,
            &["nothing lies in this range, from 3 to 1"],
            &["false"],
        ),
        (r#"{"and":["a","b"]}"#, &["this is always true, and has no effect in `and`"], &["b"]),
        (
            r#"{"and":[0,"b"]}"#,
            &["`0` is not a variant", "this is always false: `and` never evaluates what follows"],
            &["GENERAL"],
        ),
        (
            r#"{"or":["a",{"var":"x"}]}"#,
            &["this is always true: `or` never evaluates what follows"],
            &["a"],
        ),
        (r#"{"or":["","a"]}"#, &["this is always false, and has no effect in `or`"], &["a"]),
        (
            r#"{"if":[{"missing_some":[0,["nope","no"]]},"a","b"]}"#,
            &["no variable is wanted: `missing_some` is always empty"],
            &["b"],
        ),
        (
            r#"{"if":[{"missing_some":[3,["nope","x"]]},"a","b"]}"#,
            &["3 of 2 names are never there: use `missing`, which gives the same"],
            &["a"],
        ),
        (r#"{"if":[{"+":[0]},"a","b"]}"#, &["this condition is always false"], &["b"]),
        (r#"{"if":[{"$ref":"on"},"a","b"]}"#, &["this condition is always true"], &["a"]),
        (
            r#"{"if":[{"or":[{"var":"x"},"a"]},"a","b"]}"#,
            &["this condition is always true"],
            &["a"],
        ),
        (
            r#"{"if":[{"and":[{"var":"x"},{"+":[0]}]},"a","b"]}"#,
            &["this condition is always false"],
            &["b"],
        ),
        (
            r#"{"if":[{"and":["a","b"]},"a","b"]}"#,
            &["this is always true, and has no effect in `and`"],
            &["a"],
        ),
    ]);
}

#[test]
fn variables_without_fields() {
    assert_true(&[
        (
            r#"{"if":[{"var":"$flagd.timestamp.x"},"a","b"]}"#,
            &["`$flagd.timestamp` has no fields: `$flagd.timestamp.x` is always null"],
            &["b"],
        ),
        (r#"{"if":[{"var":"$flagd.flagKey.0"},"a","b"]}"#, &["`$flagd.flagKey` has no"], &["b"]),
        (
            r#"{"if":[{"var":"targetingKey.x"},"a","b"]}"#,
            &["`targetingKey` has no fields: `targetingKey.x` is always null"],
            &["b"],
        ),
        (
            r#"{"if":[{"map":[["u",1],{"var":"current"}]},"a","b"]}"#,
            &["only the rule of `reduce` has `current`: here the item itself is `{\"var\": \"\"}`"],
            &["a"],
        ),
        (
            r#"{"if":[{"filter":[["u",1],{"==":[{"var":"accumulator.x"},"u"]}]},"a","b"]}"#,
            &["only the rule of `reduce` has `accumulator`"],
            &["b"],
        ),
    ]);
}

/// Rules that nearly are what is warned of, and that work: no warning, and no error at least for some.
#[test]
fn rules_that_are_right() {
    for rule in [
        r#"{"if":[{"$ref":"e"},"a"]}"#,
        r#"{"if":[true,"a","b"]}"#,
        r#"{"if":[true,true,false]}"#,
        r#"{"if":[true,null,"a"]}"#,
        r#"{"if":[true,"a","zz"]}"#,
        r#"{"if":[{"starts_with":[{"var":"x"},"a"]},"a"]}"#,
        r#"{"ends_with":[{"var":"x"},{"cat":["a"]}]}"#,
        r#"{"sem_ver":[{"var":"x"},">=","1.2.3-a.1+b"]}"#,
        r#"{"===":[{"var":"x"},null]}"#,
        r#"{"===":[{"+":[{"var":"$flagd.timestamp"}]},1]}"#,
        r#"{"==":[{"+":[{"var":"$flagd.timestamp"}]},"1"]}"#,
        r#"{"in":[{"var":"x"},["a",[1,3]]]}"#,
        r#"{"in":[{"var":"x"},"abc"]}"#,
        r#"{"<":[1,{"var":"x"},3]}"#,
        r#"{"fractional":[["a",25.0],["b"]]}"#,
        r#"{"fractional":[["zz",0],["a",1],["b",1]]}"#,
        r#"{"fractional":[["a",2147483646],["b",1]]}"#,
        r#"{"fractional":[{"var":"x"},["a",1],["b",1]]}"#,
        r#"{"fractional":[{"cat":["seed",{"var":"targetingKey"}]},["a",1],["b",{"+":[1]}]]}"#,
        r#"{"or":[{"==":[{"var":"x"},1]},"a"]}"#,
        r#"{"if":[{"in":["x",{"missing":["x"]}]},"a"]}"#,
        r#"{"var":["x","a"]}"#,
        r#"{"if":[{"==":[{"var":"targetingKey"},"user-1"]},"a"]}"#,
        r#"{"if":[{"some":[{"var":"x"},{"==":[{"var":"targetingkey"},"a"]}]},"a"]}"#,
        r#"{"if":[{"reduce":[{"var":"x"},{"+":[{"var":"current"},{"var":"accumulator"}]},0]},"a"]}"#,
        r#"{"if":[{">":[{"var":"$flagd.timestamp"},9007199254740992]},"a","b"]}"#,
        r#"{"if":[{"!":[{"var":"x"}]},"a"]}"#,
        r#"{"or":[true,{"var":"x"}]}"#,
        r#"{"and":[false,"a"]}"#,
        r#"{"if":[{"and":[{"var":"x"},"a"]},"a"]}"#,
        r#"{"if":[{"or":[{"var":"x"},true]},"a"]}"#,
        r#"{"if":[{"<=":[1,{"var":"x"},1]},"a","b"]}"#,
        r#"{"if":[{"<":["5",{"var":"x"},"3"]},"a","b"]}"#,
        r#"{"in":[{"var":"x"},[[3,3]]]}"#,
        r#"{"if":[{"/":[1,{"var":"x"}]},"a"]}"#,
        r#"{"if":[{"some":[[{"a":1}],{"var":"current"}]},"a","b"]}"#,
        r#"{"fractional":[["a",1],["b",0],["b",1]]}"#,
        r#"{"fractional":[{"cat":[{"var":"$flagd.flagKey"},{"var":"x"}]},["a",1],["b",1]]}"#,
        r#"{"if":[{"missing_some":[2,["a","b"]]},"a"]}"#,
        r#"{"if":[{"missing_some":[1,["a","b"]]},"a"]}"#,
    ] {
        assert_eq!(of_rule(rule), [""; 0], "{rule}");
        let outcomes = outcomes(rule);
        assert!(outcomes.iter().any(|outcome| outcome.len() <= 5), "{rule}: {outcomes:?}");
    }
}

/// Every operator with many arguments: what is said of it holds in every context.
#[test]
fn no_warning_is_false() {
    let arguments = [
        "null",
        "true",
        "1",
        "\"a\"",
        "\"1\"",
        "[]",
        "[\"a\"]",
        "[1,2]",
        r#"{"var":"x"}"#,
        r#"{"cat":["a",{"var":"$flagd.flagKey"}]}"#,
        r#"{"+":[{"var":"$flagd.timestamp"}]}"#,
        r#"{"!":[{"var":"x"}]}"#,
        r#"{"missing":["x","y"]}"#,
        r#"{"starts_with":[{"var":"x"},"a"]}"#,
        r#"{"max":[1,{"var":"$flagd.timestamp"}]}"#,
    ];
    let mut lists = vec![String::new()];
    for a in arguments {
        lists.push(a.to_owned());
        for b in arguments {
            lists.push(format!("{a},{b}"));
            lists.extend(["null", "1"].map(|c| format!("{a},{b},{c}")));
        }
    }
    let mut claims = 0;
    for name in operators::names().chain(["abs", "contains_any", "contains_none"]) {
        for list in &lists {
            let rule = format!(r#"{{"{name}":[{list}]}}"#);
            for warning in of_rule(&rule) {
                let says =
                    |claim: &str| warning.contains(claim) && !warning.contains("for every item");
                let outcomes = || outcomes(&rule);
                if says("fails (PARSE_ERROR)") {
                    assert_eq!(outcomes(), ["PARSE_ERROR"], "{rule}: {warning}");
                } else if says("is always null") {
                    assert_eq!(outcomes(), ["null"], "{rule}: {warning}");
                } else if says("GENERAL") && !matches!(name, "if" | "and" | "or" | "fractional") {
                    // What fails does so first.
                    let wrong = outcomes().into_iter().find(|it| !it.ends_with("ERROR"));
                    assert_eq!(
                        wrong.unwrap_or("GENERAL".to_owned()),
                        "GENERAL",
                        "{rule}: {warning}"
                    );
                } else if matches!(name, "if" | "and" | "or") {
                    continue;
                } else if says("is always true") {
                    assert_eq!(outcomes(), ["true"], "{rule}: {warning}");
                } else if says("is always false") {
                    assert_eq!(outcomes(), ["false"], "{rule}: {warning}");
                } else if says("never holds") {
                    assert!(!outcomes().contains(&"true".to_owned()), "{rule}: {warning}");
                } else {
                    continue;
                }
                claims += 1;
            }
        }
    }
    assert!(claims > 1000, "{claims}");
}

/// What flagd accepts and evaluates, but its schema does not accept, or in which arguments go lost.
#[test]
fn what_the_schema_rejects() {
    for (rule, message) in [
        (r#"{"$ref":"e"}"#, "flagd's schema does not accept a reference alone as a rule"),
        (
            r#"{"ends_with":["a",{"$ref":"two"}]}"#,
            "flagd's schema does not accept a reference here",
        ),
        (r#"{"if":[]}"#, "`if` takes 1 or more arguments, and has 0"),
        (r#"{"<":[1,2,3,{"var":"x"}]}"#, "`<` takes 2 to 3 arguments, and has 4"),
        (r#"{"cat":"a"}"#, "`cat` takes an array"),
        (r#"{"if":[{"!":{}},"a"]}"#, "an empty object is not a valid argument"),
        (r#"{"if":[{"missing":[1]},"a"]}"#, "the name of a variable should be a string"),
        (
            r#"{"if":[{"missing_some":["1",["a"]]},"a"]}"#,
            "`missing_some` should begin with a number",
        ),
        (
            r#"{"if":[{"missing_some":[1,{"var":"x"}]},"a"]}"#,
            "`missing_some` should end with an array of names",
        ),
        (
            r#"{"sem_ver":["1.2","=",{"var":"x"}]}"#,
            "flagd's schema accepts only full versions, such as `1.2.0`",
        ),
        (
            r#"{"sem_ver":[{"cat":["1.",{"var":"x"}]},"=","1.2.3"]}"#,
            "flagd's schema accepts a version or a variable here",
        ),
        (
            r#"{"sem_ver":[{"var":"x"},{"var":"y"},"1.2.3"]}"#,
            "flagd's schema does not accept a rule as the operator of `sem_ver`",
        ),
        (
            r#"{"fractional":[["a",1,2],["b",1]]}"#,
            "a bucket should be an array of a variant and its weight",
        ),
        (r#"{"fractional":[["a",null],["b",1]]}"#, "a weight of null counts as 1"),
        (
            r#"{"if":[{"abs":[{"var":"x"}]},"a"]}"#,
            "only flagd knows the operator `abs`: its schema and other providers do not",
        ),
        (
            r#"{"var":["x","a","b"]}"#,
            "`var` takes a name and a default value: with more, the default value is ignored",
        ),
        (
            r#"{"in":[{"var":"x"},[["a","b"]]]}"#,
            "an array in the array is a range of two numbers: a string that is not a number counts \
             as 0, other types fail (PARSE_ERROR), and what follows is ignored",
        ),
        (r#"{"if":[1,2],"if":[true,"a"]}"#, "`if` occurs twice: only the last counts"),
    ] {
        assert_eq!(of_rule(rule), [message], "{rule}");
    }
}
