//! Warnings about the names of variables.

use super::assert_true;

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
