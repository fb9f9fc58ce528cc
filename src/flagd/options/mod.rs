//! The options of the provider: their [table], the [builder] that completes it from the environment,
//! and the [checks](check).

mod builder;
mod check;
mod enricher;
mod environment;
pub(crate) mod headers;
pub(crate) mod kind;
mod read;
pub(crate) mod table;
pub(crate) mod target;
