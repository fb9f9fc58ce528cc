//! The body of a response: read and decompressed within the limits.

use std::{
    fmt,
    io::{self, Read as _},
    time::Duration,
};

use flate2::read::MultiGzDecoder;
use http::{HeaderMap, header::CONTENT_ENCODING};
use hyper::body::Bytes;
use tokio::{task::spawn_blocking, time::timeout};

use super::{deadline::Deadline, error::ClientError};
use crate::excerpt::excerpt;

/// The body of a response, which is received while it is read.
///
/// Dropping it without reading it ends the request.
pub struct ClientBody {
    pub(super) received: reqwest::Response,
    /// The public name of the URL.
    pub(super) name: String,
    pub(super) coding: Coding,
    /// The limit on the body, in bytes.
    pub(super) max: usize,
    /// The deadline of the request.
    pub(super) until: Deadline,
}

/// Shows the public name of the URL, and nothing of the body.
impl fmt::Debug for ClientBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBody").field("url", &self.name).finish_non_exhaustive()
    }
}

impl ClientBody {
    /// Reads the body to its end and decompresses it.
    ///
    /// Decompression runs on the blocking pool, so a large body does not hold up
    /// other tasks.
    ///
    /// # Errors
    ///
    /// If the body is too long, late or incomplete, is not valid gzip although the
    /// response says so, or has another content coding.
    pub async fn bytes(self) -> Result<Bytes, ClientError> {
        let Self { mut received, name, coding, max, until } = self;
        if let Coding::Other(coding) = coding {
            return Err(ClientError::Coding(name, coding));
        }
        let read = async {
            let mut bytes = Vec::new();
            while let Some(part) =
                received.chunk().await.map_err(|error| ClientError::failed(&name, error))?
            {
                if bytes.len() + part.len() > max {
                    return Err(ClientError::TooLarge(name.clone(), max));
                }
                bytes.extend_from_slice(&part);
            }
            Ok(bytes)
        };
        let bytes = until.bound(&name, read).await?;
        if coding == Coding::Identity {
            return Ok(bytes.into());
        }
        match decompressed(bytes, max).await {
            Ok(Some(bytes)) => Ok(bytes.into()),
            Ok(None) => Err(ClientError::TooLarge(name, max)),
            Err(error) => Err(ClientError::Gzip(name, error)),
        }
    }

    /// Reads the next part of a body without an end, such as an event stream. `None` is
    /// the end of the body.
    ///
    /// It waits at most `idle`. Neither the timeout of the request nor the limit on the
    /// body applies, so the caller has to bound what it keeps. Request the header
    /// `accept-encoding: identity`: parts are not decompressed.
    ///
    /// It is cancel-safe.
    ///
    /// ```no_run
    /// # async fn example(client: flagstaff::http::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    ///
    /// let request = http::Request::get("https://flags.example/events")
    ///     .header("accept-encoding", "identity")
    ///     .body("")?;
    /// let mut body = client.send(request).await?.into_body();
    /// while let Some(part) = body.chunk(Duration::from_secs(60)).await? {
    ///     println!("{} bytes", part.len());
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// If no part arrives in time, the connection is lost, or the body is compressed.
    pub async fn chunk(&mut self, idle: Duration) -> Result<Option<Bytes>, ClientError> {
        match &self.coding {
            Coding::Identity => {}
            Coding::Gzip => return Err(ClientError::Coding(self.name.clone(), "gzip".to_owned())),
            Coding::Other(coding) => {
                return Err(ClientError::Coding(self.name.clone(), coding.clone()));
            }
        }
        match timeout(idle, self.received.chunk()).await {
            Ok(part) => part.map_err(|error| ClientError::failed(&self.name, error)),
            Err(_) => Err(ClientError::TimedOut(self.name.clone(), idle)),
        }
    }
}

/// How a body is compressed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Identity,
    Gzip,
    /// Not supported; the value of the header, shortened.
    Other(String),
}

/// The coding in the headers `content-encoding`
/// ([RFC 9110, section 8.4](https://www.rfc-editor.org/rfc/rfc9110#section-8.4)).
/// More than one coding is not supported, not even gzip twice.
pub(super) fn coding(headers: &HeaderMap) -> Coding {
    let all = headers.get_all(CONTENT_ENCODING).iter();
    let text: Vec<_> = all.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    let text = text.join(",").to_ascii_lowercase();
    let codings = text.split(',').map(str::trim);
    let codings = codings.filter(|coding| !matches!(*coding, "" | "identity"));
    match *codings.collect::<Vec<_>>() {
        [] => Coding::Identity,
        ["gzip" | "x-gzip"] => Coding::Gzip,
        _ => Coding::Other(excerpt(&text).into_owned()),
    }
}

/// Decompresses a body on the blocking pool. Returns `None` if it is longer than
/// `max`, without decompressing the rest.
async fn decompressed(bytes: Vec<u8>, max: usize) -> io::Result<Option<Vec<u8>>> {
    let decompressed = spawn_blocking(move || {
        let mut decompressed = Vec::new();
        let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
        MultiGzDecoder::new(&*bytes).take(limit).read_to_end(&mut decompressed)?;
        Ok(Some(decompressed).filter(|decompressed| decompressed.len() <= max))
    });
    // The task fails only if the runtime shuts down.
    decompressed.await.unwrap_or_else(|error| Err(io::Error::other(error)))
}
