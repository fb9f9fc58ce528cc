//! The provider for flagd: [`FlagdProvider`], its options, its events and its errors.

mod backoff;
mod cache;
mod channel;
mod codec;
mod convert;
mod env;
mod error;
mod event_stream;
mod events;
mod gate;
mod lifecycle;
mod options;
mod proto;
mod provider;
mod rpc;
mod shared;
mod supervisor;
mod target;
mod telemetry;
#[cfg(feature = "tls")]
mod tls;
mod transport;
#[cfg(unix)]
mod unix;
mod value_type;

#[cfg(feature = "in-process")]
pub use convert::LocalContext;
pub use crate::bucketing::Bucketing;
pub use error::{FlagdError, reason};
pub use events::{ChangedFlags, Events, ProviderEvent};
pub use lifecycle::State;
pub use options::{CacheType, FlagdOptions, FlagdOptionsBuilder, OptionInfo, Resolver};
pub use provider::{FlagdProvider, Stats};

/// The name of the provider in the SDK's metadata and in telemetry.
pub(crate) const PROVIDER_NAME: &str = "flagd";
