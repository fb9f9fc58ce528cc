//! Spans and events of `tracing`, which follow OpenTelemetry's [conventions for
//! feature flags].
//!
//! An evaluation in flagd has a span `feature_flag.evaluation`, and every
//! evaluation has an event of this name:
//!
//! ```text
//! DEBUG feature_flag.key="new-checkout" feature_flag.provider.name="flagd"
//!       feature_flag.result.variant="on" feature_flag.result.reason="static"
//! ```
//!
//! Neither contains a secret, the value of a flag, or any part of the evaluation
//! context, which may hold personal data. Strings that come from elsewhere are
//! shortened, and their control characters are escaped, so that a flag key cannot
//! forge a log line. "Logs" in `docs/lifecycle.md` lists the levels.
//!
//! [conventions for feature flags]: https://opentelemetry.io/docs/specs/semconv/feature-flags/feature-flags-events/

use std::{borrow::Cow, fmt::Display};

use open_feature::{
    EvaluationError, EvaluationErrorCode, FlagMetadata, FlagMetadataValue,
    provider::ResolutionDetails,
};
use tracing::{Level, Span};

use super::lifecycle::State;
use crate::{
    excerpt::excerpt,
    flagd::{evaluation_error::Marked, evaluation_error::reason, event::ProviderEvent},
};

/// The name of the provider in the SDK's metadata and in telemetry.
pub(crate) const PROVIDER_NAME: &str = "flagd";

/// The span of an evaluation in flagd. It covers the context source and the call.
pub(crate) fn call(flag_key: &str) -> Span {
    tracing::debug_span!(
        "feature_flag.evaluation",
        feature_flag.key = excerpt(flag_key).as_ref(),
        feature_flag.provider.name = PROVIDER_NAME,
    )
}

/// Logs an evaluation.
///
/// A failure that needs a fix in the program or in the definition of the flag is a
/// warning. The others are not: that flagd is unreachable is logged when the state
/// changes, rather than for every evaluation.
#[inline]
pub(crate) fn evaluated<T>(
    flag_key: &str,
    result: Result<&ResolutionDetails<T>, &EvaluationError>,
) {
    match result {
        Ok(details) => tracing::event!(
            name: "feature_flag.evaluation",
            Level::DEBUG,
            feature_flag.key = excerpt(flag_key).as_ref(),
            feature_flag.provider.name = PROVIDER_NAME,
            feature_flag.result.variant = details.variant.as_deref().map(excerpt).as_deref(),
            feature_flag.result.reason = details.reason.as_ref().map(lower),
            feature_flag.set.id = text_of(details.flag_metadata.as_ref(), "flagSetId").as_deref(),
            feature_flag.version = text_of(details.flag_metadata.as_ref(), "version").as_deref(),
        ),
        Err(error) => failed(flag_key, error),
    }
}

/// Logs a failed evaluation. A macro, because the level of a `tracing` event must
/// be a constant.
fn failed(flag_key: &str, error: &EvaluationError) {
    macro_rules! event {
        ($level:ident) => {
            tracing::event!(
                name: "feature_flag.evaluation",
                Level::$level,
                feature_flag.key = excerpt(flag_key).as_ref(),
                feature_flag.provider.name = PROVIDER_NAME,
                feature_flag.result.reason = lower(&reason(error)),
                error.r#type = lower(&error.code),
                error.message = error.message,
            )
        };
    }
    match error.code {
        EvaluationErrorCode::FlagNotFound | EvaluationErrorCode::ProviderNotReady => event!(DEBUG),
        _ if Marked::of(error).is_some() => event!(DEBUG),
        _ => event!(WARN),
    }
}

/// The name of a reason or an error code in lower case, as the conventions have it;
/// OpenFeature uses upper case.
fn lower(name: &impl Display) -> String {
    excerpt(&name.to_string()).to_lowercase()
}

/// An entry of the metadata, if it is a string.
fn text_of<'a>(metadata: Option<&'a FlagMetadata>, key: &str) -> Option<Cow<'a, str>> {
    match metadata?.values.get(key)? {
        FlagMetadataValue::String(text) => Some(excerpt(text)),
        _ => None,
    }
}

/// Logs an event of the provider: a change of the state or of the flags. `state` is
/// the state after the event, which distinguishes a rejected update from an outage.
pub(crate) fn happened(event: &ProviderEvent, state: State) {
    match event {
        ProviderEvent::Ready => {
            tracing::info!(feature_flag.provider.name = PROVIDER_NAME, "the provider is ready");
        }
        ProviderEvent::Stale => {
            tracing::warn!(feature_flag.provider.name = PROVIDER_NAME, "flags may be out of date");
        }
        ProviderEvent::Error { message, .. } if matches!(state, State::Stale | State::Ready) => {
            tracing::warn!(
                feature_flag.provider.name = PROVIDER_NAME,
                error.message = message,
                "an update was rejected; the last valid configuration stays in use"
            );
        }
        ProviderEvent::Error { message, fatal } => {
            tracing::error!(
                feature_flag.provider.name = PROVIDER_NAME,
                error.message = message,
                fatal,
                "the provider is in an error state"
            );
        }
        ProviderEvent::ConfigurationChanged(flags) => {
            tracing::debug!(
                feature_flag.provider.name = PROVIDER_NAME,
                flags = excerpt(&format!("{flags:?}")).as_ref(),
                "flags have changed"
            );
        }
        // It concerns one subscriber, which receives it.
        ProviderEvent::Lagged(_) => {}
    }
}
