//! Warnings about comparisons and conditions that are the same in every context.

use super::assert_true;

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
