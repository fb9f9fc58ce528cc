//! The errors that an evaluation returns to the SDK.

use std::fmt::Display;

use open_feature::{EvaluationError, EvaluationErrorCode, EvaluationReason};

use crate::{excerpt::excerpt, flagd::convert::value::NullInList};

/// Errors that a program, or the log, must tell from others of the same code. The SDK gives a provider
/// no other place for that than the message, which begins with a word for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Marked {
    /// The flag is disabled: the default value of the caller applies.
    Disabled,
    /// The flag gave no value: the default value of the caller applies.
    NoDefaultVariant,
    /// The call took too long.
    DeadlineExceeded,
}

impl Marked {
    const ALL: [Self; 3] = [Self::Disabled, Self::NoDefaultVariant, Self::DeadlineExceeded];

    fn word(self) -> &'static str {
        match self {
            Self::Disabled => "DISABLED",
            Self::NoDefaultVariant => "DEFAULT",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
        }
    }

    fn code(self) -> EvaluationErrorCode {
        match self {
            Self::Disabled | Self::DeadlineExceeded => general_code(),
            Self::NoDefaultVariant => EvaluationErrorCode::FlagNotFound,
        }
    }

    pub(crate) fn error(self, message: impl Display) -> EvaluationError {
        evaluation_error(self.code(), format!("{}: {message}", self.word()))
    }

    /// Which of these an error is.
    pub(crate) fn of(error: &EvaluationError) -> Option<Self> {
        let (word, _) = error.message.as_deref()?.split_once(": ")?;
        Self::ALL.into_iter().find(|it| it.word() == word && it.code() == error.code)
    }
}

pub(crate) fn evaluation_error(code: EvaluationErrorCode, message: String) -> EvaluationError {
    EvaluationError { code, message: Some(message) }
}

pub(crate) fn not_ready(message: impl Into<String>) -> EvaluationError {
    evaluation_error(EvaluationErrorCode::ProviderNotReady, message.into())
}

fn general_code() -> EvaluationErrorCode {
    EvaluationErrorCode::General("GENERAL".to_owned())
}

pub(crate) fn general(message: String) -> EvaluationError {
    evaluation_error(general_code(), message)
}

const CALLERS_DEFAULT: &str = "the default value supplied by the caller applies";

pub(crate) fn disabled(flag_key: &str) -> EvaluationError {
    let key = excerpt(flag_key);
    Marked::Disabled.error(format_args!("flag `{key}` is disabled; {CALLERS_DEFAULT}"))
}

pub(crate) fn no_default_variant(flag_key: &str) -> EvaluationError {
    let key = excerpt(flag_key);
    let message = format_args!("flag `{key}` resolved to no value; {CALLERS_DEFAULT}");
    Marked::NoDefaultVariant.error(message)
}

pub(crate) fn null_in_list(flag_key: &str, NullInList { path }: &NullInList) -> EvaluationError {
    let key = excerpt(flag_key);
    let message = format!(
        "flag `{key}`: the array item `{path}` is null, which values of the OpenFeature SDK cannot represent: \
         replace it in the flag's definition, or evaluate with `FlagdProvider::resolve_json`"
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
    match Marked::of(error) {
        Some(Marked::NoDefaultVariant) => EvaluationReason::Default,
        Some(Marked::Disabled) => EvaluationReason::Disabled,
        Some(Marked::DeadlineExceeded) | None => EvaluationReason::Error,
    }
}
