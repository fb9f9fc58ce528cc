//! What an evaluation gives.

use serde_json::{Map, Value as Json};

use super::{
    context::Context,
    flag::Flag,
    flag_set::FlagSet,
    json_text, number,
    value::{Fail, Kept, Object, Root, Value},
};
use crate::{
    bucketing::Bucketing,
    evaluator::rule::{
        eval,
        node::Rule,
        run::Run,
        slots::{FEW, Slots},
    },
};

/// Why a flag has the value that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The flag has no targeting rule.
    Static,
    /// The targeting rule chose the variant.
    TargetingMatch,
    /// The targeting rule chose none; or there is no default variant, and so no value.
    Default,
    /// The flag is disabled, and has no value.
    Disabled,
    /// The evaluation failed.
    Error,
}

impl Reason {
    /// The name that the OpenFeature specification gives it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Static => "STATIC",
            Self::TargetingMatch => "TARGETING_MATCH",
            Self::Default => "DEFAULT",
            Self::Disabled => "DISABLED",
            Self::Error => "ERROR",
        }
    }
}

/// What went wrong in an evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorCode {
    /// There is no flag of this key.
    #[error("Flag not found")]
    FlagNotFound,
    /// The targeting rule cannot be evaluated.
    #[error("Error parsing input or configuration")]
    ParseError,
    /// The value is of another type than asked.
    #[error("Type mismatch error")]
    TypeMismatch,
    /// The targeting rule chose a variant that there is not.
    #[error("General error")]
    General,
}

impl ErrorCode {
    /// The name that the OpenFeature specification gives it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FlagNotFound => "FLAG_NOT_FOUND",
            Self::ParseError => "PARSE_ERROR",
            Self::TypeMismatch => "TYPE_MISMATCH",
            Self::General => "GENERAL",
        }
    }
}

/// What an evaluation gives, borrowed from the flag set.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Outcome<'f> {
    /// The value, of whatever type; none where the caller's default is to be used.
    pub value: Option<&'f Json>,
    /// The variant, if there is a value.
    pub variant: Option<&'f str>,
    /// Why.
    pub reason: Reason,
    /// The metadata of the flag and its set; of a missing flag, the set's.
    pub metadata: &'f Map<String, Json>,
    /// What went wrong, with [`Reason::Error`].
    pub error: Option<ErrorCode>,
}

impl<'f> Outcome<'f> {
    /// The value as a boolean.
    ///
    /// # Errors
    ///
    /// When the evaluation failed, or the value is of another type.
    pub fn boolean(&self) -> Result<Option<bool>, ErrorCode> {
        self.typed(Json::as_bool)
    }

    /// The value as text.
    ///
    /// # Errors
    ///
    /// When the evaluation failed, or the value is of another type.
    pub fn string(&self) -> Result<Option<&'f str>, ErrorCode> {
        self.typed(Json::as_str)
    }

    /// The value as an integer: of 1.5, that is 1.
    ///
    /// # Errors
    ///
    /// When the evaluation failed, or the value is of another type or beyond 64 bits.
    pub fn integer(&self) -> Result<Option<i64>, ErrorCode> {
        self.typed(|value| {
            let float = value.as_f64()?;
            let integer = number::to_integer(float);
            #[allow(clippy::cast_precision_loss, clippy::float_cmp)]
            let fits = integer != i64::MIN || float == i64::MIN as f64;
            fits.then_some(integer)
        })
    }

    /// The value as a float.
    ///
    /// # Errors
    ///
    /// When the evaluation failed, or the value is of another type.
    pub fn float(&self) -> Result<Option<f64>, ErrorCode> {
        self.typed(Json::as_f64)
    }

    /// The value as an object.
    ///
    /// # Errors
    ///
    /// When the evaluation failed, or the value is of another type: a list is.
    pub fn object(&self) -> Result<Option<&'f Map<String, Json>>, ErrorCode> {
        self.typed(Json::as_object)
    }

    fn typed<T>(&self, read: impl FnOnce(&'f Json) -> Option<T>) -> Result<Option<T>, ErrorCode> {
        match (self.error, self.value) {
            (Some(error), _) => Err(error),
            (None, None) => Ok(None),
            (None, Some(value)) => read(value).map(Some).ok_or(ErrorCode::TypeMismatch),
        }
    }
}

impl FlagSet {
    /// Evaluates a flag. The clock is read only if its rule asks for `$flagd.timestamp`.
    pub fn evaluate(&self, key: &str, context: &dyn Context) -> Outcome<'_> {
        self.evaluate_with(key, context, None)
    }

    /// Evaluates a flag as of a time, in Unix seconds.
    pub fn evaluate_at(&self, key: &str, context: &dyn Context, now: i64) -> Outcome<'_> {
        self.evaluate_with(key, context, Some(now))
    }

    fn evaluate_with(
        &self,
        key: &str,
        context: &dyn Context,
        timestamp: Option<i64>,
    ) -> Outcome<'_> {
        let Some(flag) = self.flags.get(key) else {
            let metadata = &self.metadata;
            let error = Some(ErrorCode::FlagNotFound);
            return Outcome { value: None, variant: None, reason: Reason::Error, metadata, error };
        };
        if flag.disabled {
            return flag.without_value(Reason::Disabled);
        }
        let Some(rule) = &flag.targeting else { return flag.fallback(Reason::Static) };
        let root = Root { context, flag_key: key, timestamp, kept: None };
        match rule.slots {
            0 => flag.targeted(rule, &root, self.bucketing),
            1..=4 => flag.with_slots(rule, &root, &Slots::<[_; 4]>::new(&root), self.bucketing),
            5..=FEW => flag.with_slots(rule, &root, &Slots::<[_; FEW]>::new(&root), self.bucketing),
            many => flag.with_slots(rule, &root, &Slots::many(&root, many), self.bucketing),
        }
    }
}

impl Flag {
    fn with_slots(
        &self,
        rule: &Rule,
        root: &Root<'_>,
        kept: &dyn Kept,
        bucketing: Bucketing,
    ) -> Outcome<'_> {
        self.targeted(rule, &Root { kept: Some(kept), ..*root }, bucketing)
    }

    /// What the rule gives.
    fn targeted(&self, rule: &Rule, root: &Root<'_>, bucketing: Bucketing) -> Outcome<'_> {
        let data = Value::Object(Object::Root(root));
        match eval::eval(&rule.node, &data, &Run::new(bucketing)) {
            Ok(Value::Null) => self.fallback(Reason::Default),
            Ok(result) => match self.chosen(&result) {
                Ok(Some((variant, value))) => Outcome {
                    value: Some(value),
                    variant: Some(variant),
                    reason: Reason::TargetingMatch,
                    metadata: &self.metadata,
                    error: None,
                },
                Ok(None) => self.failed(ErrorCode::General),
                Err(Fail(_)) => self.failed(ErrorCode::ParseError),
            },
            Err(Fail(_)) => self.failed(ErrorCode::ParseError),
        }
    }

    fn without_value(&self, reason: Reason) -> Outcome<'_> {
        let metadata = &self.metadata;
        Outcome { value: None, variant: None, reason, metadata, error: None }
    }

    fn failed(&self, error: ErrorCode) -> Outcome<'_> {
        Outcome { error: Some(error), ..self.without_value(Reason::Error) }
    }

    /// The default variant, for this reason; without one, the reason is always the same.
    fn fallback(&self, reason: Reason) -> Outcome<'_> {
        let default = self.default_variant.as_ref();
        match default.and_then(|name| self.variants.get_key_value(name)) {
            Some((name, value)) => {
                Outcome { value: Some(value), variant: Some(name), ..self.without_value(reason) }
            }
            None => self.without_value(Reason::Default),
        }
    }

    /// The variant that a rule's result names: by its JSON text, of which the quotes are dropped.
    fn chosen(&self, result: &Value<'_>) -> Result<Option<(&str, &Json)>, Fail> {
        let named =
            |name: &str| self.variants.get_key_value(name).map(|(name, value)| (&**name, value));
        match result {
            Value::Text(name) if json_text::is_plain(name) => Ok(named(name)),
            Value::Bool(value) => Ok(named(if *value { "true" } else { "false" })),
            Value::Number(number) if number::is_short(*number) => {
                let mut room = [0; number::SHORT];
                Ok(named(number::short(*number, &mut room)))
            }
            _ => {
                let mut text = String::new();
                result.write_json(&mut text)?;
                text.retain(|c| c != '"');
                Ok(named(&text))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(flag: &Json) -> FlagSet {
        FlagSet::parse(&json!({"flags": {"f": flag}, "metadata": {"a": 1}}).to_string()).unwrap()
    }

    fn chosen(targeting: &Json, variant: &str) -> Result<String, ErrorCode> {
        let set = set(&json!({"variants": {variant: variant, "d": ""}, "defaultVariant": "d",
            "targeting": targeting}));
        let outcome = set.evaluate("f", &Map::new());
        outcome.error.map_or(Ok(outcome.variant.unwrap_or_default().to_owned()), Err)
    }

    #[test]
    fn results_are_variants_by_their_text() {
        for (rule, variant) in [
            (json!(true), "true"),
            (json!(1.0), "1"),
            (json!({"+": [1e21]}), "1e+21"),
            (json!(["a", {"cat": ["b", "c"]}]), "[a,bc]"),
            (json!({}), "d"),
            (json!({"var": "$flagd.flagKey"}), "f"),
            (json!("a\"b"), "a\\b"),
            (json!(" a "), " a "),
            (json!(null), "d"),
            (json!("null"), "null"),
        ] {
            assert_eq!(chosen(&rule, variant).as_deref(), Ok(variant), "{rule}");
        }
    }

    #[test]
    fn results_that_are_no_variants() {
        assert_eq!(chosen(&json!("x"), "y"), Err(ErrorCode::General));
        assert_eq!(chosen(&json!("<"), "<"), Err(ErrorCode::General));
        assert_eq!(chosen(&json!({"/": [1, 0]}), "+Inf"), Err(ErrorCode::ParseError));
    }

    #[test]
    fn reasons_and_values() {
        let flag = json!({"variants": {"v": 1.5}, "defaultVariant": "v"});
        let flags = set(&flag);
        let outcome = flags.evaluate("f", &Map::new());
        assert_eq!(
            (outcome.reason, outcome.integer(), outcome.float()),
            (Reason::Static, Ok(Some(1)), Ok(Some(1.5)))
        );
        assert_eq!(outcome.boolean(), Err(ErrorCode::TypeMismatch));

        let flags = set(&json!({"variants": {"v": 1e20}, "defaultVariant": "v"}));
        assert_eq!(flags.evaluate("f", &Map::new()).integer(), Err(ErrorCode::TypeMismatch));

        let flags = set(&json!({"state": "DISABLED", "metadata": {"b": 2, "c": null}}));
        let outcome = flags.evaluate("f", &Map::new());
        assert_eq!((outcome.reason, outcome.boolean()), (Reason::Disabled, Ok(None)));
        assert_eq!(Json::Object(outcome.metadata.clone()), json!({"a": 1, "b": 2}));

        let outcome = flags.evaluate("other", &Map::new());
        assert_eq!(outcome.error, Some(ErrorCode::FlagNotFound));
        assert_eq!(Json::Object(outcome.metadata.clone()), json!({"a": 1}));
    }
}
