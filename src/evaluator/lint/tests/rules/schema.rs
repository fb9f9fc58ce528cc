//! Warnings about what flagd evaluates but its schema rejects.

use super::of_rule;

/// Rules that flagd evaluates, although its schema rejects them or an argument is ignored.
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
