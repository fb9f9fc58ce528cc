//! The provider for flagd: [`FlagdProvider`], its options, its events and its errors.

mod backoff;
mod cache;
pub(crate) mod channel;
mod circuit_breaker;
pub(crate) mod convert;
mod driver;
mod env;
pub(crate) mod error;
pub(crate) mod event_stream;
mod events;
mod lifecycle;
#[cfg(feature = "in-process")]
mod local;
mod options;
pub(crate) mod plan;
pub(crate) mod proto;
mod provider;
mod retry;
pub(crate) mod rpc;
mod shared;
mod supervisor;
pub(crate) mod target;
mod telemetry;
#[cfg(feature = "tls")]
mod tls;
mod transport;
mod unary;
#[cfg(unix)]
mod unix;
mod value_type;
mod wire;

pub use crate::bucketing::Bucketing;
#[cfg(feature = "server")]
pub(crate) use backoff::Backoff;
#[cfg(feature = "in-process")]
pub use convert::LocalContext;
pub use error::{FlagdError, reason};
pub use events::{ChangedFlags, Events, ProviderEvent};
pub use lifecycle::State;
pub use options::{CacheType, FlagdOptions, FlagdOptionsBuilder, OptionInfo, Resolver};
pub use provider::{FlagdProvider, Stats};

/// The name of the provider in the SDK's metadata and in telemetry.
pub(crate) const PROVIDER_NAME: &str = "flagd";
