//! From the text of a flag definition, JSON or YAML, to its flags.
//!
//! ```text
//! JSON --surrogates--> definition::read --> flags and metadata
//!                             |
//!                             +--> findings --tree, finding--> problems with their places
//! YAML --yaml--> Tree --its JSON text--> definition::read
//! ```
//!
//! - `definition` reads the sections of a definition, and `references` puts
//!   shared rules in the places of references to them. Each flag is then parsed
//!   by [`Flag::parse`](flag::Flag::parse).
//! - `tree` knows where each value is in the text. Valid JSON is read without it,
//!   because its places interest nobody.
//! - `text` and `surrogates` read names and escapes as Go does.
//!
//! Everything here works on a string. Nothing in it reads files, and nothing
//! evaluates.

pub(crate) mod definition;
pub(crate) mod finding;
pub(crate) mod flag;
pub(crate) mod references;
pub(crate) mod surrogates;
pub(crate) mod text;
pub(crate) mod tree;
pub(crate) mod yaml;
