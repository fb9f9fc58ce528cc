//! The error of a client.

use std::{error::Error, io, time::Duration};

use crate::{excerpt::excerpt, http::tls::TlsError};

/// An error of a [`Client`](super::Client) or a [`ClientBuilder`](super::ClientBuilder).
///
/// The `String` that most variants hold is the
/// [`public_name`](crate::http::public_name) of the URL that was requested, even if
/// the error is that of a URL to which it redirects. No variant contains a secret.
///
/// ```no_run
/// use flagstaff::http::{Client, ClientError};
///
/// # async fn example(client: Client) -> Result<(), Box<dyn std::error::Error>> {
/// let request = http::Request::get("https://flags.example/flags.json").body("")?;
/// match client.send(request).await {
///     Ok(response) => println!("{}", response.status()),
///     Err(ClientError::TimedOut(name, after)) => println!("{name} is slower than {after:?}"),
///     Err(error) => return Err(error.into()),
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The URL is invalid.
    #[error("`{shown}` is not a valid URL: {reason}", shown = excerpt(url))]
    Url {
        /// The [`public_name`](crate::http::public_name) of the URL.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The TLS configuration cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The client cannot be set up, for example because the URL of the proxy is
    /// invalid.
    #[error("cannot set up the HTTP client")]
    Setup(#[source] Box<dyn Error + Send + Sync>),
    /// The system has no certificate authorities, and none were given.
    #[error(
        "cannot connect to {name}: the system has no certificate authorities: install them (mostly the \
         package `ca-certificates`), or set `ClientTls::authorities`",
        name = excerpt(.0)
    )]
    NoAuthorities(String),
    /// The request failed: the server is unreachable, or the connection was lost
    /// before the response was complete.
    #[error("the request to {name} failed", name = excerpt(.0))]
    Request(String, #[source] Box<dyn Error + Send + Sync>),
    /// The whole response, with its redirects and its body, did not arrive within
    /// the timeout.
    #[error("{name} did not respond within {1:?}", name = excerpt(.0))]
    TimedOut(String, Duration),
    /// A redirect leads from `https` to `http`, and was not followed.
    #[error("{name} redirects from https to http", name = excerpt(.0))]
    Insecure(String),
    /// There were more redirects than allowed.
    #[error("{name} redirects more than {1} times", name = excerpt(.0))]
    Redirects(String, usize),
    /// The body has a content coding that is not supported, which is the second field.
    /// Gzip is, except in [parts](crate::http::ClientBody::chunk).
    #[error(
        "the response from {name} has the content coding `{1}`, which is not supported",
        name = excerpt(.0)
    )]
    Coding(String, String),
    /// The body is not valid gzip, though the response says so.
    #[error(
        "the response from {name} is not valid gzip, as its `content-encoding` says",
        name = excerpt(.0)
    )]
    Gzip(String, #[source] io::Error),
    /// The body is longer than allowed, before or after it was decompressed.
    #[error("the response from {name} is larger than {limit}", limit = size(*.1), name = excerpt(.0))]
    TooLarge(String, usize),
}

impl ClientError {
    /// An error of a request, without its URL, which may contain secrets.
    pub(super) fn failed(name: &str, error: reqwest::Error) -> Self {
        Self::Request(name.to_owned(), Box::new(error.without_url()))
    }
}

/// A number of bytes for a message: in MiB if it is a multiple of one.
fn size(bytes: usize) -> String {
    if bytes > 0 && bytes.is_multiple_of(1 << 20) {
        format!("{} MiB", bytes >> 20)
    } else {
        format!("{bytes} bytes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!((&*size(64 << 20), &*size(100), &*size(0)), ("64 MiB", "100 bytes", "0 bytes"));
    }
}
