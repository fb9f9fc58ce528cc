//! Warnings about the buckets and weights of `fractional`.

use super::assert_true;

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
