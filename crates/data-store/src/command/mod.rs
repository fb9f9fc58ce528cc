//! The commands beside the server, one file each.

pub(crate) mod backup;
pub(crate) mod check;
pub(crate) mod health;
#[cfg(feature = "redis")]
pub(crate) mod import;

use std::error::Error;

/// What ends a command.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;
