//! Opens the sources that the server reads.

use std::{error::Error, fs::File, time::Duration};

use flagstaff::{
    FlagdError, FlagdOptions,
    flagd::Resolver,
    server::ServerError,
    source::{FileSource, FlagSource, HttpSource, SyncSource},
};

use super::sources::{Kind, Source};

/// How often files and URLs are read, in seconds, as in flagd.
const FILE_INTERVAL: u32 = 1;
const HTTP_INTERVAL: u32 = 5;

/// The source, ready to be read; the error names it.
pub(super) fn open(source: &Source) -> Result<Box<dyn FlagSource>, String> {
    let named = |error: &dyn Error| format!("source `{}`: {error}", source.uri);
    let seconds = |default| Duration::from_secs(source.interval.unwrap_or(default).into());
    match source.kind {
        Kind::File => {
            // A file that goes later may come back; one that is not there is a mistake.
            File::open(&source.uri)
                .map_err(|error| format!("source `file:{}`: {error}", source.uri))?;
            Ok(Box::new(FileSource::new(&source.uri, seconds(FILE_INTERVAL))))
        }
        Kind::Grpc => match sync(source) {
            Ok(source) => Ok(Box::new(source)),
            Err(error) => Err(named(&error)),
        },
        Kind::Http => match http(source, seconds(HTTP_INTERVAL)) {
            Ok(source) => Ok(Box::new(source)),
            Err(error) => Err(named(&error)),
        },
    }
}

fn http(source: &Source, interval: Duration) -> Result<HttpSource, ServerError> {
    let mut opened = HttpSource::new(&source.uri, interval)?;
    if let Some(authorization) = &source.authorization {
        opened = opened.authorization(authorization);
    }
    match &source.cert_path {
        Some(path) => opened.authorities(path),
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
    if let Some(id) = &source.provider_id {
        options = options.provider_id(id);
    }
    if let Some(selector) = &source.selector {
        options = options.selector(selector);
    }
    SyncSource::new(options.build_with_env(|_| None)?)
}
