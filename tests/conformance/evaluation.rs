//! Flags, contexts and results, as the steps write them.

use std::{collections::HashMap, str::FromStr};

use open_feature::{
    Client, EvaluationContext, EvaluationContextFieldValue, EvaluationDetails, EvaluationError,
    EvaluationErrorCode, EvaluationReason, EvaluationResult, FlagMetadataValue, StructValue, Value,
};
use serde_json::{Map, Value as Json, json};

/// A type, as a step names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Boolean,
    Text,
    Integer,
    Float,
    Object,
}

impl FromStr for Type {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "Boolean" => Ok(Self::Boolean),
            "String" => Ok(Self::Text),
            "Integer" | "Long" => Ok(Self::Integer),
            "Float" | "Double" => Ok(Self::Float),
            "Object" => Ok(Self::Object),
            _ => Err(format!("no value is of type {name}")),
        }
    }
}

impl Type {
    /// The value of the text. Numbers within an object are all of one type.
    pub(crate) fn parse(self, text: &str) -> Result<Json, String> {
        let invalid = || format!("`{text}` is not a valid {self:?}");
        match self {
            Self::Text => Ok(json!(text)),
            Self::Boolean => match text.to_ascii_lowercase().as_str() {
                "true" => Ok(json!(true)),
                "false" => Ok(json!(false)),
                _ => Err(invalid()),
            },
            Self::Integer => text.parse::<i64>().map(Json::from).map_err(|_| invalid()),
            Self::Float => text.parse::<f64>().map(Json::from).map_err(|_| invalid()),
            Self::Object => {
                let value: Json = serde_json::from_str(text).map_err(|_| invalid())?;
                value.is_object().then(|| with_float_numbers(value)).ok_or_else(invalid)
            }
        }
    }
}

fn with_float_numbers(value: Json) -> Json {
    match value {
        Json::Number(number) => json!(number.as_f64()),
        Json::Array(items) => items.into_iter().map(with_float_numbers).collect(),
        Json::Object(fields) => {
            fields.into_iter().map(|(key, value)| (key, with_float_numbers(value))).collect()
        }
        other => other,
    }
}

fn from_struct(value: StructValue) -> Json {
    value.fields.into_iter().map(|(key, value)| (key, from_value(value))).collect()
}

fn from_value(value: Value) -> Json {
    match value {
        Value::Bool(value) => json!(value),
        #[allow(clippy::cast_precision_loss)] // as in all JSON
        Value::Int(value) => json!(value as f64),
        Value::Float(value) => json!(value),
        Value::String(value) => json!(value),
        Value::Array(items) => items.into_iter().map(from_value).collect(),
        Value::Struct(value) => from_struct(value),
    }
}

/// The flag of a scenario.
pub(crate) struct Flag {
    pub(crate) kind: Type,
    pub(crate) key: String,
    pub(crate) default: Json,
}

impl Flag {
    pub(crate) async fn evaluate(&self, client: &Client, context: &Context) -> Details {
        let (key, context) = (self.key.as_str(), context.to_sdk());
        let context = Some(&context);
        match self.kind {
            Type::Boolean => {
                self.details(client.get_bool_details(key, context, None).await, Json::from)
            }
            Type::Text => {
                self.details(client.get_string_details(key, context, None).await, Json::from)
            }
            Type::Integer => {
                self.details(client.get_int_details(key, context, None).await, Json::from)
            }
            Type::Float => {
                self.details(client.get_float_details(key, context, None).await, Json::from)
            }
            Type::Object => {
                self.details(client.get_struct_details(key, context, None).await, from_struct)
            }
        }
    }

    fn details<T>(
        &self,
        result: EvaluationResult<EvaluationDetails<T>>,
        to_json: fn(T) -> Json,
    ) -> Details {
        match result {
            Ok(details) => Details {
                value: to_json(details.value),
                reason: details.reason.map(|reason| reason.to_string()).unwrap_or_default(),
                variant: details.variant.unwrap_or_default(),
                error_code: String::new(),
                metadata: details.flag_metadata.values,
                message: None,
            },
            Err(error) => self.failed(error),
        }
    }

    /// The value is the default supplied by the caller.
    fn failed(&self, error: EvaluationError) -> Details {
        let reason = flagstaff::reason(&error);
        Details {
            value: self.default.clone(),
            error_code: match error.code {
                // Nothing is wrong.
                _ if reason != EvaluationReason::Error => String::new(),
                EvaluationErrorCode::General(_) => "GENERAL".to_owned(),
                code => code.to_string(),
            },
            reason: reason.to_string(),
            variant: String::new(),
            metadata: HashMap::new(),
            message: error.message,
        }
    }
}

/// The result of an evaluation; absent strings are empty.
#[derive(Debug)]
pub(crate) struct Details {
    pub(crate) value: Json,
    pub(crate) reason: String,
    pub(crate) variant: String,
    pub(crate) error_code: String,
    pub(crate) metadata: HashMap<String, FlagMetadataValue>,
    /// The message of the error, to show in a failure.
    #[allow(dead_code)] // in the Debug form only
    message: Option<String>,
}

impl Details {
    pub(crate) fn metadata(&self, key: &str) -> Option<(Type, Json)> {
        Some(match self.metadata.get(key)? {
            FlagMetadataValue::Bool(value) => (Type::Boolean, json!(value)),
            FlagMetadataValue::Int(value) => (Type::Integer, json!(value)),
            FlagMetadataValue::Float(value) => (Type::Float, json!(value)),
            FlagMetadataValue::String(value) => (Type::Text, json!(value)),
        })
    }
}

/// The evaluation context of a scenario.
#[derive(Default)]
pub(crate) struct Context {
    fields: Map<String, Json>,
}

impl Context {
    pub(crate) fn set(&mut self, key: String, value: Json) {
        self.fields.insert(key, value);
    }

    pub(crate) fn set_nested(&mut self, outer: String, inner: String, value: Json) {
        let outer = self.fields.entry(outer).or_insert_with(|| json!({}));
        outer[inner] = value;
    }

    fn to_sdk(&self) -> EvaluationContext {
        let mut context = EvaluationContext::default();
        for (key, value) in &self.fields {
            match value {
                Json::String(value) if key == "targetingKey" => {
                    context.targeting_key = Some(value.clone());
                }
                value => context.add_custom_field(key, to_field(value)),
            }
        }
        context
    }
}

fn to_field(value: &Json) -> EvaluationContextFieldValue {
    match value {
        Json::Bool(value) => EvaluationContextFieldValue::Bool(*value),
        Json::String(value) => EvaluationContextFieldValue::String(value.clone()),
        Json::Number(value) => match value.as_i64() {
            Some(value) => EvaluationContextFieldValue::Int(value),
            None => EvaluationContextFieldValue::Float(value.as_f64().unwrap()),
        },
        other => EvaluationContextFieldValue::new_struct(other.clone()),
    }
}
