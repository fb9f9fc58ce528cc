//! How the program ends.

use std::process::ExitCode;

use crate::output;

/// How the program ends, and its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Success = 0,
    No = 1,
    Usage = 2,
    Unreachable = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Says on standard error what went wrong.
pub(crate) fn failed(exit: Exit, message: &str) -> Exit {
    output::complain(message);
    exit
}
