//! What follows from the options for reaching flagd: the address, the fatal status
//! codes, and how long attempts may take.
//!
//! | | limit | with the defaults |
//! |---|---|---|
//! | initialization | `deadlineMs` | 500 ms |
//! | the first attempt to open a stream | `retryBackoffMaxMs`, up to 20 s, or `deadlineMs` if that is longer | 5 s |
//! | later attempts | the same, but at most 5 s, or `retryBackoffMaxMs` if that is longer | 5 s |
//!
//! An attempt may therefore outlast initialization: the provider is then in ERROR, and
//! becomes ready when the attempt succeeds.

use std::time::Duration;

use tonic::Code;

use super::{rotation::Limits, status::code_named};
use crate::{
    excerpt::excerpt,
    flagd::{
        error::FlagdError,
        options::{
            table::{FlagdOptions, row},
            target::Target,
        },
    },
};

/// How long initialization may take without a deadline. It is never unbounded,
/// because a program waits for it before it starts.
const INITIALIZATION: Duration = Duration::from_millis(500);

/// An attempt may take as long as the longest delay between attempts, but not
/// longer than this, unless the deadline is.
const LONGEST_ATTEMPT: Duration = Duration::from_secs(20);

/// Attempts after the first may take this long even if the delay between attempts
/// is shorter, as far as the first may.
const ATTEMPT: Duration = Duration::from_secs(5);

/// The options that have to be parsed before flagd can be reached.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) target: Target,
    /// The [fatal status codes], with which a provider that was never ready gives
    /// up.
    ///
    /// [fatal status codes]: https://flagd.dev/reference/specifications/providers/#fatal-status-codes
    pub(crate) fatal: Vec<Code>,
}

impl Plan {
    /// Parses the target and the names of status codes, and logs a warning if
    /// there are certificates but no TLS: that is valid, but rarely intended.
    ///
    /// # Errors
    ///
    /// [`FlagdError::InvalidOption`] for the option that does not parse.
    pub(crate) fn new(options: &FlagdOptions) -> Result<Self, FlagdError> {
        let code = |name: &String| {
            code_named(name).ok_or_else(|| {
                let reason = format!(
                    "`{}` is not a gRPC status code, such as PERMISSION_DENIED",
                    excerpt(name)
                );
                row::fatal_status_codes().error(reason)
            })
        };
        #[cfg(feature = "tls")]
        let is_configured = options.tls_config().is_some();
        #[cfg(not(feature = "tls"))]
        let is_configured = false;
        let has_certificates =
            options.cert_path().is_some() || options.client_cert_path().is_some();
        if !options.tls() && (is_configured || has_certificates) {
            tracing::warn!(
                "certificates are configured but `tls` is not: the connection is not encrypted"
            );
        }
        let fatal = options.fatal_status_codes().iter().map(code).collect::<Result<_, _>>()?;
        Ok(Self { target: Target::new(options)?, fatal })
    }
}

/// How long initialization may take: the [deadline], or half a second without one.
///
/// [deadline]: https://flagd.dev/reference/specifications/providers/#flagd-provider-lifecycle
pub(crate) fn initialization(options: &FlagdOptions) -> Duration {
    match options.deadline() {
        Duration::ZERO => INITIALIZATION,
        deadline => deadline,
    }
}

/// How long the first attempt to open a stream may take, connecting included.
pub(crate) fn first_attempt(options: &FlagdOptions) -> Duration {
    initialization(options).max(options.retry_backoff_max().min(LONGEST_ATTEMPT))
}

/// How long later attempts may take. A deadline of minutes makes sense for
/// initialization, but an attempt that hangs for minutes would delay the
/// reconnection by as much.
pub(crate) fn later_attempt(options: &FlagdOptions) -> Duration {
    first_attempt(options).min(ATTEMPT.max(options.retry_backoff_max()))
}

/// The limits for streams. A stream that ends sooner than the shortest delay
/// between attempts counts as failed, so that streams cannot be opened more often
/// than attempts are made.
pub(crate) fn rotation(options: &FlagdOptions, patience: Duration) -> Limits {
    let shortest = options.retry_backoff().min(options.retry_backoff_max());
    Limits { lifetime: options.stream_deadline(), patience, shortest }
}
