//! Warnings about references, unknown operators and arguments.

use super::assert_true;

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

/// An operation that is not evaluated does not fail.
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
