//! What the steps of one scenario share.

use std::{fmt, path::PathBuf};

use crate::{
    backend::Backend,
    config::Config,
    evaluation::{Context, Details, Flag},
    events::EventLog,
    subject::Subject,
    suite::Suite,
};

/// Created anew for each scenario.
#[derive(Default, cucumber::World)]
pub(crate) struct World {
    /// The testbed's directory of flag definitions.
    pub(crate) flags: PathBuf,
    pub(crate) suite: Suite,
    pub(crate) config: Config,
    pub(crate) events: EventLog,
    pub(crate) subject: Option<Subject>,
    pub(crate) backend: Option<Backend>,
    pub(crate) context: Context,
    pub(crate) flag: Option<Flag>,
    pub(crate) details: Option<Details>,
}

impl World {
    /// Leaves nothing behind: no provider, no flagd.
    pub(crate) async fn end(&mut self) -> Result<(), String> {
        if let Some(subject) = self.subject.take() {
            subject.stop().await;
        }
        match self.backend.take() {
            Some(backend) => backend.stop().await,
            None => Ok(()),
        }
    }

    pub(crate) fn subject(&self) -> Result<&Subject, String> {
        self.subject.as_ref().ok_or_else(|| "the scenario has no provider".to_owned())
    }

    pub(crate) fn backend(&mut self) -> Result<&mut Backend, String> {
        self.backend.as_mut().ok_or_else(|| "the scenario has no provider".to_owned())
    }

    pub(crate) fn flag(&self) -> Result<&Flag, String> {
        self.flag.as_ref().ok_or_else(|| "the scenario has no flag".to_owned())
    }

    pub(crate) fn details(&self) -> Result<&Details, String> {
        self.details.as_ref().ok_or_else(|| "the flag was not evaluated".to_owned())
    }
}

/// The runner's library requires it, and nobody reads it.
impl fmt::Debug for World {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("World").finish_non_exhaustive()
    }
}
