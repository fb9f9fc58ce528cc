//! The commands beside the server, one file each.

pub(crate) mod backup;
pub(crate) mod check;
#[cfg(feature = "redis")]
pub(crate) mod import;
