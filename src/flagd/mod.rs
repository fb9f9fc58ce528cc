//! The provider for flagd: [`FlagdProvider`], its options, its events and its errors.

pub(crate) mod client;
pub(crate) mod convert;
mod error;
mod evaluation_error;
mod event;
pub(crate) mod options;
pub(crate) mod proto;
mod provider;
#[cfg(feature = "in-process")]
mod sync;
mod value_type;
mod wire;

pub use crate::bucketing::Bucketing;
#[cfg(feature = "in-process")]
pub use convert::local::LocalContext;
pub use error::FlagdError;
pub use evaluation_error::reason;
pub use event::{ChangedFlags, ProviderEvent};
pub use options::{
    headers::Headers,
    kind::{CacheType, OptionInfo, Resolver},
    table::{FlagdOptions, FlagdOptionsBuilder},
};
pub use provider::{FlagdProvider, Stats, events::Events, lifecycle::State};
#[cfg(feature = "in-process")]
pub use sync::SyncSource;
