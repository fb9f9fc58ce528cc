//! `flagstaff eval`.

use serde_json::{Value, json};

use crate::{
    flagd, one_flag,
    program::{Finished, finish, flagstaff, run},
    support::{flagd::FlagdProcess, ports::free_port},
};

fn definition() -> Value {
    json!({ "metadata": { "team": "web" }, "flags": {
        "bool": { "state": "ENABLED", "variants": { "on": true, "off": false }, "defaultVariant": "off" },
        "int": { "state": "ENABLED", "variants": { "v": 42 }, "defaultVariant": "v" },
        "float": { "state": "ENABLED", "variants": { "v": 0.5 }, "defaultVariant": "v" },
        "object": { "state": "ENABLED", "variants": { "v": { "a": 1, "b": [0.5, "x"] } }, "defaultVariant": "v" },
        "text": {
            "state": "ENABLED",
            "variants": { "one": "first", "two": "second" },
            "defaultVariant": "one",
            "targeting": { "if": [
                { "and": [{ "==": [{ "var": "age" }, 5] }, { "==": [{ "var": "user.name" }, "ann"] }] }, "two",
                { "==": [{ "var": "targetingKey" }, "key"] }, "two",
            ] },
        },
        // `===`: none of these equals a number.
        "user": {
            "state": "ENABLED",
            "variants": { "other": 0, "four": 4, "yes": 1, "long": 2 },
            "defaultVariant": "other",
            "targeting": { "if": [
                { "===": [{ "var": "targetingKey" }, "4"] }, "four",
                { "===": [{ "var": "targetingKey" }, "true"] }, "yes",
                { "===": [{ "var": "targetingKey" }, "12345678901234567890123"] }, "long",
                { "===": [{ "var": "id" }, "4"] }, "four",
                { "===": [{ "var": "user.ids.1" }, 1] }, "yes",
            ] },
        },
        "nulls": { "state": "ENABLED", "variants": { "v": nulls() }, "defaultVariant": "v" },
        "off": { "state": "DISABLED", "variants": { "v": true }, "defaultVariant": "v" },
    } })
}

/// Values that the SDK cannot represent.
fn nulls() -> Value {
    json!({ "list": [1, null, { "a": [null, "x"] }], "none": null, "half": 0.5 })
}

async fn eval(flagd: &FlagdProcess, args: &[&str]) -> Finished {
    let port = flagd.port().to_string();
    run(&[&["eval", "--deadline-ms", "10000", "--port", &port], args].concat()).await
}

#[tokio::test]
async fn every_type_is_detected_or_requested() {
    let flagd = flagd(&definition()).await;
    for (key, as_type, variant, value) in [
        ("bool", "bool", "off", json!(false)),
        ("int", "int", "v", json!(42)),
        ("float", "float", "v", json!(0.5)),
        ("object", "object", "v", json!({ "a": 1, "b": [0.5, "x"] })),
        ("nulls", "object", "v", nulls()),
        ("text", "string", "one", json!("first")),
    ] {
        for more in [&["--json"][..], &["--json", "--type", as_type]] {
            let run = eval(&flagd, &[&[key], more].concat()).await;
            let reason = if key == "text" { "DEFAULT" } else { "STATIC" };
            let expected = json!({
                "key": key, "value": value, "variant": variant, "reason": reason,
                "metadata": { "team": "web" }, "error": null,
            });
            assert_eq!((run.code, run.json(), &*run.err), (Some(0), expected, ""));
        }
    }
}

#[tokio::test]
async fn the_context_is_fields_and_json() {
    let flagd = flagd(&definition()).await;
    for (context, value) in [
        (&["-c", "age=5", "-c", r#"{"user": {"name": "ann"}}"#][..], "second"),
        (&["-c", "age=5", "-c", r#"user={"name": "ben"}"#], "first"),
        (&["--context", "targetingKey=key"], "second"),
        (&[], "first"),
    ] {
        let run = eval(&flagd, &[&["text", "--json"], context].concat()).await;
        assert_eq!(run.json()["value"], value, "{context:?}");
    }
}

/// As documented, gRPC does not use the proxies of the environment.
#[tokio::test]
async fn proxies_in_the_environment_are_not_used() {
    let flagd = flagd(&definition()).await;
    let port = flagd.port().to_string();
    let mut command = flagstaff(&["eval", "--deadline-ms", "10000", "--port", &port, "bool"]);
    let closed = format!("http://127.0.0.1:{}", free_port());
    for variable in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"] {
        command.env(variable, &closed).env(variable.to_lowercase(), &closed);
    }
    command.env_remove("NO_PROXY").env_remove("no_proxy");
    let run = finish(command).await;
    assert!(run.code == Some(0) && run.out.starts_with("bool = false"), "{run:?}");
}

/// As an application that calls `with_targeting_key`.
#[tokio::test]
async fn the_targeting_key_is_a_string_and_other_fields_can_be() {
    let flagd = flagd(&definition()).await;
    for (context, variant) in [
        ("targetingKey=4", "four"),
        ("targetingKey=true", "yes"),
        ("targetingKey=12345678901234567890123", "long"),
        (r#"targetingKey:="4""#, "four"),
        (r#"{"targetingKey": "4"}"#, "four"),
        ("targetingKey=\"4\"", "other"),
        ("id=4", "other"),
        (r#"id="4""#, "four"),
        (r#"id:="4""#, "four"),
        (r#"user:={"ids": [0, 1]}"#, "yes"),
    ] {
        let run = eval(&flagd, &["user", "--json", "-c", context]).await;
        assert_eq!(run.json()["variant"], variant, "{context}");
    }
    let run = eval(&flagd, &["user", "--json", "-c", "targeting_key=4"]).await;
    assert_eq!(run.json()["variant"], "other");
    assert!(run.err.contains("did you mean `targetingKey`?"), "{run:?}");
    // The last value of a name counts, and a dot has no meaning.
    for (contexts, variant) in [
        (["targetingKey=4", "targetingKey=5"], "other"),
        (["targetingKey=5", "targetingKey=4"], "four"),
        (["user.ids=[0,1]", "user.ids.1=1"], "other"),
    ] {
        let args = ["user", "--json", "-c", contexts[0], "-c", contexts[1]];
        assert_eq!(eval(&flagd, &args).await.json()["variant"], variant, "{contexts:?}");
    }
}

#[tokio::test]
async fn a_mistaken_context_is_an_error() {
    for (context, message) in [
        ("targetingKey:=4", "must be a string, got 4; write `targetingKey=VALUE`"),
        (r#"{"targetingKey": 4}"#, "must be a string, got 4; write `targetingKey=VALUE`"),
        (
            r#"user:={"name": ann}"#,
            "invalid JSON after `user:=`: expected value at line 1 column 10",
        ),
        ("id=12345678901234567890123", "write it as a string"),
        ("=5", "expected NAME=VALUE, NAME:=JSON or a JSON object"),
    ] {
        let run = run(&["eval", "user", "-c", context]).await;
        assert_eq!((run.code, &*run.out), (Some(2), ""), "{context}");
        assert!(run.err.contains(message), "{}", run.err);
    }
}

#[tokio::test]
async fn people_get_lines() {
    let flagd = flagd(&definition()).await;
    let run = eval(&flagd, &["bool"]).await;
    assert_eq!(run.out, "bool = false\nreason: STATIC\nvariant: off\nmetadata team: \"web\"\n");
    let run = eval(&flagd, &["missing"]).await;
    assert_eq!((run.code, &*run.out), (Some(1), ""));
    assert!(run.err.starts_with("flagstaff: FLAG_NOT_FOUND: "), "{run:?}");
}

#[tokio::test]
async fn a_flag_without_a_value_is_not_an_error() {
    let flagd = flagd(&definition()).await;
    for (args, reason, code) in [
        (&["off"][..], "DISABLED", "GENERAL"),
        (&["missing"], "ERROR", "FLAG_NOT_FOUND"),
        (&["text", "-t", "bool"], "ERROR", "TYPE_MISMATCH"),
    ] {
        let run = eval(&flagd, &[args, &["--json"]].concat()).await;
        let report = run.json();
        assert_eq!(run.code, Some(1), "{run:?}");
        assert_eq!(report["value"], Value::Null);
        assert_eq!((&report["reason"], &report["error"]["code"]), (&json!(reason), &json!(code)));
    }
}

#[tokio::test]
async fn wrong_usage_and_an_unreachable_flagd_have_exit_codes_of_their_own() {
    let port = free_port().to_string();
    let run = run(&["eval", "flag", "--host", "127.0.0.1", "--port", &port, "--json"]).await;
    assert_eq!(run.code, Some(3));
    assert_eq!(run.json()["error"]["code"], "PROVIDER_NOT_READY");

    for args in [&["eval"][..], &["eval", "flag", "--port", "0"], &["eval", "flag", "-c", "a"], &[]]
    {
        assert_eq!(crate::program::run(args).await.code, Some(2), "{args:?}");
    }
    let mut command = flagstaff(&["eval", "flag"]);
    let run = finish({
        command.env("FLAGD_DEADLINE_MS", "soon");
        command
    })
    .await;
    assert_eq!(run.code, Some(2));
    assert!(run.err.contains("FLAGD_DEADLINE_MS"), "{run:?}");
}

#[tokio::test]
async fn the_environment_says_where_flagd_is() {
    let flagd = flagd(&one_flag()).await;
    let mut command = flagstaff(&["eval", "flag", "--json"]);
    command.env("FLAGD_HOST", "127.0.0.1").env("FLAGD_PORT", flagd.port().to_string());
    let run = finish({
        command.env("FLAGD_DEADLINE_MS", "10000");
        command
    })
    .await;
    assert_eq!(run.json()["value"], true);
}

#[tokio::test]
async fn flags_are_evaluated_in_process_on_request() {
    let flagd = flagd(&definition()).await;
    let (file, port) = (flagd.flags_path(), flagd.ports().sync.to_string());
    let of_a_file = ["--file", file.to_str().unwrap()];
    let of_sync = ["--in-process", "--host", "127.0.0.1", "--port", &port];
    for connection in [&of_a_file[..], &of_sync] {
        let args = ["eval", "text", "-c", "targetingKey=key", "--deadline-ms", "10000", "--json"];
        let run = run(&[&args, connection].concat()).await;
        assert_eq!(run.json()["value"], "second", "{connection:?}: {run:?}");
    }
    for connection in [&of_a_file[..], &of_sync] {
        let args = ["eval", "nulls", "--deadline-ms", "10000", "--json"];
        let run = run(&[&args, connection].concat()).await;
        assert_eq!(
            (run.code, &run.json()["value"]),
            (Some(0), &nulls()),
            "{connection:?}: {run:?}"
        );
    }
    let run = run(&["eval", "text", "--file", "absent.json", "--json"]).await;
    assert_eq!(run.code, Some(1));
    assert!(run.out.contains("absent.json"), "{run:?}");
}
