//! An evaluation: in this process, from the cache, or as a call to flagd.
//!
//! [`FlagdProvider::resolve`] is the one path of all five types and of
//! `resolve_json`. It takes the first of these that applies:
//!
//! ```text
//! resolver in-process or file   evaluate by the rules in force     no wait
//! result in the cache           return it with the reason CACHED   no wait
//! anything else                 state -> circuit breaker -> context source
//!                               -> call -> keep the result if it is STATIC
//! ```
//!
//! A context source makes the first of them wait as well. It is never called for
//! a cached result, which does not depend on the context.
//!
//! Everything in the last row shares one deadline (`deadlineMs`): what the context
//! source uses is no longer available to the call.

use std::{future::ready, sync::Arc, time::Duration};

use open_feature::{
    EvaluationContext, EvaluationError, EvaluationReason, EvaluationResult,
    provider::ResolutionDetails,
};
use serde_json::{Map, Value as Json};
use tokio::time::{Instant, timeout};
use tracing::Instrument as _;

use super::{
    FlagdProvider,
    cache::Cached,
    call,
    lifecycle::State,
    sdk::Boxed,
    shared::{Shared, Underway},
    snapshot::Snapshot,
    telemetry,
};
use crate::{
    context_source::{ContextSource, Subject},
    excerpt::{chain, excerpt},
    flagd::{
        client::{call_error::CallError, channel::Connection, circuit_breaker::CallOutcome},
        convert,
        evaluation_error::{self as error, Marked},
        value_type::FlagType,
    },
};

impl FlagdProvider {
    /// Evaluates a flag as the type `T`.
    ///
    /// If the result is available without waiting, the future is already
    /// finished, and its box has no room for the state of a call.
    #[inline]
    pub(crate) fn resolve<'a, T: FlagType>(
        &'a self,
        flag_key: &'a str,
        context: &'a EvaluationContext,
    ) -> Boxed<'a, EvaluationResult<ResolutionDetails<T>>> {
        let shared = self.shared();
        #[cfg(feature = "in-process")]
        if let Some(local) = &self.handle.local {
            if let Some(source) = &shared.context_source {
                return Box::pin(async move {
                    let added = added(&**source, context, shared.options.deadline()).await;
                    let result = added
                        .and_then(|added| local.evaluate(shared, flag_key, context, Some(&added)));
                    telemetry::evaluated(flag_key, result.as_ref());
                    result
                });
            }
            let result = local.evaluate(shared, flag_key, context, None);
            telemetry::evaluated(flag_key, result.as_ref());
            return Box::pin(ready(result));
        }
        let finished = |details| -> Boxed<'a, _> {
            telemetry::evaluated(flag_key, Ok(&details));
            Box::pin(ready(Ok(details)))
        };
        let cached = shared.cache.get(T::OF, flag_key, T::from_value, finished);
        cached.unwrap_or_else(|| Box::pin(self.evaluate(flag_key, context)))
    }

    /// Evaluates a flag in flagd, inside a span, and logs the result.
    async fn evaluate<T: FlagType>(
        &self,
        flag_key: &str,
        context: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<T>> {
        let span = telemetry::call(flag_key);
        let result = self.call(flag_key, context).instrument(span.clone()).await;
        span.in_scope(|| telemetry::evaluated(flag_key, result.as_ref()));
        result
    }

    /// Calls flagd, and keeps the result if it may be cached.
    ///
    /// The order matters in two places. The epoch of the cache is taken before the
    /// request leaves, so that a change that overtakes the response is noticed.
    /// The circuit breaker is entered before the context source is called, so that
    /// a flagd that hangs does not put the load of every evaluation on it.
    ///
    /// If the future is dropped, [`Underway`] still reports a long wait, and the
    /// admission is returned.
    async fn call<T: FlagType>(
        &self,
        flag_key: &str,
        context: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<T>> {
        let shared = self.shared();
        let snapshot = shared.snapshot();
        let connection = connection(shared, &snapshot)?;
        let Some(_admission) = shared.breaker.admit(snapshot.state == State::Error) else {
            return Err(error::not_ready(format!(
                "not called again yet: {}",
                why(shared, &snapshot)
            )));
        };
        let mut deadline = shared.options.deadline();
        let added = match &shared.context_source {
            None => None,
            Some(source) => {
                let begun = Instant::now();
                let added = added(&**source, context, deadline).await?;
                if !deadline.is_zero() {
                    // What is left is for the call, and at least 1 ms: zero would mean no deadline.
                    let rest = deadline.saturating_sub(begun.elapsed());
                    deadline = rest.max(Duration::from_millis(1));
                }
                Some(added)
            }
        };
        let request = convert::request(flag_key, context, added.as_deref())?;
        let epoch = shared.cache.epoch();
        let underway = Underway::begin(shared);
        let called = call::resolve::<T>(shared, &connection, request, deadline).await;
        let outcome = called.as_ref().map_or_else(CallError::outcome, |_| CallOutcome::Answered);
        underway.end(outcome);
        let resolution = called
            .map_err(|error| error.into_evaluation_error(flag_key, &connection.target, deadline))?;
        let details = call::details(resolution, flag_key)?;
        if details.reason == Some(EvaluationReason::Static)
            && let Some(value) = details.value.to_value()
        {
            let cached = Cached {
                value,
                variant: details.variant.clone(),
                metadata: details.flag_metadata.clone(),
            };
            shared.cache.insert(epoch, T::OF, flag_key, cached);
        }
        Ok(details)
    }
}

/// The fields of the context source. Waits at most for the deadline; zero means
/// no deadline.
async fn added(
    source: &dyn ContextSource,
    context: &EvaluationContext,
    deadline: Duration,
) -> Result<Arc<Map<String, Json>>, EvaluationError> {
    let fields = source.fields(Subject::new(context));
    let fields = match deadline {
        Duration::ZERO => fields.await,
        deadline => {
            // Boxed, because a timer is large and most evaluations have no context source.
            Box::pin(timeout(deadline, fields)).await.map_err(|_| {
                let name = excerpt(source.name());
                Marked::DeadlineExceeded.error(format_args!(
                    "the context source `{name}` returned no fields within {deadline:?} (option `deadlineMs`)"
                ))
            })?
        }
    };
    fields.map_err(|error| {
        let (name, error) = (excerpt(source.name()), chain(&*error));
        error::general(format!("the context source `{name}` failed: {error}"))
    })
}

/// Why this call is not made, while another one tests whether flagd responds.
fn why(shared: &Shared, snapshot: &Snapshot) -> String {
    match shared.options.max_unanswered_calls() {
        calls if shared.breaker.is_open() => {
            format!("flagd did not respond to {calls} calls in a row (option `maxUnansweredCalls`)")
        }
        _ => snapshot.message(),
    }
}

/// The connection for a call, in the states in which flagd may respond.
///
/// In STALE and ERROR there is no event stream, but calls may still succeed, and
/// one that does shortens the outage.
fn connection(shared: &Shared, snapshot: &Snapshot) -> Result<Arc<Connection>, EvaluationError> {
    match snapshot.state {
        State::NotReady => Err(error::not_ready(snapshot.message())),
        State::Fatal => Err(error::not_ready(format!("fatal: {}", snapshot.message()))),
        State::Ready | State::Stale | State::Error => {
            shared.connection().ok_or_else(|| error::not_ready(snapshot.message()))
        }
    }
}
