//! What a task needs of the options to reach flagd: checked, and with the times that follow.

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

/// How long initialization may take when the deadline is off.
const INITIALIZATION: Duration = Duration::from_millis(500);

/// An attempt may take as long as the longest delay between attempts, but not longer than this.
const LONGEST_ATTEMPT: Duration = Duration::from_secs(20);

/// So long may each attempt after the first take, at least, where the deadline is longer.
const ATTEMPT: Duration = Duration::from_secs(5);

/// What the options come to.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) target: Target,
    pub(crate) fatal: Vec<Code>,
}

impl Plan {
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

/// How long initialization may take.
pub(crate) fn initialization(options: &FlagdOptions) -> Duration {
    match options.deadline() {
        Duration::ZERO => INITIALIZATION,
        deadline => deadline,
    }
}

/// How long the first attempt to open a stream may take.
pub(crate) fn first_attempt(options: &FlagdOptions) -> Duration {
    initialization(options).max(options.retry_backoff_max().min(LONGEST_ATTEMPT))
}

/// How long a later one may take. A deadline of minutes is for initialization; an attempt that
/// hangs must not be the last.
pub(crate) fn later_attempt(options: &FlagdOptions) -> Duration {
    first_attempt(options).min(ATTEMPT.max(options.retry_backoff_max()))
}

/// How long streams are used.
pub(crate) fn rotation(options: &FlagdOptions, patience: Duration) -> Limits {
    let shortest = options.retry_backoff().min(options.retry_backoff_max());
    Limits { lifetime: options.stream_deadline(), patience, shortest }
}
