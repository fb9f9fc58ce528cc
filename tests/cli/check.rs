//! `flagstaff check`.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::{run, run_with_input};

const VALID: &str =
    r#"{"flags": {"a": {"state": "ENABLED", "variants": {"x": 1}, "defaultVariant": "x"}}}"#;

/// Two flags are broken, the third is valid.
const BROKEN: &str = r#"{
  "flags": {
    "first": { "state": "ENABLED", "variants": { "x": 1 }, "defaultVariant": "y" },
    "fine": { "state": "ENABLED", "variants": { "x": 1 }, "defaultVariant": "x" },
    "second": { "state": "ENABLED", "variants": { "x": 1 }, "defaultVariant": "z" }
  }
}"#;

fn file(directory: &TempDir, name: &str, text: &str) -> String {
    let path = directory.path().join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn valid_files_are_silent() {
    let directory = tempfile::tempdir().unwrap();
    let json = file(&directory, "a.json", VALID);
    let yaml = "flags:\n  a:\n    state: ENABLED\n    variants: {x: 1}\n    defaultVariant: x\n";
    let yaml_file = file(&directory, "a.yaml", yaml);
    let checked = run(&["check", &json, &yaml_file]).await;
    assert_eq!((checked.code, &*checked.out, &*checked.err), (Some(0), "", ""));
    assert_eq!(run_with_input(&["check", "-"], VALID).await.code, Some(0));
    assert_eq!(run_with_input(&["check", "-", "--yaml"], yaml).await.code, Some(0));
}

#[tokio::test]
async fn every_broken_flag_is_named_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let path = file(&directory, "flags.json", BROKEN);
    let checked = run(&["check", &path]).await;
    assert_eq!(checked.code, Some(1));
    let lines: Vec<&str> = checked.out.lines().collect();
    let [first, second] = *lines else { panic!("{checked:?}") };
    assert!(first.starts_with(&format!("{path}:3:")) && first.contains("flag `first`"), "{first}");
    assert!(
        second.starts_with(&format!("{path}:5:")) && second.contains("flag `second`"),
        "{second}"
    );
}

#[tokio::test]
async fn scripts_get_json() {
    let checked = run_with_input(&["check", "--json", "-"], BROKEN).await;
    assert_eq!(checked.code, Some(1));
    let findings: Vec<Value> =
        checked.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let places: Vec<Value> = findings
        .iter()
        .map(|it| json!([it["file"], it["line"], it["flag"], it["level"]]))
        .collect();
    assert_eq!(places, [json!(["-", 3, "first", "error"]), json!(["-", 5, "second", "error"])]);
    assert!(findings.iter().all(|it| it["column"].is_u64() && it["message"].is_string()));
}

#[tokio::test]
async fn a_malformed_definition_is_an_error_with_its_position() {
    let directory = tempfile::tempdir().unwrap();
    let half = file(&directory, "half.json", "{\n  \"flags\": {");
    let absent = directory.path().join("absent.json").to_str().unwrap().to_owned();
    let fine = file(&directory, "fine.json", VALID);
    let checked = run(&["check", &half, &absent, &fine]).await;
    assert_eq!(checked.code, Some(1));
    let lines: Vec<&str> = checked.out.lines().collect();
    let [first, second] = *lines else { panic!("{checked:?}") };
    assert!(first.starts_with(&format!("{half}:2:")), "{first}");
    assert!(second.starts_with(&format!("{absent}: error: cannot be read")), "{second}");
    assert_eq!(run(&["check"]).await.code, Some(2));
}

#[tokio::test]
async fn warnings_fail_only_on_request() {
    // The schema does not allow this state; flagd treats it as ENABLED.
    let doubtful = VALID.replace("ENABLED", "MAYBE");
    let checked = run_with_input(&["check", "-"], &doubtful).await;
    assert_eq!(checked.code, Some(0));
    assert!(checked.out.starts_with("-:1:") && checked.out.contains(": warning: "), "{checked:?}");
    let checked = run_with_input(&["check", "--json", "--strict", "-"], &doubtful).await;
    assert_eq!((checked.code, &checked.json()["level"]), (Some(1), &json!("warning")));
    assert_eq!(run_with_input(&["check", "--strict", "-"], VALID).await.code, Some(0));
}

#[tokio::test]
async fn a_byte_order_mark_is_skipped() {
    let checked = run_with_input(&["check", "--strict", "-"], &format!("\u{feff}{VALID}")).await;
    assert_eq!((checked.code, &*checked.out), (Some(0), ""));
    let doubtful = VALID.replace("ENABLED", "MAYBE");
    let plain = run_with_input(&["check", "-"], &doubtful).await;
    let marked = run_with_input(&["check", "-"], &format!("\u{feff}{doubtful}")).await;
    assert_eq!(marked.out, plain.out);
    let broken = run_with_input(&["check", "-"], "\u{feff}{,").await;
    assert!(broken.out.starts_with("-:1:2: error: "), "{broken:?}");
}

/// What can never work, with its position and what was probably meant.
#[tokio::test]
async fn rules_that_can_never_work_cause_warnings() {
    let flag = r#"{"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "off",
 "targeting": {"if": [{"endswith": [{"var": "email"}, "@corp.example"]}, "no",
  {"$ref": "staf"}, "on"]}}"#;
    let staff = r#"{"==": [{"var": "targetingkey"}, 9007199254740993]}"#;
    let text =
        format!("{{\"flags\": {{\"a\": {flag}}},\n\"$evaluators\": {{\"staff\": {staff}}}}}");
    let checked = run_with_input(&["check", "--strict", "-"], &text).await;
    assert_eq!(checked.code, Some(1));
    let lines: Vec<&str> = checked.out.lines().collect();
    let expected = [
        "-:2:24: warning: flag `a`: `endswith` is not an operator: it fails (PARSE_ERROR) where it is \
            evaluated; did you mean `ends_with`?",
        "-:2:74: warning: flag `a`: `no` is not a variant of the flag (GENERAL); did you mean `on`?",
        "-:3:12: warning: flag `a`: evaluator `staf` does not exist: the reference fails (PARSE_ERROR) \
            where it is evaluated; did you mean `staff`?",
        "-:4:42: warning: names are case-sensitive: did you mean `targetingKey`?",
        "-:4:59: warning: a 64-bit float cannot represent this number, which is read as \
            9007199254740992",
    ];
    assert_eq!(lines, expected, "{checked:#?}");
}

/// A definition can neither forge a line of output nor control the terminal.
#[tokio::test]
async fn control_characters_are_escaped() {
    let text = r#"{"flags": {"a\nb\u001b": {"state": "ENABLED", "variants": {"on": true},
        "targeting": {"no\u001b[31m\npe": [1]}}}}"#;
    let checked = run_with_input(&["check", "-"], text).await;
    assert_eq!(checked.out.lines().count(), 2, "{checked:?}");
    assert!(!checked.out.contains('\u{1b}'), "{checked:?}");
    assert!(checked.out.contains(r"flag `a\nb\u{1b}`: `no\u{1b}[31m\npe` is not"), "{checked:?}");
}
