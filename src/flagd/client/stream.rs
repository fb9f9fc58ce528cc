//! Why a stream of flagd ends.

use tokio::time::{Instant, sleep_until};
use tonic::Code;

use super::{
    call_error::CallError,
    status::{name_of, said},
};
use crate::excerpt::{chain, excerpt};

/// Why there is no stream, or no longer.
#[derive(Debug)]
pub(crate) enum End {
    /// Its time was over: no sign that anything is wrong.
    Planned,
    /// It failed.
    Failed(Failure),
}

/// A failure in words, and by its cause, which may be fatal.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) message: String,
    pub(crate) cause: Cause,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Cause {
    /// A call failed so.
    Status(Code),
    /// What the options ask for cannot be done.
    Options,
    /// The stream was opened and went away.
    Stream,
    /// flagd says that it shuts down; another replica may be at hand.
    Shutdown,
    /// The stream was well, but unary calls got no response, so that it was given up.
    Unanswered,
}

impl Failure {
    pub(crate) fn stream(message: impl Into<String>) -> Self {
        Self { message: message.into(), cause: Cause::Stream }
    }

    /// A server that was ready ends a stream with this status when its own `--stream-deadline` has
    /// passed.
    pub(crate) fn of_ready_stream(self) -> End {
        match self.cause {
            Cause::Status(Code::DeadlineExceeded) => End::Planned,
            _ => End::Failed(self),
        }
    }

    pub(crate) fn is_unimplemented(&self) -> bool {
        matches!(self.cause, Cause::Status(Code::Unimplemented))
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Status(status) => Self {
                message: format!("{}: {}", name_of(status.code()), chain_of(&status)),
                cause: Cause::Status(status.code()),
            },
            CallError::Transport(error) => {
                Self { message: chain(&error), cause: Cause::Status(Code::Unavailable) }
            }
            CallError::Deadline(_) => {
                let message = "it took too long".to_owned();
                Self { message, cause: Cause::Status(Code::DeadlineExceeded) }
            }
        }
    }
}

/// tonic shows a status with code and metadata; the message is what a reader needs.
fn chain_of(status: &tonic::Status) -> String {
    match std::error::Error::source(status) {
        Some(source) if status.message().is_empty() => excerpt(&chain(source)).into_owned(),
        _ => said(status).into_owned(),
    }
}

/// Sleeps until then; for ever without a time.
pub(crate) async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
