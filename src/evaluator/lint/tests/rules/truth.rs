//! No warning is false, and rules that work cause none.

use super::{of_rule, outcomes};
use crate::evaluator::lint::operators;

/// Rules that are close to what the linter warns about, but work: they cause no warning, and have
/// an outcome without an error in at least one context.
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

/// Every operator with many combinations of arguments: each warning is true in every context.
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
                    // A rule that fails has no result that could be a variant.
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
