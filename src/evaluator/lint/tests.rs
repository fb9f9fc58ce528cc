//! What is warned of, and what is not: each warning is proved by evaluation.

use serde_json::{Value as Json, json};

use super::{
    super::{FlagSet, Reason},
    *,
};

fn warned(text: &str) -> Vec<String> {
    lint(text).unwrap().iter().map(ToString::to_string).collect()
}

fn of_flag(fields: &str) -> Vec<String> {
    let warnings = lint(&format!(r#"{{"flags":{{"f":{{{fields}}}}}}}"#)).unwrap();
    assert!(warnings.iter().all(|warning| warning.flag.as_deref() == Some("f")));
    warnings.into_iter().map(|warning| warning.message).collect()
}

#[test]
fn nothing_to_warn_of() {
    let definition = r#"{"$schema": "x", "metadata": {"flagSetId": "s", "n": 1, "b": true},
        "$evaluators": {"e": {"==": [{"var": "a"}, 1]}}, "flags": {
        "f": {"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": null,
            "targeting": {"if": [{"$ref": "e"}, "on"]}, "metadata": {}, "note": 1},
        "g": {"state": "DISABLED", "variants": {"o": {"x": []}}, "targeting": {}}}}"#;
    assert_eq!(warned(definition), [""; 0]);
    assert_eq!(
        warned(r#"{"flags": [{"key": "f", "state": "ENABLED", "variants": {"a": ""}}]}"#),
        [""; 0]
    );
}

#[test]
fn sections() {
    assert_eq!(warned("{}"), ["line 1, column 1: `flags` is missing"]);
    assert_eq!(
        warned("{\"flags\": null,\n\"$evaluators\": [],\n\"metadata\": {\"x\": [], \"y\": null}}"),
        [
            "line 1, column 11: `flags` should be an object",
            "line 2, column 16: `$evaluators` should be an object",
            "line 3, column 19: the metadata `x` should be a string, a number or a boolean",
            "line 3, column 28: the metadata `y` should be a string, a number or a boolean",
        ]
    );
    assert_eq!(
        warned(r#"{"flags": {}, "$evaluators": {"": {"var": "x"}, "e": 1}}"#),
        [
            "line 1, column 31: the name of an evaluator should be one line, and not empty",
            "line 1, column 54: a rule should be an object",
        ]
    );
}

#[test]
fn flags_and_their_keys() {
    let flag = r#""state": "ENABLED", "variants": {"a": 1}"#;
    assert_eq!(
        warned(&format!(r#"{{"flags": {{"": {{{flag}}}, "b": null}}}}"#)),
        [
            "flag `` (line 1, column 12): the name of a flag should be one line, and not empty",
            "flag `b` (line 1, column 65): a flag should be an object",
        ]
    );
    assert_eq!(
        warned(&format!(r#"{{"flags": [{{{flag}}}, {{"key": "", {flag}}}]}}"#)),
        [
            "line 1, column 12: a flag in a list needs a `key`",
            "line 1, column 64: `key` should be a string, and not empty",
        ]
    );
}

#[test]
fn fields_of_flags() {
    for (fields, messages) in [
        (
            r#""x": 1"#,
            vec!["`state` is missing: the flag counts as enabled", "`variants` is missing"],
        ),
        (
            r#""state": "enabled", "variants": {}"#,
            vec![
                "`state` should be `ENABLED` or `DISABLED`: the flag counts as enabled; did you mean `ENABLED`?",
                "`variants` is empty",
            ],
        ),
        (
            r#""state": "ENABLED", "variants": null, "defaultVariant": 1"#,
            vec!["`variants` should be an object", "`defaultVariant` should be a string or null"],
        ),
        (
            r#""state": "ENABLED", "variants": {"a": 1, "b": "x", "c": [], "": 2}"#,
            vec![
                "the variant `b` is a string, but `a` is a number",
                "the variant `c` is an array: values should be booleans, strings, numbers or objects",
                "the name of a variant should be one line, and not empty",
            ],
        ),
        (
            r#""state": "DISABLED", "state": "ENABLED", "variants": {"a": 1}"#,
            vec!["`state` is there twice: only the last counts"],
        ),
        (
            r#""state": "ENABLED", "variants": {"a": 1}, "metadata": null, "targeting": null"#,
            vec!["`metadata` should be an object", "a rule should be an object"],
        ),
    ] {
        assert_eq!(of_flag(fields), messages, "{fields}");
    }
}

#[test]
fn yaml_has_places_too() {
    let warnings = lint_yaml("flags:\n  f:\n    state: On\n    variants: {a: 1}\n").unwrap();
    assert_eq!(
        warnings[0].to_string(),
        "flag `f` (line 3, column 12): `state` should be `ENABLED` or `DISABLED`: the flag counts as enabled"
    );
    assert!(lint("{").is_err());
    assert!(lint_yaml("a: [").is_err());
}

/// A rule in a flag with the variants `a`, `b`, `true`, `false` and the default variant `d`.
fn definition(rule: &str) -> String {
    let variants = r#"{"a": 1, "b": 2, "true": 3, "false": 4, "d": 5}"#;
    let flag = format!(
        r#"{{"state":"ENABLED","variants":{variants},"defaultVariant":"d","targeting":{rule}}}"#
    );
    let evaluators = r#"{"e":{"==":[{"var":"x"},1]},"two":{"if":[{"var":"x"},"a","zz"]}}"#;
    format!(r#"{{"$evaluators":{evaluators},"flags":{{"f":{flag}}}}}"#)
}

/// The messages for a rule.
fn of_rule(rule: &str) -> Vec<String> {
    lint(&definition(rule)).unwrap().into_iter().map(|warning| warning.message).collect()
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

/// What is warned of is so in every context: the outcomes are all that there are.
#[test]
fn warnings_are_true() {
    let general = "is not a variant of the flag (GENERAL)";
    for (rule, messages, expected) in [
        // References.
        (
            r#"{"if":[{"$ref":"x"},"a"]}"#,
            &["there is not an evaluator `x`: the rule fails (PARSE_ERROR)"][..],
            &["PARSE_ERROR"][..],
        ),
        (r#"{"if":[{"$ref":"tow"},"a"]}"#, &["; did you mean `two`?"], &["PARSE_ERROR"]),
        (
            r#"{"and":[{"$ref":1}]}"#,
            &["`$ref` should be a string: the rule fails"],
            &["PARSE_ERROR"],
        ),
        // Operators.
        (
            r#"{"endswith":[{"var":"x"},"a"]}"#,
            &[
                "`endswith` is not an operator: the rule fails (PARSE_ERROR); did you mean `ends_with`?",
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
            &["`nope` is not an operator: the rule fails (PARSE_ERROR)"],
            &["PARSE_ERROR"],
        ),
        // Types and numbers of arguments.
        (
            r#"{"+":[{"var":"$flagd.timestamp"},true]}"#,
            &["`+` fails (PARSE_ERROR): expected a number or a string, got a boolean"],
            &["PARSE_ERROR"],
        ),
        (
            r#"{"==":[{"cat":["a",[1]]},"b"]}"#,
            &["`cat` fails (PARSE_ERROR): expected null, a number or a string, got an array"],
            &["PARSE_ERROR"],
        ),
        (r#"{"%":[1]}"#, &["`%` takes 2 arguments, and has 1"], &["PARSE_ERROR"]),
        (
            r#"{"in":[5,"5a"]}"#,
            &["`in` fails (PARSE_ERROR): a text was expected"],
            &["PARSE_ERROR"],
        ),
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
        // What is always null.
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
        // Comparisons.
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
        // Results.
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
        // Objects of several names.
        (
            r#"{"<":[1,2],"<=":[1,2]}"#,
            &["a rule should have one operator: flagd evaluates none of these"],
            &["GENERAL"],
        ),
        // Weights.
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
            &["a weight above 2147483647 is not valid"],
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
        (r#"{"fractional":[["a",-1],["b",1]]}"#, &["a weight below 0 counts as 0"], &["b", "null"]),
        (r#"{"fractional":[["a",7]]}"#, &["a single bucket takes everybody"], &["a", "null"]),
        (
            r#"{"fractional":["seed",["a",1],["b",1]]}"#,
            &["this is one value for everybody"],
            &["b"],
        ),
        (
            r#"{"fractional":[{"cat":["se","ed"]},["a",1],["b",1]]}"#,
            &["this is one value for everybody"],
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
        // Names.
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
    ] {
        let warned = of_rule(rule);
        assert_eq!(warned.len(), messages.len(), "{rule}: {warned:?}");
        for (warning, message) in warned.iter().zip(messages) {
            assert!(warning.contains(message), "{rule}: {warning}");
        }
        assert_eq!(outcomes(rule), expected, "{rule}");
    }
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
        r#"{"fractional":[["a",0],["b",100]]}"#,
        r#"{"fractional":[["a",25.0],["b"]]}"#,
        r#"{"fractional":[["zz",0],["a",1]]}"#,
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
                } else if says("is always true") && name != "if" {
                    assert_eq!(outcomes(), ["true"], "{rule}: {warning}");
                } else if says("is always false") && name != "if" {
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
            "flagd's schema accepts no rule as the operator of `sem_ver`",
        ),
        (
            r#"{"fractional":[["a",1,2],["b",1]]}"#,
            "a bucket should be an array of a variant and its weight",
        ),
        (r#"{"fractional":[["a",null],["b",1]]}"#, "a weight of null counts as 1"),
        (
            r#"{"if":[{"abs":[{"var":"x"}]},"a"]}"#,
            "`abs` is an operator of flagd's alone: its schema and other providers do not know it",
        ),
        (
            r#"{"var":["x","a","b"]}"#,
            "`var` takes a name and a default value: with more, the default value is ignored",
        ),
        (
            r#"{"in":[{"var":"x"},[["a","b"]]]}"#,
            "an array inside of the array is a range of numbers: expected two",
        ),
        (r#"{"if":[1,2],"if":[true,"a"]}"#, "`if` is there twice: only the last counts"),
    ] {
        assert_eq!(of_rule(rule), [message], "{rule}");
    }
}

#[test]
fn evaluators_that_do_not_work() {
    let flag = |rule: &str| {
        format!(r#""flags":{{"f":{{"state":"ENABLED","variants":{{"a":1}},"targeting":{rule}}}}}"#)
    };
    let within = "a reference within an evaluator is not replaced: the rule fails (PARSE_ERROR)";
    for (evaluators, rule, expected) in [
        (r#"{"p":{"!":[{"$ref":"q"}]},"q":{"!!":{"var":"x"}}}"#, r#"{"if":[{"$ref":"p"},"a"]}"#, 1),
        (r#"{"p":{"and":[{"$ref":"p"}]}}"#, r#"{"if":[{"$ref":"p"},"a"]}"#, 1),
        (
            r#"{"p":{"and":[{"$ref":"q"}]},"q":{"and":[{"$ref":"p"}]}}"#,
            r#"{"if":[{"$ref":"p"},"a"]}"#,
            2,
        ),
    ] {
        let text = format!(r#"{{"$evaluators":{evaluators},{}}}"#, flag(rule));
        let warnings = lint(&text).unwrap();
        assert_eq!(warnings.iter().filter(|w| w.message == within).count(), expected, "{text}");
        let flags = FlagSet::parse(&text).unwrap();
        for context in [json!({}), json!({"x": 1})] {
            let outcome = flags.evaluate("f", context.as_object().unwrap());
            let fails = outcome.error.is_some_and(|error| error.as_str() == "PARSE_ERROR");
            assert!(fails, "{text}: {outcome:?}");
        }
    }
    // The results of an evaluator are those of the flag, and told where it is referred to.
    let text = format!(
        r#"{{{},"$evaluators":{{"p":{{"if":[{{"var":"x"}},"a","b"]}}}}}}"#,
        flag(r#"{"if":[true,{"$ref":"p"}]}"#)
    );
    let warned: Vec<_> = lint(&text).unwrap();
    assert_eq!(warned.len(), 1, "{warned:?}");
    assert_eq!(warned[0].message, "`b` is not a variant of the flag (GENERAL)");
    assert_eq!(warned[0].column, text.find(r#""p"}"#).unwrap() + 1);
    // flagd looks for the JSON text of a name.
    let text = format!(
        r#"{{"$evaluators":{{"p&q":{{"var":"x"}}}},{}}}"#,
        flag(r#"{"if":[{"$ref":"p&q"},"a"]}"#)
    );
    assert!(lint(&text).unwrap()[0].message.starts_with("flagd does not find an evaluator"));
    let outcome = FlagSet::parse(&text).unwrap();
    let outcome = outcome.evaluate("f", &serde_json::Map::new());
    assert_eq!(outcome.error.map(|error| error.as_str()), Some("PARSE_ERROR"));
}

/// Comparisons as the whole rule of a flag with variants of other names.
#[test]
fn true_and_false_are_variants_too() {
    let of = |variants: &str, rule: &str| {
        of_flag(&format!(r#""state":"ENABLED","variants":{variants},"targeting":{rule}"#))
    };
    let rule = r#"{"ends_with":[{"var":"email"},"@corp.example"]}"#;
    let expected = ["`false` is not a variant of the flag (GENERAL)"];
    assert_eq!(of(r#"{"true":1,"off":2}"#, rule), expected);
    assert_eq!(of(r#"{"on":1,"off":2}"#, rule).len(), 2);
    assert_eq!(of(r#"{"true":1,"false":2}"#, rule), [""; 0]);
    let rule = r#"{"and":[{"==":[{"var":"x"},1]},"on"]}"#;
    assert_eq!(of(r#"{"on":1,"off":2}"#, rule), expected);
    let escaped = of(r#"{"<on>":1}"#, r#"{"if":[true,"<on>"]}"#);
    assert!(escaped[0].starts_with("the variant `<on>` is out of reach of a rule"), "{escaped:?}");
}

#[test]
fn names_of_fields_that_are_nearly_known() {
    let message = |fields: &str| {
        let fields = format!(r#""state":"ENABLED","variants":{{"a":1}},{fields}"#);
        of_flag(&fields).join("; ")
    };
    assert_eq!(
        message(r#""targetting":{}"#),
        "`targetting` is not a field of a flag: did you mean `targeting`?"
    );
    assert_eq!(
        message(r#""default_variant":"a""#),
        "`default_variant` is not a field of a flag: did you mean `defaultVariant`?"
    );
    assert_eq!(
        message(r#""defaultvariant":"a""#),
        "other providers than flagd know `defaultVariant` only, not `defaultvariant`"
    );
    for fields in
        [r#""key":"f""#, r#""source":"x""#, r#""owner":1"#, r#""targeting":{},"target":1"#]
    {
        assert_eq!(message(fields), "", "{fields}");
    }
    // What flagd reads is looked at, whatever its case.
    let flag = r#"{"State":"on","Variants":{"a":1},"TARGETING":{"nope":[]}}"#;
    let warned = warned(&format!(r#"{{"Flags":{{"f":{flag}}}}}"#));
    assert_eq!(warned.len(), 6, "{warned:#?}");
}

#[test]
fn flags_that_are_left_out() {
    let flag = r#""key":"f","state":"ENABLED","variants":{"a":1}"#;
    let text = format!(r#"{{"metadata":{{"flagSetId":""}},"flags":[{{{flag}}},{{{flag}}}]}}"#);
    assert_eq!(
        warned(&text),
        [
            "line 1, column 26: flags of a flag set without a name are left out",
            "flag `f` (line 1, column 39): a later flag has the same key: only the last counts",
        ]
    );
    assert_eq!(FlagSet::parse(&text).unwrap().len(), 0);
}

#[test]
fn numbers_that_are_read_as_others() {
    let of = |value: &str| of_flag(&format!(r#""state":"ENABLED","variants":{{"a":{value}}}"#));
    let warning = |read: &str| {
        vec![format!("a 64-bit float does not hold this number, which is read as {read}")]
    };
    assert_eq!(of("9007199254740993"), warning("9007199254740992"));
    assert_eq!(of(r#"{"x":[-9007199254740993]}"#), warning("-9007199254740992"));
    assert_eq!(of("1e-400"), warning("0"));
    for exact in ["9007199254740992", "1e300", "0.1", "-0", "18446744073709551616"] {
        assert_eq!(of(exact), [""; 0], "{exact}");
    }
    let yaml = "flags:\n  f:\n    state: ENABLED\n    variants:\n      a: 0x20000000000001\n      \
        b: 1_000\n      c: 1e400\n      d: \"1e400\"\n";
    let warned: Vec<_> = lint_yaml(yaml).unwrap();
    let of_lines = |line| {
        let warnings = warned.iter().filter(move |warning| warning.line == line);
        warnings.map(|warning| &*warning.message).collect::<Vec<_>>().join("; ")
    };
    assert!(of_lines(5).contains("read as 9007199254740992"), "{warned:?}");
    assert_eq!(of_lines(6), "");
    assert!(of_lines(7).contains("too large for a 64-bit float, and read as a string"));
    assert!(!of_lines(8).contains("64-bit"));
}

#[test]
fn examples_are_right() {
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/flags.json");
    assert_eq!(warned(&std::fs::read_to_string(examples).unwrap()), [""; 0]);
}

#[test]
fn a_byte_order_mark_is_skipped() {
    let flag = r#"{"f":{"state":"MAYBE","variants":{"a":1}}}"#;
    let json = format!("{{\"flags\":{flag}}}");
    let yaml = format!("flags: {flag}\n");
    type Lint = fn(&str) -> Result<Vec<Warning>, DefinitionError>;
    type Parse = fn(&str) -> Result<FlagSet, DefinitionError>;
    for (text, lint, parse) in [
        (json, lint as Lint, FlagSet::parse as Parse),
        (yaml, lint_yaml as Lint, FlagSet::parse_yaml as Parse),
    ] {
        let marked = format!("\u{feff}{text}");
        assert_eq!(lint(&marked), lint(&text));
        assert_eq!(lint(&marked).unwrap().len(), 1);
        assert_eq!(parse(&marked).unwrap().definition("f"), parse(&text).unwrap().definition("f"));
        for broken in [text.replace("\"MAYBE\"", "1"), text.replace("}}}", "}}}]")] {
            let error = parse(&broken).unwrap_err();
            assert_eq!(parse(&format!("\u{feff}{broken}")).unwrap_err(), error);
        }
    }
    assert!(FlagSet::parse("\u{feff}\u{feff}{}").is_err());
}
