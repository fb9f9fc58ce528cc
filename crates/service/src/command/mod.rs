//! Commands that the programs of the services have alike, one file each.

pub mod backup;
pub mod check;
