//! Where flag definitions come from.

mod file;
mod flag_source;
#[cfg(feature = "server")]
mod http;
#[cfg(feature = "server")]
mod name;
pub(crate) mod warned;

pub use file::FileSource;
pub use flag_source::{Definition, FlagSource, Format, SourceError};
#[cfg(feature = "server")]
pub use http::HttpSource;
#[cfg(feature = "server")]
pub use name::public_name;
