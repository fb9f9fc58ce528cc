//! Why a call to flagd gave no answer, and the sole map from a gRPC status to an OpenFeature error code.

use std::{error::Error, time::Duration};

use open_feature::{EvaluationError, EvaluationErrorCode};
use tonic::{Code, Status};

use super::{
    circuit_breaker::CallOutcome,
    status::{name_of, said},
    transport::TransportError,
};
use crate::{
    excerpt::excerpt,
    flagd::evaluation_error::{Marked, evaluation_error, general, not_ready},
};

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
            // Where it was made again until the deadline, it costs as much as one that hangs.
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
            Self::Deadline(deadline) => Marked::DeadlineExceeded.error(format_args!(
                "flagd at {target} did not respond within {deadline:?} (option `deadlineMs`)"
            )),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_call_that_may_have_waited_for_its_answer_is_unanswered() {
        let text = || "text".to_owned();
        let late = Duration::from_secs(1);
        for (error, outcome) in [
            (CallError::Deadline(late), CallOutcome::Unanswered),
            (CallError::Status(Status::deadline_exceeded("")), CallOutcome::Unanswered),
            // Perhaps made again until its deadline.
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
