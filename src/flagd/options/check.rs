//! What options must satisfy, whether they come from the program, the
//! environment or the defaults. No I/O.
//!
//! The module [`read`](super::read) checks the syntax of variables. What can be
//! wrong with a value of the right type is checked here, wherever the value comes
//! from. Nothing here depends on the machine: a file that is missing now may be
//! there when the provider is initialized.

use std::{str::FromStr, time::Duration};

use http::{HeaderName, HeaderValue};

use super::{
    kind::Resolver,
    table::{FlagdOptions, row},
    target,
};
use crate::{excerpt::excerpt, flagd::error::FlagdError};

/// The longest duration of any option. Longer ones are mistakes, and `now + duration`
/// could overflow.
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Headers that HTTP/2 or gRPC reserve for the connection itself. Those that begin
/// with `grpc-` are [reserved] as well.
///
/// [reserved]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests
const RESERVED: [&str; 10] = [
    "connection",
    "content-length",
    "content-type",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];

/// Checks everything, and returns the first problem.
///
/// # Errors
///
/// [`FlagdError::InvalidOption`] for the option that has to change.
pub(crate) fn check(options: &FlagdOptions) -> Result<(), FlagdError> {
    check_address(options)?;
    check_file(options)?;
    check_durations(options)?;
    check_headers(options)?;
    check_client_certificate(options)
}

/// Host, port and authority. The target URI is left to the initialization of the
/// provider.
fn check_address(options: &FlagdOptions) -> Result<(), FlagdError> {
    if options.port() == 0 {
        return Err(row::port().error("`0` is not a whole number from 1 to 65535"));
    }
    target::join(options.host(), options.port()).map_err(|reason| row::host().error(reason))?;
    if let Some(authority) = options.authority() {
        target::parse_authority(authority).map_err(|reason| row::authority().error(reason))?;
    }
    Ok(())
}

/// The resolver `file` needs a file.
fn check_file(options: &FlagdOptions) -> Result<(), FlagdError> {
    if options.resolver() == Resolver::File && options.offline_flag_source_path().is_none() {
        let reason = "it is not set, but the resolver `file` requires it";
        return Err(row::offline_flag_source_path().error(reason));
    }
    Ok(())
}

/// Each duration is at most a year, and at least 1 ms where 0 would mean a busy
/// loop. The message has the unit of the variable.
fn check_durations(options: &FlagdOptions) -> Result<(), FlagdError> {
    const MILLI: Duration = Duration::from_millis(1);
    const SECOND: Duration = Duration::from_secs(1);
    for (row, value, unit, least) in [
        (row::deadline(), options.deadline(), MILLI, 0),
        (row::stream_deadline(), options.stream_deadline(), MILLI, 0),
        (row::stream_idle(), options.stream_idle(), MILLI, 0),
        (row::keep_alive_time(), options.keep_alive_time(), MILLI, 0),
        (row::retry_backoff(), options.retry_backoff(), MILLI, 1),
        (row::retry_backoff_max(), options.retry_backoff_max(), MILLI, 1),
        (row::offline_poll_interval(), options.offline_poll_interval(), MILLI, 1),
        (row::retry_grace_period(), options.retry_grace_period(), SECOND, 0),
    ] {
        if value < unit * least || value > YEAR {
            // As the variable would hold it.
            let [value, most] = [value, YEAR].map(|time| time.as_nanos() / unit.as_nanos());
            let reason = format!("`{value}` is not from {least} to {most} (a year)");
            return Err(row.error(reason));
        }
    }
    Ok(())
}

/// Headers and the selector, which is sent as one.
///
/// An invalid name is not shown, only its position: it may be a part of a secret,
/// for example if a value in `FLAGD_HEADERS` contains a comma.
fn check_headers(options: &FlagdOptions) -> Result<(), FlagdError> {
    let invalid = |reason: String| Err(row::headers().error(reason));
    for (index, (name, value)) in options.headers().exposed().enumerate() {
        let Ok(name) = HeaderName::from_str(name) else {
            let number = index + 1;
            return invalid(format!("the name of header {number} is invalid"));
        };
        let text = name.as_str();
        let name = excerpt(text);
        if RESERVED.contains(&text) || text.starts_with("grpc-") {
            return invalid(format!("`{name}` is reserved for the connection"));
        }
        if text.ends_with("-bin") {
            return invalid(format!("`{name}` would be binary metadata, which is not supported"));
        }
        if !is_ascii_value(value) {
            return invalid(format!("the value of `{name}` is not printable ASCII"));
        }
    }
    match options.selector() {
        Some(selector) if !is_ascii_value(selector) => Err(row::selector()
            .error(format!("`{}` is not printable ASCII, as a header must be", excerpt(selector)))),
        _ => Ok(()),
    }
}

/// Whether a value is printable ASCII, or tabs, as gRPC requires. HTTP alone would
/// accept any bytes except control characters.
fn is_ascii_value(text: &str) -> bool {
    HeaderValue::from_str(text).is_ok_and(|value| value.to_str().is_ok())
}

/// Mutual TLS needs both the certificate and its key; the error names the one
/// that is missing.
fn check_client_certificate(options: &FlagdOptions) -> Result<(), FlagdError> {
    match (options.client_cert_path(), options.client_key_path()) {
        (Some(_), None) => {
            Err(row::client_key_path().error("it is not set, but `clientCertPath` is"))
        }
        (None, Some(_)) => {
            Err(row::client_cert_path().error("it is not set, but `clientKeyPath` is"))
        }
        _ => Ok(()),
    }
}
