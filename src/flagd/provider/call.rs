//! A call to flagd for one flag: evaluation v2, or v1 if the server does not have
//! v2, repeated if its connection is lost.
//!
//! # Versions
//!
//! A call starts with the version that the connection is known to need, v2 at
//! first. After `UNIMPLEMENTED` it switches to v1, and the connection remembers
//! that for all later calls. If v1 is not implemented either, for example behind a
//! proxy without a route to flagd, the connection is reset to v2 and the call fails.
//! See "Servers without evaluation v2" in `docs/flagd.md`.
//!
//! # Repetition
//!
//! An evaluation changes nothing in flagd, so a call that was lost can be repeated
//! without harm even if flagd has received it. [`Retries`] decides whether and
//! when. A status from the server is never repeated, except for the switch to v1:
//! flagd uses `UNKNOWN` for evaluation errors.

use std::{sync::Arc, time::Duration};

use open_feature::{EvaluationError, EvaluationReason, FlagMetadata, provider::ResolutionDetails};
use prost::bytes::Bytes;
use tokio::time::{Instant, sleep, timeout};
use tonic::Code;

use super::shared::Shared;
use crate::flagd::{
    client::{call_error::CallError, channel::Connection, retry::Retries, rpc},
    evaluation_error as error,
    value_type::{FlagType, Resolution},
};

/// A response, and whether it is one of evaluation v1, in which an absent value
/// means a zero value.
pub(crate) type Versioned<T> = (Resolution<T>, bool);

/// Requests one flag.
///
/// The deadline bounds the call with all its repetitions; zero means no deadline.
/// A call that is lost with its connection is repeated over the connection that is
/// in use by then.
///
/// # Errors
///
/// The error of the last attempt, or [`CallError::Deadline`].
pub(crate) async fn resolve<T: FlagType>(
    shared: &Shared,
    connection: &Connection,
    request: Bytes,
    deadline: Duration,
) -> Result<Versioned<T>, CallError> {
    if deadline.is_zero() {
        return attempts::<T>(shared, connection, request, deadline, None).await;
    }
    let end = Instant::now() + deadline;
    timeout(deadline, attempts::<T>(shared, connection, request, deadline, Some(end)))
        .await
        .unwrap_or(Err(CallError::Deadline(deadline)))
}

/// Calls until there is a response, a status, or no point in another attempt.
///
/// One repetition is often not enough: a proxy that retires a connection may
/// retire the next one too, and a server that restarts is unavailable for a
/// moment.
async fn attempts<T: FlagType>(
    shared: &Shared,
    connection: &Connection,
    request: Bytes,
    deadline: Duration,
    end: Option<Instant>,
) -> Result<Versioned<T>, CallError> {
    let mut retries: Option<Retries> = None;
    let mut renewed: Option<Arc<Connection>> = None;
    let mut v1 = connection.speaks_v1_only();
    loop {
        let connection = renewed.as_deref().unwrap_or(connection);
        let result = rpc::call::<T>(connection, request.clone(), v1, end).await;
        match result.map_err(|status| CallError::from_status(status, deadline)) {
            Err(CallError::Status(status)) if status.code() == Code::Unimplemented => {
                connection.speak_v1_only(!v1);
                if v1 {
                    return Err(CallError::Status(status));
                }
                v1 = true;
            }
            Err(CallError::Transport(error)) => {
                let now = Instant::now();
                let retries = retries.get_or_insert_with(|| Retries::new(now, end));
                let Some(pause) = retries.pause(&error, shared.outlook(), now) else {
                    return Err(CallError::Transport(error));
                };
                tracing::debug!(%error, ?pause, "a call is made again");
                // Boxed, because a timer is large and calls that succeed need none.
                Box::pin(sleep(pause)).await;
                renewed = shared.connection().or(renewed);
                v1 = renewed.as_deref().map_or(v1, Connection::speaks_v1_only);
            }
            result => return result.map(|resolution| (resolution, v1)),
        }
    }
}

/// Converts a response to what the SDK receives.
///
/// The SDK for Rust has no way to say "use the default value supplied by the
/// caller" with a reason, so a disabled flag, and a flag without a default
/// variant, become errors that [`reason`](crate::reason) recognizes. The cases are
/// those of "Results" in `docs/flagd.md`.
pub(crate) fn details<T: FlagType>(
    (resolution, v1): Versioned<T>,
    flag_key: &str,
) -> Result<ResolutionDetails<T>, EvaluationError> {
    if resolution.reason == EvaluationReason::Disabled {
        return Err(error::disabled(flag_key));
    }
    let value = match resolution.value {
        Ok(Some(value)) => value,
        // In v1 protobuf leaves out a zero value; in v2 its absence means the caller's default.
        Ok(None) if v1 => T::default(),
        Ok(None) => return Err(error::no_default_variant(flag_key)),
        Err(null) => return Err(error::null_in_list(flag_key, &null)),
    };
    Ok(ResolutionDetails {
        value,
        variant: resolution.variant.filter(|variant| !(v1 && variant.is_empty())),
        reason: Some(resolution.reason),
        flag_metadata: resolution.metadata.filter(has_values),
    })
}

/// Whether there is any metadata; an empty object counts as none.
fn has_values(metadata: &FlagMetadata) -> bool {
    !metadata.values.is_empty()
}
