//! The provider as the SDK calls it.

use std::{pin::Pin, sync::LazyLock};

use open_feature::{
    EvaluationContext, EvaluationResult, StructValue,
    provider::{FeatureProvider, ProviderMetadata, ProviderStatus, ResolutionDetails},
};

use super::{FlagdProvider, telemetry::PROVIDER_NAME};

static METADATA: LazyLock<ProviderMetadata> =
    LazyLock::new(|| ProviderMetadata::new(PROVIDER_NAME));

/// What a method of the SDK's trait returns once `async_trait` has rewritten it.
pub(crate) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Writes one of the five methods with the signature that `async_trait` gives it.
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
    /// Opens the event stream, and returns when flagd is ready, when the first attempt has failed,
    /// or when the deadline has passed. On a provider that is initialized it changes nothing.
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
