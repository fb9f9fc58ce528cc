//! LaunchDarkly's own description of its API, against which the fake checks what it receives and what
//! it answers.
//!
//! It is looked for in the folder that `FLAGSTAFF_LAUNCHDARKLY_DIR` names, else in
//! `../shared/launchdarkly`. Without it, bodies are not checked, which is said; with
//! `FLAGSTAFF_REQUIRE_PEERS=1` the tests fail instead.

use std::{collections::HashMap, env, fs, path::PathBuf, sync::LazyLock};

use jsonschema::Validator;
use serde_json::{Value, json};

/// The schemas of the document, by name. None: there is no document.
static DOCUMENT: LazyLock<Option<HashMap<&str, Validator>>> = LazyLock::new(|| match read() {
    Ok(document) => Some(validators(&document)),
    Err(reason) if env::var_os("FLAGSTAFF_REQUIRE_PEERS").is_some_and(|value| value == "1") => {
        panic!("{reason}")
    }
    Err(reason) => {
        eprintln!("ignored: bodies are not checked: {reason}");
        None
    }
});

/// The body of a semantic patch, which has no name in the document.
pub const PATCH: &str = "patch";

/// The schemas that are used.
const NAMES: [&str; 6] = [
    "FeatureFlagBody",
    "createFlagConfigApprovalRequestRequest",
    "Target",
    "FeatureFlag",
    "FlagConfigApprovalRequestResponse",
    "FlagConfigApprovalRequestsResponse",
];

/// What is wrong with a value that is to be of this schema.
pub fn problems(schema: &str, value: &Value) -> Vec<String> {
    let Some(document) = &*DOCUMENT else { return Vec::new() };
    let errors = document[schema].iter_errors(value);
    errors.map(|error| format!("{schema}{}: {error}", error.instance_path())).collect()
}

/// Whether there is a document.
pub fn is_there() -> bool {
    DOCUMENT.is_some()
}

fn read() -> Result<Value, String> {
    let folder = env::var_os("FLAGSTAFF_LAUNCHDARKLY_DIR").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/launchdarkly")),
        PathBuf::from,
    );
    let path = folder.join("openapi-flags.json");
    let text = fs::read_to_string(&path);
    let text = text.map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
}

fn validators(document: &Value) -> HashMap<&'static str, Validator> {
    let mut document = document.clone();
    close(&mut document);
    let validator = |schema: &Value| {
        let mut schema = schema.clone();
        schema["components"] = document["components"].clone();
        jsonschema::validator_for(&schema).unwrap()
    };
    let named = |name: &str| validator(&json!({"$ref": format!("#/components/schemas/{name}")}));
    let patch = &document["paths"]["/api/v2/flags/{projectKey}/{featureFlagKey}"]["patch"];
    let patch = &patch["requestBody"]["content"]["application/json"]["schema"];
    let mut validators: HashMap<_, _> = NAMES.map(|name| (name, named(name))).into();
    validators.insert(PATCH, validator(patch));
    validators
}

/// Lets no object have members that its schema does not name, except for single instructions, of which
/// the document describes nothing.
fn close(value: &mut Value) {
    match value {
        Value::Object(members) => {
            if members.get("properties").is_some_and(Value::is_object)
                && !members.contains_key("additionalProperties")
            {
                members.insert("additionalProperties".to_owned(), json!(false));
            }
            let described = members.iter_mut().filter(|(name, _)| *name != "instructions");
            described.for_each(|(_, member)| close(member));
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

#[test]
fn what_the_document_does_not_describe_is_a_problem() {
    if !is_there() {
        return;
    }
    let instruction = json!({"kind": "turnFlagOn"});
    for (schema, value, expected) in [
        ("FeatureFlagBody", json!({"key": "a", "name": "b"}), 0),
        ("FeatureFlagBody", json!({"key": "a"}), 1),
        ("FeatureFlagBody", json!({"key": "a", "name": "b", "tag": []}), 1),
        ("FeatureFlagBody", json!({"key": "a", "name": "b", "tags": [1]}), 1),
        (PATCH, json!({"instructions": [instruction], "comment": "c"}), 0),
        (PATCH, json!({"instructions": [instruction], "environment": "c"}), 1),
        (PATCH, json!({"instructions": [{}]}), 1),
        ("Target", json!({"variation": 0, "values": ["a"]}), 0),
        ("Target", json!({"variation": 0, "values": [1]}), 1),
        ("createFlagConfigApprovalRequestRequest", json!({"instructions": []}), 1),
    ] {
        let problems = problems(schema, &value);
        assert_eq!(problems.len(), expected, "{schema} {value}: {problems:?}");
    }
}
