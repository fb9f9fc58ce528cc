//! Why a unary call failed, and the only mapping from gRPC status codes to
//! OpenFeature error codes.
//!
//! ```text
//! HTTP/2 error, local timeout ─> TransportError ─┐
//! gRPC status, HTTP status ────> Status ─────────┴> CallError ─> EvaluationError
//!                                                       └─> CallOutcome (circuit breaker)
//! ```
//!
//! tonic reports everything as a `Status`, also what happened on this side. A
//! local error is therefore carried as the source of its status, and separated
//! from what the server said in [`CallError::from_status`]. This matters because
//! a call that was lost may be repeated, while a status of the server is final.
//!
//! The mapping is that of "Status codes" in `docs/flagd.md`.

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

/// Why a unary call has no result.
#[derive(Debug)]
pub(crate) enum CallError {
    /// flagd, or a proxy on the way, responded with a status.
    Status(Status),
    /// The connection could not be made, or was lost.
    Transport(TransportError),
    /// This deadline passed on this side.
    Deadline(Duration),
}

impl CallError {
    /// Separates statuses that were made on this side, which have a
    /// [`TransportError`] as their source, from those of the server. `deadline` is
    /// that of the call, for the message.
    pub(crate) fn from_status(status: Status, deadline: Duration) -> Self {
        let local = status.source().and_then(|source| source.downcast_ref::<TransportError>());
        match local {
            Some(TransportError::TimedOut) => Self::Deadline(deadline),
            Some(error) => Self::Transport(error.clone()),
            None => Self::Status(status),
        }
    }

    /// What the error says about flagd, for the circuit breaker.
    pub(crate) fn outcome(&self) -> CallOutcome {
        match self {
            // A proxy that enforces the deadline may do so a little earlier than this side.
            Self::Status(status) if status.code() == Code::DeadlineExceeded => {
                CallOutcome::Unanswered
            }
            Self::Status(status) if status.code() == Code::Unavailable => CallOutcome::Unreachable,
            Self::Status(_) => CallOutcome::Answered,
            // If it was repeated until the deadline, it cost as much as a call that hangs.
            Self::Transport(TransportError::Lost(_)) | Self::Deadline(_) => CallOutcome::Unanswered,
            Self::Transport(_) => CallOutcome::Unreachable,
        }
    }

    /// The error for the SDK. Its message names the flag, or the target and the
    /// deadline, depending on where the remedy is.
    ///
    /// `deadline` is that of the call; zero is without one.
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

/// Maps a status of the server; see "Status codes" in `docs/flagd.md`.
///
/// `UNKNOWN` is flagd's general evaluation error, so its message names the flag.
/// Codes that flagd does not use for evaluations come from a proxy or from a
/// server that is not flagd, so their messages name the target.
fn from_status(
    status: &Status,
    flag_key: &str,
    target: &str,
    deadline: Duration,
) -> EvaluationError {
    let (text, flag_key) = (said(status), excerpt(flag_key));
    let code = match status.code() {
        Code::NotFound => EvaluationErrorCode::FlagNotFound,
        // flagd rejects an invalid selector with the same status as a type mismatch. Only the
        // message distinguishes them.
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
            // It may have been repeated until its deadline.
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
