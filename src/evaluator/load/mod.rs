//! From the text of a flag definition, JSON or YAML, to its flags.

pub(crate) mod definition;
pub(crate) mod finding;
pub(crate) mod location;
pub(crate) mod references;
pub(crate) mod surrogates;
pub(crate) mod text;
pub(crate) mod tree;
pub(crate) mod yaml;
