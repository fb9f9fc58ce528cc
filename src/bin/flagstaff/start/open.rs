//! Opens the sources that the server reads.

use std::{fs::File, io, path::Path, time::Duration};

use flagstaff::{
    FlagdError, FlagdOptions,
    flagd::{Resolver, SyncSource},
    http::ClientError,
    source::{FileSource, FlagSource, HttpSource, HttpSourceError},
};

use super::sources::{Kind, Source};
use crate::{excerpt::chain, exit::Exit};

/// How the program ends, and what it says.
pub(super) type Failure = (Exit, String);

/// How often files and URLs are read, in seconds, as in flagd.
const FILE_INTERVAL: u32 = 1;
const HTTP_INTERVAL: u32 = 5;

/// The source, ready to be read. It is called `given` in errors.
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

/// A file that goes later may come back; one that is not there is a mistake.
fn check_file(path: &Path) -> io::Result<()> {
    // To open a pipe would wait for its other end.
    if !path.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    File::open(path).map(drop)
}

/// Without the names of the provider's options and variables, which `start` does not read.
fn of_sync(error: FlagdError) -> Failure {
    match error {
        FlagdError::InvalidOption { option: "targetUri", reason, .. } => (Exit::Usage, reason),
        FlagdError::InvalidOption { option, reason, .. } => {
            (Exit::Usage, format!("{option}: {reason}"))
        }
        error => (Exit::No, chain(&error)),
    }
}

fn of_http(error: &HttpSourceError) -> Failure {
    let exit = match error {
        HttpSourceError::Client(ClientError::Url { .. })
        | HttpSourceError::Interval { .. }
        | HttpSourceError::Header { .. } => Exit::Usage,
        _ => Exit::No,
    };
    (exit, chain(error))
}

fn http(source: &Source, interval: Duration) -> Result<HttpSource, HttpSourceError> {
    let mut opened = HttpSource::new(&source.uri, interval)?;
    if let Some(authorization) = &source.authorization {
        // A header is checked, and marked as sensitive.
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

/// Without the environment, whose `FLAGD_*` are meant for the server.
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
