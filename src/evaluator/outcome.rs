//! Evaluation: from a flag and a context to an outcome.
//!
//! The table in the [documentation of the evaluator](super#results) says which
//! outcome each case has.
//!
//! The type of the value is checked last, and by the caller: [`Outcome::boolean`]
//! and its siblings fail with `TYPE_MISMATCH`. That way a request for all flags,
//! which does not ask for a type, takes the same path.
//!
//! An outcome borrows everything from the flag set, so that nothing is copied
//! that the caller does not want.

use serde_json::{Map, Value as Json};

use super::{
    context::Context,
    flag_set::FlagSet,
    json_text,
    load::flag::Flag,
    number,
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

/// Why a flag has the value that it has: a [resolution
/// reason](https://openfeature.dev/specification/types#resolution-details) of the
/// OpenFeature specification, as flagd uses it.
///
/// ```
/// use flagstaff::evaluator::{FlagSet, Reason};
/// use serde_json::Map;
///
/// let flags = FlagSet::parse(
///     r#"{"flags": {
///         "fixed": {"variants": {"a": 1}, "defaultVariant": "a"},
///         "off": {"state": "DISABLED", "variants": {"a": 1}, "defaultVariant": "a"},
///         "empty": {"variants": {"a": 1}}
///     }}"#,
/// )?;
/// let reason = |key| flags.evaluate(key, &Map::new()).reason;
/// assert_eq!(reason("fixed"), Reason::Static);
/// assert_eq!(reason("off"), Reason::Disabled);
/// assert_eq!(reason("empty"), Reason::Default);
/// assert_eq!(reason("missing"), Reason::Error);
/// # Ok::<(), flagstaff::evaluator::DefinitionError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The flag has no targeting rule: the value does not depend on the context.
    Static,
    /// The targeting rule chose the variant.
    TargetingMatch,
    /// The targeting rule returned null, and the value is that of the default
    /// variant; or there is no default variant, and so no value.
    Default,
    /// The flag is disabled, and has no value.
    Disabled,
    /// The evaluation failed, and has no value.
    Error,
}

impl Reason {
    /// The name of the reason in the OpenFeature specification, such as
    /// `TARGETING_MATCH`.
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

/// What went wrong in an evaluation: an [error
/// code](https://openfeature.dev/specification/types#error-code) of the
/// OpenFeature specification.
///
/// Its text is flagd's message for the error. It is the same for every flag, and
/// so names neither flag nor variant.
///
/// ```
/// use flagstaff::evaluator::{ErrorCode, FlagSet};
/// use serde_json::Map;
///
/// let outcome = FlagSet::default();
/// let outcome = outcome.evaluate("missing", &Map::new());
/// assert_eq!(outcome.error, Some(ErrorCode::FlagNotFound));
/// assert_eq!(ErrorCode::FlagNotFound.as_str(), "FLAG_NOT_FOUND");
/// assert_eq!(ErrorCode::FlagNotFound.to_string(), "Flag not found");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorCode {
    /// The set has no flag with this key.
    #[error("Flag not found")]
    FlagNotFound,
    /// The targeting rule cannot be evaluated: it has an unknown operator, an
    /// argument that an operator does not accept, an unresolved reference, or
    /// takes too many steps.
    #[error("Error parsing input or configuration")]
    ParseError,
    /// The value is of another type than requested. Only the typed methods of
    /// [`Outcome`] return it.
    #[error("Type mismatch error")]
    TypeMismatch,
    /// The result of the targeting rule is not the name of a variant of the flag.
    #[error("General error")]
    General,
}

impl ErrorCode {
    /// The name of the error code in the OpenFeature specification, such as
    /// `FLAG_NOT_FOUND`.
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

/// The result of an evaluation, borrowed from the flag set.
///
/// Read the value with the method for the type that you expect. All of these
/// methods have three results: `Ok(Some(value))`; `Ok(None)`, which means that
/// the caller's default value is to be used, although nothing failed; and an
/// error.
///
/// ```
/// use flagstaff::evaluator::{ErrorCode, FlagSet};
/// use serde_json::Map;
///
/// let flags = FlagSet::parse(
///     r#"{"flags": {
///         "limit": {"variants": {"low": 10}, "defaultVariant": "low"},
///         "old-limit": {"state": "DISABLED", "variants": {"low": 5}}
///     }}"#,
/// )?;
/// let limit = flags.evaluate("limit", &Map::new());
/// assert_eq!(limit.integer(), Ok(Some(10)));
/// assert_eq!(limit.variant, Some("low"));
/// assert_eq!(limit.boolean(), Err(ErrorCode::TypeMismatch));
///
/// let disabled = flags.evaluate("old-limit", &Map::new());
/// assert_eq!(disabled.integer().map(|value| value.unwrap_or(3)), Ok(3));
/// # Ok::<(), flagstaff::evaluator::DefinitionError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Outcome<'f> {
    /// The value, of any type; `None` where the caller's default value is to be
    /// used, and if the evaluation failed.
    pub value: Option<&'f Json>,
    /// The name of the variant, if there is a value.
    pub variant: Option<&'f str>,
    /// Why the flag has this value, or none.
    pub reason: Reason,
    /// The metadata of the flag with that of its set under it; for a missing
    /// flag, that of the set. Disabled flags and failed evaluations have it, too.
    pub metadata: &'f Map<String, Json>,
    /// What went wrong. It is there if and only if the reason is
    /// [`Reason::Error`].
    pub error: Option<ErrorCode>,
}

impl<'f> Outcome<'f> {
    /// The value as a boolean; `None` where the caller's default value is to be
    /// used.
    ///
    /// # Errors
    ///
    /// When the evaluation failed, or the value is of another type.
    pub fn boolean(&self) -> Result<Option<bool>, ErrorCode> {
        self.typed(Json::as_bool)
    }

    /// The value as a string; `None` where the caller's default value is to be
    /// used.
    ///
    /// # Errors
    ///
    /// When the evaluation failed, or the value is of another type.
    pub fn string(&self) -> Result<Option<&'f str>, ErrorCode> {
        self.typed(Json::as_str)
    }

    /// The value as an integer, without its fraction: 1.5 gives 1, and -1.5 gives
    /// -1. `None` where the caller's default value is to be used.
    ///
    /// flagd knows only one type of number, a 64-bit float, and so an integer
    /// beyond 2^53 may be rounded.
    ///
    /// ```
    /// use flagstaff::evaluator::{ErrorCode, FlagSet};
    /// use serde_json::Map;
    ///
    /// let flags = FlagSet::parse(
    ///     r#"{"flags": {
    ///         "ratio": {"variants": {"a": 1.5}, "defaultVariant": "a"},
    ///         "huge": {"variants": {"a": 1e20}, "defaultVariant": "a"}
    ///     }}"#,
    /// )?;
    /// let ratio = flags.evaluate("ratio", &Map::new());
    /// assert_eq!(ratio.integer(), Ok(Some(1)));
    /// assert_eq!(ratio.float(), Ok(Some(1.5)));
    /// let huge = flags.evaluate("huge", &Map::new());
    /// assert_eq!(huge.integer(), Err(ErrorCode::TypeMismatch));
    /// # Ok::<(), flagstaff::evaluator::DefinitionError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When the evaluation failed, or the value is of another type or does not
    /// fit 64 bits.
    pub fn integer(&self) -> Result<Option<i64>, ErrorCode> {
        self.typed(|value| {
            let float = value.as_f64()?;
            let integer = number::to_integer(float);
            #[allow(clippy::cast_precision_loss, clippy::float_cmp)]
            let fits = integer != i64::MIN || float == i64::MIN as f64;
            fits.then_some(integer)
        })
    }

    /// The value as a float, whether or not it has a fraction; `None` where the
    /// caller's default value is to be used.
    ///
    /// # Errors
    ///
    /// When the evaluation failed, or the value is of another type.
    pub fn float(&self) -> Result<Option<f64>, ErrorCode> {
        self.typed(Json::as_f64)
    }

    /// The value as an object; `None` where the caller's default value is to be
    /// used.
    ///
    /// For an array, read [`value`](Self::value): flagd has no request for
    /// arrays.
    ///
    /// ```
    /// use flagstaff::evaluator::FlagSet;
    /// use serde_json::Map;
    ///
    /// let flags = FlagSet::parse(
    ///     r#"{"flags": {"theme": {
    ///         "variants": {"dark": {"background": "black", "contrast": 7}},
    ///         "defaultVariant": "dark"
    ///     }}}"#,
    /// )?;
    /// let theme = flags.evaluate("theme", &Map::new()).object();
    /// assert_eq!(theme.ok().flatten().map(|theme| &theme["background"]), Some(&"black".into()));
    /// # Ok::<(), flagstaff::evaluator::DefinitionError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When the evaluation failed, or the value is of another type. An array is
    /// of another type.
    pub fn object(&self) -> Result<Option<&'f Map<String, Json>>, ErrorCode> {
        self.typed(Json::as_object)
    }

    /// The value as `read` has it, which returns `None` for other types.
    fn typed<T>(&self, read: impl FnOnce(&'f Json) -> Option<T>) -> Result<Option<T>, ErrorCode> {
        match (self.error, self.value) {
            (Some(error), _) => Err(error),
            (None, None) => Ok(None),
            (None, Some(value)) => read(value).map(Some).ok_or(ErrorCode::TypeMismatch),
        }
    }
}

impl FlagSet {
    /// Evaluates a flag for a context.
    ///
    /// It does not block, and fails only by its [`Outcome`]. How long it takes
    /// depends on the rule, which may take 5 million steps at most. The clock is
    /// read only if the rule reads `$flagd.timestamp`.
    ///
    /// ```
    /// use flagstaff::evaluator::{FlagSet, Reason};
    /// use serde_json::{Map, json};
    ///
    /// let flags = FlagSet::parse(
    ///     r#"{"flags": {"button": {
    ///         "variants": {"red": "crimson", "blue": "navy"},
    ///         "defaultVariant": "blue",
    ///         "targeting": {"fractional": [["red", 50], ["blue", 50]]}
    ///     }}}"#,
    /// )?;
    /// let context = Map::from_iter([("targetingKey".to_owned(), json!("user-1"))]);
    /// let outcome = flags.evaluate("button", &context);
    /// assert_eq!(outcome.reason, Reason::TargetingMatch);
    ///
    /// // Without a targeting key, `fractional` is null, and the default variant is used.
    /// let outcome = flags.evaluate("button", &Map::new());
    /// assert_eq!((outcome.variant, outcome.reason), (Some("blue"), Reason::Default));
    /// # Ok::<(), flagstaff::evaluator::DefinitionError>(())
    /// ```
    pub fn evaluate(&self, key: &str, context: &dyn Context) -> Outcome<'_> {
        self.evaluate_with(key, context, None)
    }

    /// Evaluates a flag as [`evaluate`](Self::evaluate) does, but at a given
    /// time, in Unix seconds. It is for tests of rules that read
    /// `$flagd.timestamp`.
    ///
    /// ```
    /// use flagstaff::evaluator::FlagSet;
    /// use serde_json::Map;
    ///
    /// let flags = FlagSet::parse(
    ///     r#"{"flags": {"sale": {
    ///         "variants": {"on": true, "off": false},
    ///         "defaultVariant": "off",
    ///         "targeting": {"if": [{">=": [{"var": "$flagd.timestamp"}, 1764547200]}, "on"]}
    ///     }}}"#,
    /// )?;
    /// let on = |now| flags.evaluate_at("sale", &Map::new(), now).boolean();
    /// assert_eq!(on(1_764_547_199), Ok(Some(false)));
    /// assert_eq!(on(1_764_547_200), Ok(Some(true)));
    /// # Ok::<(), flagstaff::evaluator::DefinitionError>(())
    /// ```
    pub fn evaluate_at(&self, key: &str, context: &dyn Context, now: i64) -> Outcome<'_> {
        self.evaluate_with(key, context, Some(now))
    }

    /// Evaluates a flag; without a timestamp, the clock is read when the rule
    /// reads it.
    ///
    /// The variables that a rule reads more than once are looked up once. Up to
    /// [`FEW`] of them are held on the stack, in one of two sizes, so that the
    /// usual rule with a few does not pay for clearing an array of 32.
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
    /// Evaluates the rule with room for the variables that it reads more than
    /// once.
    fn with_slots(
        &self,
        rule: &Rule,
        root: &Root<'_>,
        kept: &dyn Kept,
        bucketing: Bucketing,
    ) -> Outcome<'_> {
        self.targeted(rule, &Root { kept: Some(kept), ..*root }, bucketing)
    }

    /// Evaluates the rule, and finds the variant that it names.
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

    /// An outcome without a value for this reason.
    fn without_value(&self, reason: Reason) -> Outcome<'_> {
        let metadata = &self.metadata;
        Outcome { value: None, variant: None, reason, metadata, error: None }
    }

    /// An outcome with the reason `ERROR`.
    fn failed(&self, error: ErrorCode) -> Outcome<'_> {
        Outcome { error: Some(error), ..self.without_value(Reason::Error) }
    }

    /// The default variant, for this reason. Without a default variant the reason
    /// is always `DEFAULT`.
    fn fallback(&self, reason: Reason) -> Outcome<'_> {
        let default = self.default_variant.as_ref();
        match default.and_then(|name| self.variants.get_key_value(name)) {
            Some((name, value)) => {
                Outcome { value: Some(value), variant: Some(name), ..self.without_value(reason) }
            }
            None => self.without_value(Reason::Default),
        }
    }

    /// The variant that the result of a rule names, or `None` if there is no such
    /// variant.
    ///
    /// flagd passes results as JSON text, from which it drops the quotes. So `true`
    /// names the variant `true`, 1.0 the variant `1`, and the array `["a", "b"]`
    /// the variant `[a,b]`, while a variant whose name contains a character that
    /// JSON escapes cannot be chosen. For strings, booleans and small numbers the
    /// text is known without being written.
    ///
    /// # Errors
    ///
    /// When the result has no JSON text because of an infinite number or NaN.
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
