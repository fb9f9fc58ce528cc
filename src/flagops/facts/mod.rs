//! Facts as a context source.
//!
//! ```text
//! source.rs: fields(subject) -> identities of the subject -> the fields of each
//!     store.rs: mirror (all facts are here), or cache (fresh, stale, or read them)
//!     fields.rs: merged, without those of the caller if it wins
//! task.rs: the change stream -> cache or mirror -> `changed`
//! ```
//!
//! `cache`, `mirror.rs` and `fields.rs` are pure.

mod builder;
mod cache;
mod fields;
mod mirror;
mod source;
mod store;
mod task;

pub(super) use self::fields::Fields;
pub use self::{
    builder::FactsBuilder,
    source::{Facts, FactsIdentity},
    store::Outage,
};
