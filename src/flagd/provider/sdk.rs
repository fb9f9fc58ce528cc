//! The provider as the SDK calls it: the implementation of [`FeatureProvider`].
//!
//! The trait is declared with `async_trait`, which makes each method return a
//! boxed future. The methods are written here in that form rather than with the
//! macro: an evaluation in this process and a cached one have their result
//! already, so the box holds a small finished future rather than a state machine
//! with room for a whole call. The bounds on lifetimes are those that the macro
//! generates.
//!
//! Evaluation does not read the SDK's global context here: the SDK merges it into
//! the context before it calls the provider.

use std::{pin::Pin, sync::LazyLock};

use open_feature::{
    EvaluationContext, EvaluationResult, StructValue,
    provider::{FeatureProvider, ProviderMetadata, ProviderStatus, ResolutionDetails},
};

use super::{FlagdProvider, telemetry::PROVIDER_NAME};

static METADATA: LazyLock<ProviderMetadata> =
    LazyLock::new(|| ProviderMetadata::new(PROVIDER_NAME));

/// The return type of a method of the SDK's trait, as `async_trait` writes it.
pub(crate) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Writes one of the five evaluation methods, which differ in their type only.
macro_rules! resolve {
    ($method:ident, $type:ty) => {
        fn $method<'provider, 'key, 'context, 'a>(
            &'provider self,
            flag_key: &'key str,
            context: &'context EvaluationContext,
        ) -> Boxed<'a, EvaluationResult<ResolutionDetails<$type>>>
        where
            'provider: 'a,
            'key: 'a,
            'context: 'a,
            Self: 'a,
        {
            self.resolve(flag_key, context)
        }
    };
}

impl FeatureProvider for FlagdProvider {
    /// Starts the provider; see [`FlagdProvider::start`].
    ///
    /// It returns when the provider is ready, when the first attempt has failed,
    /// or when the deadline has passed. The trait has no way to return an error,
    /// so the outcome is the [status](FeatureProvider::status). An initialized
    /// provider is not changed. The context is not used: flags are evaluated with
    /// the context of each evaluation.
    fn initialize<'provider, 'context, 'a>(
        &'provider mut self,
        _context: &'context EvaluationContext,
    ) -> Boxed<'a, ()>
    where
        'provider: 'a,
        'context: 'a,
        Self: 'a,
    {
        Box::pin(self.start())
    }

    /// The [state](FlagdProvider::state); fatal is shown as an error.
    fn status(&self) -> ProviderStatus {
        self.state().into()
    }

    fn metadata(&self) -> &ProviderMetadata {
        &METADATA
    }

    resolve!(resolve_bool_value, bool);
    resolve!(resolve_int_value, i64);
    resolve!(resolve_float_value, f64);
    resolve!(resolve_string_value, String);
    resolve!(resolve_struct_value, StructValue);
}
