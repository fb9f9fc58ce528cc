//! The errors that an evaluation returns to the SDK.
//!
//! The SDK's `EvaluationError` has a code and a message, and the codes are
//! those of the [OpenFeature specification]. Three cases need more than a code:
//! a disabled flag, a flag without a default variant, and a call that exceeded
//! its deadline. Their messages begin with a word, such as `DISABLED: `, by
//! which [`reason()`] and the log recognize them:
//!
//! | case | code | message begins with |
//! |---|---|---|
//! | the flag is disabled | `GENERAL` | `DISABLED: ` |
//! | no default variant, and no rule chose one | `FLAG_NOT_FOUND` | `DEFAULT: ` |
//! | the deadline passed | `GENERAL` | `DEADLINE_EXCEEDED: ` |
//!
//! How a gRPC status becomes a code is in `client::call_error`.
//!
//! [OpenFeature specification]: https://openfeature.dev/specification/types/#error-code

use std::fmt::Display;

use open_feature::{EvaluationError, EvaluationErrorCode, EvaluationReason};

use crate::{excerpt::excerpt, flagd::convert::value::NullInList};

/// Errors that a program, or the log, must distinguish from others with the same
/// code. The only place that the SDK leaves for that is the message, which begins
/// with the [`word`](Self::word) of the case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Marked {
    /// The flag is disabled: the default value supplied by the caller applies.
    Disabled,
    /// No rule chose a variant, and there is no default variant: the default
    /// value supplied by the caller applies.
    NoDefaultVariant,
    /// flagd, or a context source, did not respond within `deadlineMs`.
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

    /// The error for this case, its message marked with the word.
    pub(crate) fn error(self, message: impl Display) -> EvaluationError {
        evaluation_error(self.code(), format!("{}: {message}", self.word()))
    }

    /// The case of an error; `None` for any other error.
    ///
    /// Word and code must both match, because a message of flagd could begin
    /// with one of the words by chance.
    pub(crate) fn of(error: &EvaluationError) -> Option<Self> {
        let (word, _) = error.message.as_deref()?.split_once(": ")?;
        Self::ALL.into_iter().find(|it| it.word() == word && it.code() == error.code)
    }
}

pub(crate) fn evaluation_error(code: EvaluationErrorCode, message: String) -> EvaluationError {
    EvaluationError { code, message: Some(message) }
}

/// `PROVIDER_NOT_READY`: flagd, or the source of flags, is unreachable.
pub(crate) fn not_ready(message: impl Into<String>) -> EvaluationError {
    evaluation_error(EvaluationErrorCode::ProviderNotReady, message.into())
}

/// The SDK's enum holds the name of codes that it has no variant for.
fn general_code() -> EvaluationErrorCode {
    EvaluationErrorCode::General("GENERAL".to_owned())
}

/// `GENERAL`: everything that no other code describes.
pub(crate) fn general(message: String) -> EvaluationError {
    evaluation_error(general_code(), message)
}

/// How the messages that are not failures end.
const CALLERS_DEFAULT: &str = "the default value supplied by the caller applies";

/// The error for a disabled flag, which [`reason()`] recognizes.
pub(crate) fn disabled(flag_key: &str) -> EvaluationError {
    let key = excerpt(flag_key);
    Marked::Disabled.error(format_args!("flag `{key}` is disabled; {CALLERS_DEFAULT}"))
}

/// The error for a flag without a value of its own, which [`reason()`] recognizes.
pub(crate) fn no_default_variant(flag_key: &str) -> EvaluationError {
    let key = excerpt(flag_key);
    let message = format_args!("flag `{key}` resolved to no value; {CALLERS_DEFAULT}");
    Marked::NoDefaultVariant.error(message)
}

/// `PARSE_ERROR`: the value has an array that contains null; see "Null" in
/// `docs/resolvers.md`.
pub(crate) fn null_in_list(flag_key: &str, NullInList { path }: &NullInList) -> EvaluationError {
    let key = excerpt(flag_key);
    let message = format!(
        "flag `{key}`: the array item `{path}` is null, which values of the OpenFeature SDK cannot represent: \
         replace it in the flag's definition, or evaluate with `FlagdProvider::resolve_json`"
    );
    evaluation_error(EvaluationErrorCode::ParseError, message)
}

/// Returns the reason behind an evaluation error of this provider.
///
/// A flag that is disabled, or that has no default variant while no rule chose
/// one, has no value of its own: the default value supplied by the caller
/// applies, and nothing is wrong. A provider for the Rust SDK cannot return
/// that default value, so it returns an error in these cases too. Use this
/// function to distinguish them from failures, for example before you log an
/// error:
///
/// * [`Disabled`](EvaluationReason::Disabled): the flag is disabled.
/// * [`Default`](EvaluationReason::Default): the flag has no value.
/// * [`Error`](EvaluationReason::Error): anything else.
///
/// It reads the code and the beginning of the message, and so works only for
/// errors that come from this provider unchanged.
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
///
/// let error = EvaluationError::builder().code(EvaluationErrorCode::TypeMismatch).build();
/// assert_eq!(reason(&error), EvaluationReason::Error);
/// ```
#[must_use]
pub fn reason(error: &EvaluationError) -> EvaluationReason {
    match Marked::of(error) {
        Some(Marked::NoDefaultVariant) => EvaluationReason::Default,
        Some(Marked::Disabled) => EvaluationReason::Disabled,
        Some(Marked::DeadlineExceeded) | None => EvaluationReason::Error,
    }
}
