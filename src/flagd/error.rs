//! Errors of the provider, and the sole map from gRPC status to OpenFeature error code.

use std::{
    borrow::Cow,
    error::Error,
    fmt::Write as _,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use open_feature::{EvaluationError, EvaluationErrorCode, EvaluationReason};
use tonic::{Code, Status};

use super::{circuit_breaker::CallOutcome, convert::NullInList, transport::TransportError};
use crate::excerpt::excerpt;

/// What goes wrong outside of an evaluation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FlagdError {
    /// An option has the wrong type, is out of range, or does not fit the others.
    #[error("option `{option}` ({variable}): {reason}")]
    InvalidOption {
        /// The name of the option in [`FlagdOptions::TABLE`](crate::FlagdOptions::TABLE).
        option: &'static str,
        /// Its environment variable.
        variable: &'static str,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// A file that an option names cannot be read.
    #[error("option `{option}` ({variable}): cannot read {path}: {source}", path = shown(path))]
    File {
        /// The name of the option in [`FlagdOptions::TABLE`](crate::FlagdOptions::TABLE).
        option: &'static str,
        /// Its environment variable.
        variable: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The transport does not accept its configuration.
    #[error("cannot set up the connection to {}", excerpt(target))]
    Transport {
        /// Where flagd is.
        target: String,
        /// What the transport says.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The provider did not become ready in time; it goes on trying.
    #[error("the provider is not ready after {waited:?}: {message}")]
    NotReady {
        /// How long was waited.
        waited: Duration,
        /// The last thing that went wrong, or what the provider waits for.
        message: String,
    },
    /// The provider has given up for good.
    #[error("fatal: {message}")]
    Fatal {
        /// Why.
        message: String,
    },
}

/// A path, as far as an error quotes it.
pub(crate) fn shown(path: &Path) -> String {
    excerpt(&path.to_string_lossy()).into_owned()
}

/// An error and all its causes in one line, for where a chain cannot be kept
/// ([`EvaluationError`] is no [`Error`], and an event holds text). A cause whose text stands in the
/// line already is left out.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.contains(&text) {
            let _ = write!(line, ": {text}"); // writing to a String cannot fail
        }
        cause = error.source();
    }
    line
}

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

fn general(message: String) -> EvaluationError {
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

/// What became of a unary call that gave no answer.
#[derive(Debug)]
pub(crate) enum CallError {
    /// flagd, or something on the way, answered with a status.
    Status(Status),
    /// The connection could not be made, or was lost.
    Transport(TransportError),
    /// The deadline passed.
    Deadline(Duration),
}

impl CallError {
    /// A status that was made on this side carries its cause.
    pub(crate) fn from_status(status: Status, deadline: Duration) -> Self {
        let local = status.source().and_then(|source| source.downcast_ref::<TransportError>());
        match local {
            Some(TransportError::TimedOut) => Self::Deadline(deadline),
            Some(error) => Self::Transport(error.clone()),
            None => Self::Status(status),
        }
    }

    /// What it tells of flagd.
    pub(crate) fn outcome(&self) -> CallOutcome {
        match self {
            // A proxy that keeps the deadline itself may be a little earlier than this side.
            Self::Status(status) if status.code() == Code::DeadlineExceeded => {
                CallOutcome::Unanswered
            }
            Self::Status(status) if status.code() == Code::Unavailable => CallOutcome::Unreachable,
            Self::Status(_) => CallOutcome::Answered,
            // Made again until the deadline: no answer came in time, and each call costs as much.
            Self::Transport(TransportError::Lost(_)) | Self::Deadline(_) => CallOutcome::Unanswered,
            Self::Transport(_) => CallOutcome::Unreachable,
        }
    }

    /// The error that the SDK gets.
    pub(crate) fn into_evaluation_error(
        self,
        flag_key: &str,
        target: &str,
        deadline: Duration,
    ) -> EvaluationError {
        let target = excerpt(target);
        match self {
            Self::Status(status) => from_status(&status, flag_key, &target, deadline),
            Self::Transport(error) => not_ready(format!("flagd at {target}: {error}")),
            Self::Deadline(deadline) => general(format!(
                "{DEADLINE_EXCEEDED}: flagd at {target} gave no answer within {deadline:?} (option `deadlineMs`)"
            )),
        }
    }
}

/// What the server says, as far as an error quotes it.
pub(crate) fn said(status: &Status) -> Cow<'_, str> {
    excerpt(status.message())
}

fn from_status(
    status: &Status,
    flag_key: &str,
    target: &str,
    deadline: Duration,
) -> EvaluationError {
    let (text, flag_key) = (said(status), excerpt(flag_key));
    let code = match status.code() {
        Code::NotFound => EvaluationErrorCode::FlagNotFound,
        // flagd refuses a selector with the same status as a value of another type.
        Code::InvalidArgument if status.message().contains("selector") => {
            EvaluationErrorCode::InvalidContext
        }
        Code::InvalidArgument => EvaluationErrorCode::TypeMismatch,
        Code::DataLoss => EvaluationErrorCode::ParseError,
        Code::Unavailable => {
            return not_ready(format!("flagd at {target}: UNAVAILABLE: {text}"));
        }
        Code::Unknown => return general(format!("flag `{flag_key}`: {text}")),
        code => {
            let deadline = match deadline {
                Duration::ZERO => "without a deadline".to_owned(),
                deadline => format!("within {deadline:?}"),
            };
            return general(format!("{}: flagd at {target} {deadline}: {text}", name_of(code)));
        }
    };
    evaluation_error(code, format!("flag `{flag_key}`: {text}"))
}

/// The status codes by their names in the gRPC specification.
const CODES: [(&str, Code); 17] = [
    ("OK", Code::Ok),
    ("CANCELLED", Code::Cancelled),
    ("UNKNOWN", Code::Unknown),
    ("INVALID_ARGUMENT", Code::InvalidArgument),
    (DEADLINE_EXCEEDED, Code::DeadlineExceeded),
    ("NOT_FOUND", Code::NotFound),
    ("ALREADY_EXISTS", Code::AlreadyExists),
    ("PERMISSION_DENIED", Code::PermissionDenied),
    ("RESOURCE_EXHAUSTED", Code::ResourceExhausted),
    ("FAILED_PRECONDITION", Code::FailedPrecondition),
    ("ABORTED", Code::Aborted),
    ("OUT_OF_RANGE", Code::OutOfRange),
    ("UNIMPLEMENTED", Code::Unimplemented),
    ("INTERNAL", Code::Internal),
    ("UNAVAILABLE", Code::Unavailable),
    ("DATA_LOSS", Code::DataLoss),
    ("UNAUTHENTICATED", Code::Unauthenticated),
];

/// The name of a status code in the gRPC specification.
pub(crate) fn name_of(code: Code) -> &'static str {
    CODES.iter().find(|(_, other)| *other == code).map_or("UNKNOWN", |(name, _)| name)
}

/// The status code of a name, in any case.
pub(crate) fn code_named(name: &str) -> Option<Code> {
    CODES.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, code)| *code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_call_that_has_waited_for_its_answer_is_unanswered() {
        let text = || "text".to_owned();
        let late = Duration::from_secs(1);
        for (error, outcome) in [
            (CallError::Deadline(late), CallOutcome::Unanswered),
            (CallError::Status(Status::deadline_exceeded("")), CallOutcome::Unanswered),
            // Made again until its deadline.
            (CallError::Transport(TransportError::Lost(text())), CallOutcome::Unanswered),
            (CallError::Transport(TransportError::Connect(text())), CallOutcome::Unreachable),
            (CallError::Transport(TransportError::Broken(text())), CallOutcome::Unreachable),
            (CallError::Status(Status::unavailable("")), CallOutcome::Unreachable),
            (CallError::Status(Status::not_found("")), CallOutcome::Answered),
            (CallError::Status(Status::unknown("")), CallOutcome::Answered),
        ] {
            assert_eq!(error.outcome(), outcome, "{error:?}");
        }
    }
}
