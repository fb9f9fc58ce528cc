//! Why a flag cannot be kept in step.

use crate::optoggles::failure::Failure;

/// Why a flag cannot be kept in step.
#[derive(Debug, thiserror::Error)]
pub(super) enum FlagError {
    #[error(
        "toggle `{0}`: its spec does not suit LaunchDarkly, which needs `projKey` (a string) and \
         `environments` (a list of strings)"
    )]
    Spec(String, #[source] serde_json::Error),
    #[error("toggle `{0}`: `environments` in its spec is empty: name at least one")]
    NoEnvironment(String),
    #[error(
        "LaunchDarkly's flag `{0}` is not a boolean flag: delete it, or give the toggle another key"
    )]
    Kind(String),
    #[error("LaunchDarkly's flag `{0}` has no environment `{1}`: the project has none of this key")]
    Environment(String, String),
    #[error("LaunchDarkly's flag `{0}` was changed by somebody else meanwhile")]
    Conflict(String),
    #[error(
        "LaunchDarkly did not create the flag `{0}`: its key is taken by one that is being created or \
         deleted"
    )]
    Taken(String),
    #[error("LaunchDarkly no longer has the flag `{0}`")]
    Gone(String),
    #[error(
        "LaunchDarkly requires approval for changes of the flag `{0}` in `{1}`: {2}, which somebody \
         has to approve and apply"
    )]
    Approval(String, String, &'static str),
    #[error(
        "LaunchDarkly requires approval for changes of the flag `{0}` in `{1}`, where an open request \
         is out of date and cannot be deleted: delete it, or permit that to the token"
    )]
    OutOfDate(String, String, #[source] Failure),
}

/// Only what somebody else is doing at the moment can pass.
impl From<FlagError> for Failure {
    fn from(error: FlagError) -> Self {
        match error {
            FlagError::Conflict(_) | FlagError::Taken(_) => Self::temporary(error),
            _ => Self::permanent(error),
        }
    }
}
