//! Compares in-process evaluation of the crate open-feature-flagd with the recorded evaluations of
//! flagd in `tests/golden`, and prints how many differ.
//!
//! A case counts if flagd returned a value and the crate can be given the context: it takes no arrays,
//! objects or nulls from it, so rules that read such a field are left out.

// A measurement that fails may panic.
#![allow(clippy::unwrap_used)]

use std::{
    env, fs,
    fs::File,
    io::{BufRead as _, BufReader},
};

use flate2::read::GzDecoder;
use open_feature::{
    EvaluationContext, EvaluationContextFieldValue, StructValue, Value,
    provider::FeatureProvider as _,
};
use open_feature_flagd::resolver::in_process::resolver::FileResolver;
use serde_json::Value as Json;

const RECORDED: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/flagd-0.16.1.jsonl.gz");

#[tokio::main]
async fn main() {
    let file = env::temp_dir().join("recorded.json");
    let (mut compared, mut other, mut errors) = (0, 0, 0);
    for line in BufReader::new(GzDecoder::new(File::open(RECORDED).unwrap())).lines() {
        let case: Json = serde_json::from_str(&line.unwrap()).unwrap();
        let Some(expected) = case["v2"].get("value") else { continue };
        let definition = case["flags"].to_string();
        let Some(context) = context(&case["context"], &definition) else { continue };
        fs::write(&file, definition).unwrap();
        compared += 1;
        match evaluate(file.to_str().unwrap(), &case, &context).await {
            Some(value) if same(&value, expected) => {}
            Some(_) => other += 1,
            None => errors += 1,
        }
    }
    let differ = other + errors;
    println!("{differ} of {compared} differ: {other} have another value, {errors} are errors");
}

/// The value, or `None` where the evaluation fails.
async fn evaluate(file: &str, case: &Json, context: &EvaluationContext) -> Option<Json> {
    let key = case["key"].as_str()?;
    let provider = FileResolver::new(file.to_owned(), None).await.ok()?;
    Some(match case["type"].as_str()? {
        "boolean" => provider.resolve_bool_value(key, context).await.ok()?.value.into(),
        "string" => provider.resolve_string_value(key, context).await.ok()?.value.into(),
        "integer" => provider.resolve_int_value(key, context).await.ok()?.value.into(),
        "float" => provider.resolve_float_value(key, context).await.ok()?.value.into(),
        _ => object(&provider.resolve_struct_value(key, context).await.ok()?.value),
    })
}

/// The context, or `None` where the definition reads what it cannot hold.
fn context(fields: &Json, definition: &str) -> Option<EvaluationContext> {
    // The empty path is the whole context.
    if definition.contains("\"var\":\"\"") {
        return None;
    }
    let reads = |name: &str| {
        [format!("\"{name}\""), format!("\"{name}.")].iter().any(|it| definition.contains(it))
    };
    let mut context = EvaluationContext::default();
    for (name, value) in fields.as_object()? {
        let value = match value {
            Json::String(key) if name == "targetingKey" => {
                context = context.with_targeting_key(key.as_str());
                continue;
            }
            Json::Bool(value) => EvaluationContextFieldValue::Bool(*value),
            Json::String(value) => EvaluationContextFieldValue::String(value.clone()),
            Json::Number(value) => match value.as_i64() {
                Some(value) => EvaluationContextFieldValue::Int(value),
                None => EvaluationContextFieldValue::Float(value.as_f64()?),
            },
            _ if reads(name) => return None,
            _ => continue,
        };
        context = context.with_custom_field(name.clone(), value);
    }
    Some(context)
}

fn object(value: &StructValue) -> Json {
    Json::Object(value.fields.iter().map(|(name, value)| (name.clone(), json(value))).collect())
}

fn json(value: &Value) -> Json {
    match value {
        Value::Bool(value) => (*value).into(),
        Value::Int(value) => (*value).into(),
        Value::Float(value) => (*value).into(),
        Value::String(value) => value.clone().into(),
        Value::Array(values) => values.iter().map(json).collect(),
        Value::Struct(value) => object(value),
    }
}

/// Whether two values are the same, with 1 and 1.0 as one number.
fn same(left: &Json, right: &Json) -> bool {
    match (left, right) {
        (Json::Number(left), Json::Number(right)) => left.as_f64() == right.as_f64(),
        (Json::Array(left), Json::Array(right)) => {
            left.len() == right.len()
                && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Json::Object(left), Json::Object(right)) => {
            let member = |(name, value)| right.get(name).is_some_and(|it| same(value, it));
            left.len() == right.len() && left.iter().all(member)
        }
        _ => left == right,
    }
}
