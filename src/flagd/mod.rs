//! The provider for flagd: [`FlagdProvider`](crate::FlagdProvider), its options, its events and its errors.

pub(crate) mod client;
pub(crate) mod convert;
pub(crate) mod error;
pub(crate) mod evaluation_error;
pub(crate) mod event;
pub(crate) mod options;
pub(crate) mod proto;
pub(crate) mod provider;
#[cfg(feature = "in-process")]
mod sync;
mod value_type;
mod wire;

#[cfg(feature = "in-process")]
pub use convert::local::LocalContext;
pub use event::ChangedFlags;
pub use options::{
    headers::Headers,
    kind::{CacheType, OptionInfo, Resolver},
    table::FlagdOptionsBuilder,
};
pub use provider::{Stats, events::Events};
#[cfg(feature = "in-process")]
pub use sync::SyncSource;
