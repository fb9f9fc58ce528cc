//! Opens the sources that the server reads: from a [`Source`], which is what the options say,
//! to one of the library's implementations of [`FlagSource`].
//!
//! | Kind | Implementation | Read |
//! |---|---|---|
//! | file | [`FileSource`] | every second, or each `interval` |
//! | URL | [`HttpSource`] | every 5 s, or each `interval` |
//! | flagd or flagstaff | [`SyncSource`] | by a stream of updates |
//!
//! Nothing is loaded here. The server reads its sources once it runs, and continues to if
//! one of them fails.

use std::{fs::File, io, path::Path, time::Duration};

use flagstaff::{
    FlagdError, FlagdOptions,
    flagd::{Resolver, SyncSource},
    http::ClientError,
    source::{FileSource, FlagSource, HttpSource, HttpSourceError},
};

use super::sources::{Kind, Source};
use crate::{excerpt::chain, exit::Exit};

/// The exit code of the program, and the error to print.
pub(super) type Failure = (Exit, String);

/// How often a file is read by default, in seconds, as in flagd.
const FILE_INTERVAL: u32 = 1;
/// How often a URL is read by default, in seconds, as in flagd.
const HTTP_INTERVAL: u32 = 5;

/// Opens a source.
///
/// # Errors
///
/// The source is invalid, a file does not exist, or a certificate cannot be read. The error
/// begins with `given`, which says which option the source comes from.
pub(super) fn open(given: &str, source: &Source) -> Result<Box<dyn FlagSource>, Failure> {
    let seconds = |default| Duration::from_secs(source.interval.unwrap_or(default).into());
    let opened: Result<Box<dyn FlagSource>, Failure> = match source.kind {
        Kind::File => match check_file(Path::new(&source.uri)) {
            Ok(()) => Ok(Box::new(FileSource::new(&source.uri, seconds(FILE_INTERVAL)))),
            Err(error) => Err((Exit::No, error.to_string())),
        },
        Kind::Grpc => match sync(source) {
            Ok(source) => Ok(Box::new(source)),
            Err(error) => Err(of_sync(error)),
        },
        Kind::Http => match http(source, seconds(HTTP_INTERVAL)) {
            Ok(source) => Ok(Box::new(source)),
            Err(error) => Err(of_http(&error)),
        },
    };
    opened.map_err(|(exit, message)| (exit, format!("{given}: {message}")))
}

/// Checks that a file exists and can be read. A file that disappears later may come back, and
/// the source waits for it; one that does not exist at the start is a mistake.
fn check_file(path: &Path) -> io::Result<()> {
    // Opening a named pipe would wait for a writer.
    if !path.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    File::open(path).map(drop)
}

/// The failure of a sync source. It is created from the provider's options, but an error must
/// not name those: the user wrote a field of a source, and `start` does not read the provider's
/// variables.
fn of_sync(error: FlagdError) -> Failure {
    match error {
        FlagdError::InvalidOption { option: "targetUri", reason, .. } => (Exit::Usage, reason),
        FlagdError::InvalidOption { option, reason, .. } => {
            (Exit::Usage, format!("{option}: {reason}"))
        }
        error => (Exit::No, chain(&error)),
    }
}

/// The failure of a source over HTTP: a usage error if the URL, the interval or a header is
/// invalid.
fn of_http(error: &HttpSourceError) -> Failure {
    let exit = match error {
        HttpSourceError::Client(ClientError::Url { .. })
        | HttpSourceError::Interval { .. }
        | HttpSourceError::Header { .. } => Exit::Usage,
        _ => Exit::No,
    };
    (exit, chain(error))
}

/// Opens a URL, with the headers and certificate authorities that were given for it.
fn http(source: &Source, interval: Duration) -> Result<HttpSource, HttpSourceError> {
    let mut opened = HttpSource::new(&source.uri, interval)?;
    if let Some(authorization) = &source.authorization {
        // `header` validates the value, and keeps it out of logs.
        opened = opened.header("authorization", authorization)?;
    }
    for (name, value) in &source.headers {
        opened = opened.header(name, value)?;
    }
    match &source.cert_path {
        Some(path) => opened.authorities(Path::new(path)),
        None => Ok(opened),
    }
}

/// Opens a sync stream. The environment is not read: there, `FLAGD_PORT` and so on are the
/// settings of this server, and not of the one that it reads from.
fn sync(source: &Source) -> Result<SyncSource, FlagdError> {
    let mut options = FlagdOptions::builder()
        .resolver(Resolver::InProcess)
        .target_uri(&source.uri)
        .tls(source.tls || source.cert_path.is_some());
    if let Some(path) = &source.cert_path {
        options = options.cert_path(path);
    }
    for (name, value) in &source.headers {
        options = options.header(name, value.as_str());
    }
    if let Some(id) = &source.provider_id {
        options = options.provider_id(id);
    }
    if let Some(selector) = &source.selector {
        options = options.selector(selector);
    }
    SyncSource::new(options.without_env().build()?)
}
