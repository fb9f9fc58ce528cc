//! The exit codes of all commands.
//!
//! They are the same for every command, so that a script can tell a flag without a value
//! from a flagd that is unreachable. "Exit codes" in `docs/cli.md` is the table for users;
//! the help of each command says what they mean there.

use std::process::ExitCode;

use crate::output;

/// How a command ended. The number is the exit code of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The command did what it was asked to, or was ended by a signal.
    Success = 0,
    /// The flag has no value, a file is invalid, or the server cannot start or is not healthy.
    /// `eval` also ends with it if it cannot write the result.
    No = 1,
    /// The options are invalid. clap exits with the same code.
    Usage = 2,
    /// flagd or the server is unreachable, rejects the call, or cannot be used with these
    /// options.
    Unreachable = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Prints an error to standard error and returns the exit code, for the last line of a
/// command that fails.
pub(crate) fn failed(exit: Exit, message: &str) -> Exit {
    output::complain(message);
    exit
}
