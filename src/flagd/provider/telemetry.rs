//! Spans and events of tracing, by OpenTelemetry's conventions for feature flags.
//!
//! They hold no secret and nothing of the evaluation context.

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

/// The span of an evaluation that flagd is asked for.
pub(crate) fn call(flag_key: &str) -> Span {
    tracing::debug_span!(
        "feature_flag.evaluation",
        feature_flag.key = excerpt(flag_key).as_ref(),
        feature_flag.provider.name = PROVIDER_NAME,
    )
}

/// One event for each evaluation. To warn of is what somebody has to mend in the program or in the
/// definition of the flag; that flagd is out of reach is said once, when the state changes.
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

/// The conventions write in small letters what OpenFeature writes in capitals.
fn lower(name: &impl Display) -> String {
    excerpt(&name.to_string()).to_lowercase()
}

fn text_of<'a>(metadata: Option<&'a FlagMetadata>, key: &str) -> Option<Cow<'a, str>> {
    match metadata?.values.get(key)? {
        FlagMetadataValue::String(text) => Some(excerpt(text)),
        _ => None,
    }
}

/// One event for each change of the state, and of the flags. The state is the one after the event.
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
        // Told to one subscriber, who knows.
        ProviderEvent::Lagged(_) => {}
    }
}
