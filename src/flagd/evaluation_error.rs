//! The errors that an evaluation returns to the SDK.

use open_feature::{EvaluationError, EvaluationErrorCode, EvaluationReason};

use crate::{excerpt::excerpt, flagd::convert::value::NullInList};

/// Messages of a response without value begin so: the caller's default is the value.
pub(crate) const NO_DEFAULT_VARIANT: &str = "DEFAULT: ";
/// Messages of a disabled flag begin so: the caller's default is the value.
pub(crate) const DISABLED: &str = "DISABLED: ";

/// Messages of calls that took too long begin so.
pub(crate) const DEADLINE_EXCEEDED: &str = "DEADLINE_EXCEEDED";

pub(crate) fn evaluation_error(code: EvaluationErrorCode, message: String) -> EvaluationError {
    EvaluationError { code, message: Some(message) }
}

pub(crate) fn not_ready(message: impl Into<String>) -> EvaluationError {
    evaluation_error(EvaluationErrorCode::ProviderNotReady, message.into())
}

pub(crate) fn general(message: String) -> EvaluationError {
    evaluation_error(EvaluationErrorCode::General("GENERAL".to_owned()), message)
}

pub(crate) fn disabled(flag_key: &str) -> EvaluationError {
    let key = excerpt(flag_key);
    general(format!("{DISABLED}flag `{key}` is disabled; the caller's default applies"))
}

pub(crate) fn no_default_variant(flag_key: &str) -> EvaluationError {
    let message = format!(
        "{NO_DEFAULT_VARIANT}flag `{}` gave no value; the caller's default applies",
        excerpt(flag_key)
    );
    evaluation_error(EvaluationErrorCode::FlagNotFound, message)
}

pub(crate) fn null_in_list(flag_key: &str, NullInList { path }: &NullInList) -> EvaluationError {
    let message = format!(
        "flag `{flag_key}`: the array item `{path}` is null, which the values of the OpenFeature SDK cannot be: \
         give the item a value in the flag's definition, or evaluate with `FlagdProvider::resolve_json`"
    );
    evaluation_error(EvaluationErrorCode::ParseError, message)
}

/// The reason behind an evaluation error of this provider.
///
/// A flag that is disabled, or that has no default variant and matched no rule, has no value of its
/// own: the caller's default is right, and nothing is wrong. The SDK for Rust gives a provider no
/// way to return the caller's default, so these are errors too; this function tells them apart.
///
/// * [`Disabled`](EvaluationReason::Disabled): the flag is disabled.
/// * [`Default`](EvaluationReason::Default): the flag gave no value.
/// * [`Error`](EvaluationReason::Error): everything else.
///
/// ```
/// use flagstaff::reason;
/// use open_feature::{EvaluationError, EvaluationErrorCode, EvaluationReason};
///
/// let error = EvaluationError::builder()
///     .code(EvaluationErrorCode::General("GENERAL".to_owned()))
///     .message("DISABLED: flag `beta` is disabled")
///     .build();
/// assert_eq!(reason(&error), EvaluationReason::Disabled);
/// ```
#[must_use]
pub fn reason(error: &EvaluationError) -> EvaluationReason {
    let begins = |prefix| error.message.as_deref().is_some_and(|text| text.starts_with(prefix));
    match error.code {
        EvaluationErrorCode::FlagNotFound if begins(NO_DEFAULT_VARIANT) => {
            EvaluationReason::Default
        }
        EvaluationErrorCode::General(_) if begins(DISABLED) => EvaluationReason::Disabled,
        _ => EvaluationReason::Error,
    }
}
