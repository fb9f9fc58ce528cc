//! Why a stream of flagd ends or cannot be opened.
//!
//! A stream that ends is normal or not: one that has served its time is replaced
//! without notice ([`End::Planned`]), while anything else is a [`Failure`], which
//! the provider reports as a lost connection. The [`Cause`] of a failure decides
//! on what follows: whether the provider gives up, and how long it waits.

use tokio::time::{Instant, sleep_until};
use tonic::Code;

use super::{
    call_error::CallError,
    status::{name_of, said},
};
use crate::excerpt::{chain, excerpt};

/// Why a stream ended.
#[derive(Debug)]
pub(crate) enum End {
    /// Its time was over, which does not mean that anything is wrong.
    Planned,
    /// It failed.
    Failed(Failure),
}

/// Why a stream failed.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What happened, without the address of flagd, which the caller adds.
    pub(crate) message: String,
    pub(crate) cause: Cause,
}

/// The kind of a failure.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cause {
    /// A gRPC status, or what amounts to one: without a connection it is
    /// `UNAVAILABLE`, and after too long an attempt `DEADLINE_EXCEEDED`. Fatal if
    /// it is one of the `fatalStatusCodes`.
    Status(Code),
    /// The options cannot be used, such as a certificate that cannot be read. Fatal
    /// at first; later, a file may be in the middle of being replaced.
    Options,
    /// The stream was open and ended, or fell silent.
    Stream,
    /// flagd announced that it shuts down. Another replica may be available
    /// immediately.
    Shutdown,
    /// The stream worked, but unary calls got no response, so it was given up.
    Unanswered,
}

impl Failure {
    /// A failure of a stream that was open.
    pub(crate) fn stream(message: impl Into<String>) -> Self {
        Self { message: message.into(), cause: Cause::Stream }
    }

    /// What the failure means for a stream that was ready. A server ends such a
    /// stream with `DEADLINE_EXCEEDED` when its own `--stream-deadline` has passed,
    /// which is planned.
    pub(crate) fn of_ready_stream(self) -> End {
        match self.cause {
            Cause::Status(Code::DeadlineExceeded) => End::Planned,
            _ => End::Failed(self),
        }
    }

    /// Whether the server does not have the service in this version.
    pub(crate) fn is_unimplemented(&self) -> bool {
        matches!(self.cause, Cause::Status(Code::Unimplemented))
    }
}

/// The failure of the call that opens a stream, or of reading from it.
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

/// The message of a status, or its causes if it has none. (`Display` of a status
/// also shows its metadata, which a reader does not need.)
fn chain_of(status: &tonic::Status) -> String {
    match std::error::Error::source(status) {
        Some(source) if status.message().is_empty() => excerpt(&chain(source)).into_owned(),
        _ => said(status).into_owned(),
    }
}

/// Sleeps until this time; forever if there is none, for a branch of `select!`
/// that is turned off. Cancel-safe.
pub(crate) async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
