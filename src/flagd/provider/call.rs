//! A call to flagd for one flag, repeated where that may help: evaluation v2, and v1 where the server
//! does not know v2.

use std::{sync::Arc, time::Duration};

use open_feature::{EvaluationError, EvaluationReason, FlagMetadata, provider::ResolutionDetails};
use prost::bytes::Bytes;
use tokio::time::{Instant, sleep, timeout};
use tonic::Code;

use super::shared::Shared;
use crate::flagd::{
    client::{call_error::CallError, channel::Connection, retry::Retries, rpc},
    evaluation_error as error,
    value_type::{Answer, FlagType},
};

/// An answer, and whether it was of evaluation v1.
pub(crate) type Versioned<T> = (Answer<T>, bool);

/// Asks for one flag. The deadline bounds the call as a whole; zero is without bound. A call that is
/// lost with its connection goes on over the one that is in use then.
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

/// A server without v2 is called by v1. A call that is lost with its connection is made again until
/// its deadline, since evaluations are idempotent: a connection that a proxy retires may take the
/// next attempt with it, and a server that restarts is not there for a moment.
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
                // In a box: a timer is large, and calls that succeed need none.
                Box::pin(sleep(pause)).await;
                renewed = shared.connection().or(renewed);
                v1 = renewed.as_deref().map_or(v1, Connection::speaks_v1_only);
            }
            result => return result.map(|answer| (answer, v1)),
        }
    }
}

/// What the SDK gets for an answer.
pub(crate) fn details<T: FlagType>(
    (answer, v1): Versioned<T>,
    flag_key: &str,
) -> Result<ResolutionDetails<T>, EvaluationError> {
    if answer.reason == EvaluationReason::Disabled {
        return Err(error::disabled(flag_key));
    }
    let value = match answer.value {
        Ok(Some(value)) => value,
        // v1 leaves a zero value out.
        Ok(None) if v1 => T::default(),
        Ok(None) => return Err(error::no_default_variant(flag_key)),
        Err(null) => return Err(error::null_in_list(flag_key, &null)),
    };
    Ok(ResolutionDetails {
        value,
        variant: answer.variant.filter(|variant| !(v1 && variant.is_empty())),
        reason: Some(answer.reason),
        flag_metadata: answer.metadata.filter(has_values),
    })
}

fn has_values(metadata: &FlagMetadata) -> bool {
    !metadata.values.is_empty()
}
