//! The configuration file: that of the original
//! [OPToggles](https://github.com/permitio/OPToggles), and what was added to it.
//!
//! ```text
//! text ──yaml──► Tree (with places) ──Reader──► Config, or all Problems
//!                                      ▲
//!                                     TABLE (the known keys)
//! ```
//!
//! * `table.rs` lists every key with its default and meaning. The reader takes the known
//!   keys from it, and the table in `docs/optoggles.md` is tested against it.
//! * `reader.rs` reads typed values from a tree and gathers problems, each with line and
//!   column. It goes on after a problem, so that one run reports all.
//! * `read.rs` knows the structure of the file and what must agree in it.
//! * `variables.rs` substitutes environment variables in strings.
//! * `model.rs` has the types of the result, `load.rs` finds and reads the file.
//!
//! As in the original, the letter case of keys does not matter, except inside `spec` and
//! `extraHeaders`, whose keys belong to the target. (Names of headers are lower-cased.)

mod load;
mod model;
mod read;
mod reader;
mod table;
#[cfg(test)]
mod tests;
mod variables;

pub use self::model::{Config, ConfigError};
pub(crate) use self::model::{SourceConfig, SourceKind, TargetConfig, ToggleConfig};
