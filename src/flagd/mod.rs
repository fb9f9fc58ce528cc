//! The provider for flagd: [`FlagdProvider`](crate::FlagdProvider), its
//! options, its events and its errors.
//!
//! A program usually needs only what the root of the crate exports:
//! [`FlagdProvider`](crate::FlagdProvider), [`FlagdOptions`](crate::FlagdOptions)
//! and, to follow the state, [`ProviderEvent`](crate::ProviderEvent). This
//! module has the types that their methods take and return.
//!
//! # Layers
//!
//! Apart from small modules of data (errors, events, types), each layer uses
//! only those below it, so that it can be tested without those above:
//!
//! | layer | what it does | I/O |
//! |---|---|---|
//! | `provider` | lifecycle, cache, events, evaluation | one background task |
//! | `sync` | pulls definitions for evaluation in this process | streams |
//! | `client` | connections, calls, streams, what is repeated and when | HTTP/2 |
//! | `convert` | SDK values to and from protobuf and JSON | none |
//! | `wire` | protobuf bytes | none |
//! | `options` | the table of options, the environment, validation | none |
//!
//! With the resolver `rpc`, an evaluation that the cache cannot serve passes
//! through all of them: `convert` writes the context as a framed request,
//! `client` sends it, `wire` reads the response where it stands, and `convert`
//! makes values of the SDK from it. With `in-process` and `file`, an evaluation
//! only needs [`LocalContext`] and the
//! [evaluator](crate::evaluator), and does no I/O itself.
//!
//! What flagd does, as observed, is in `docs/flagd.md`; states and
//! reconnection are in `docs/lifecycle.md`.

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
