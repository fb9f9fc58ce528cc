//! The options of the provider: their [table], the [builder] that completes
//! them from the environment, and the [checks](check).
//!
//! ```text
//! program  -> FlagdOptionsBuilder ─┐
//! environment -> Environment, read ├─> FlagdOptions -> check -> Target, Plan
//! table    -> defaults ────────────┘
//! ```
//!
//! Building options does no I/O: whether files can be read, the target URI
//! parses and the resolver is part of the build is only seen when the provider
//! is initialized. A program whose configuration comes from its environment can
//! then report the problem through the provider's state, as it reports any
//! other.

mod builder;
mod check;
mod enricher;
mod environment;
pub(crate) mod headers;
pub(crate) mod kind;
mod read;
pub(crate) mod table;
pub(crate) mod target;
