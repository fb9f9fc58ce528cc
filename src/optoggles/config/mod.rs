//! The configuration: the original's file, and what was added to it.

mod load;
mod model;
mod read;
mod reader;
mod table;
#[cfg(test)]
mod tests;
mod variables;

pub use self::model::{Config, ConfigError, Problem};
pub(crate) use self::model::{SourceConfig, SourceKind, TargetConfig, ToggleConfig};
