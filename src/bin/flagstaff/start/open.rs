//! Opens the sources that the server reads.

use std::{fs::File, time::Duration};

use flagstaff::{
    FlagdError, FlagdOptions,
    flagd::Resolver,
    source::{FileSource, FlagSource, SyncSource},
};

use super::sources::{Kind, Source};

/// Of files and URLs, as in flagd.
const FILE_INTERVAL: u32 = 1;

/// The source, ready to be read; the error names it.
pub(super) fn open(source: &Source) -> Result<Box<dyn FlagSource>, String> {
    let seconds = |default| Duration::from_secs(source.interval.unwrap_or(default).into());
    match source.kind {
        Kind::File => {
            // A file that goes later may come back; one that is not there is a mistake.
            File::open(&source.uri)
                .map_err(|error| format!("source `file:{}`: {error}", source.uri))?;
            Ok(Box::new(FileSource::new(&source.uri, seconds(FILE_INTERVAL))))
        }
        Kind::Grpc => sync(source)
            .map(|source| Box::new(source) as Box<dyn FlagSource>)
            .map_err(|error| format!("source `{}`: {error}", source.uri)),
        Kind::Http => Err(format!("source `{}` is not supported yet", source.uri)),
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
