//! The HTTP client, a layer over `reqwest`.
//!
//! `reqwest` sends single requests here and nothing more. Redirects, decompression
//! and the limits are implemented in this module:
//!
//! * **Redirects**, because `reqwest` keeps only a fixed list of headers from other
//!   origins, which a header such as `x-api-key` is not in, and can reject a
//!   redirect from `https` to `http` only by rejecting `http` altogether.
//! * **Decompression**, because the limit on the body must hold for its
//!   decompressed length: a few kilobytes of gzip can become gigabytes.
//! * **One deadline** for the request, its redirects and the body. A timeout for
//!   each read would let a server that sends a byte a second keep a connection for
//!   as long as it likes.
//!
//! ```text
//! send -> parse -> follow: request -> redirect? -> request -> ... -> Response<ClientBody>
//!                  |------------------- one deadline -------------------------|
//! bytes -> read up to max_body -> decompress up to max_body
//! ```

mod body;
mod builder;
mod deadline;
mod error;
mod redirect;
mod send;
pub(crate) mod url;

pub use self::{body::ClientBody, builder::ClientBuilder, error::ClientError, send::Client};
