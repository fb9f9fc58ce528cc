//! The commands beside the server that other services do not have, one file each.

pub(crate) mod check;
#[cfg(feature = "redis")]
pub(crate) mod import;
