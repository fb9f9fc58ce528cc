//! Where flag definitions come from: a file, a URL, or your own source.
//!
//! A [`FlagSource`] delivers whole flag definitions, one after the other. It is
//! pulled: whoever evaluates the flags calls [`next`](FlagSource::next), which
//! waits until there is another definition. A source therefore needs neither a
//! task nor callbacks, and ends when it is dropped.
//!
//! A source knows nothing of rules. It delivers the text as it was received, as a
//! [`Definition`], and [`Definition::parse`] compiles it. An invalid definition is
//! the concern of the consumer, which keeps the last valid configuration in use.
//!
//! | source | delivers |
//! |---|---|
//! | [`FileSource`] | a file, at intervals and when the operating system reports a change |
//! | `HttpSource` (feature `http`) | the response of a URL, at intervals |
//! | [`SyncSource`](crate::flagd::SyncSource) | what the sync service of flagd sends |
//!
//! [`FlagdProvider::with_source`](crate::FlagdProvider::with_source) evaluates
//! flags with any source, and the server of the feature `server` serves them.

mod file;
mod flag_source;
#[cfg(feature = "http")]
mod http;
pub(crate) mod warned;

pub use file::FileSource;
pub use flag_source::{Definition, FlagSource, Format, SourceError};
#[cfg(feature = "http")]
pub use http::{HttpSource, HttpSourceError};
