//! Where flag definitions come from.

mod file;
mod flag_source;
#[cfg(feature = "http")]
mod http;
pub(crate) mod warned;

pub use file::FileSource;
pub use flag_source::{Definition, FlagSource, Format, SourceError};
#[cfg(feature = "http")]
pub use http::{HttpSource, HttpSourceError};
