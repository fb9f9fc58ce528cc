//! The commands beside the server that other services do not have, one file each.

pub(crate) mod due;
pub(crate) mod import;
