//! Facts for any provider: a wrapper that adds them to the context.

use std::sync::Arc;

use async_trait::async_trait;
use open_feature::{
    EvaluationContext, EvaluationContextFieldValue, EvaluationError, EvaluationErrorCode,
    EvaluationResult, HookWrapper, StructValue,
    provider::{FeatureProvider, ProviderMetadata, ProviderStatus, ResolutionDetails},
};
use serde_json::Value;

use super::facts::{Facts, Fields};
use crate::{
    context_source::{ContextSource as _, Subject},
    excerpt::{chain, excerpt},
};

/// Wraps a provider of any vendor, so that its flags are evaluated with [`Facts`].
///
/// Metadata, status, hooks and initialization are those of the wrapped provider. Facts
/// that cannot be read are an error of the evaluation only with
/// [`Outage::Fail`](super::Outage::Fail). For
/// flags of flagd, pass the facts to
#[cfg_attr(
    feature = "rpc",
    doc = "[`FlagdProvider::with_context_source`](crate::FlagdProvider::with_context_source)"
)]
#[cfg_attr(not(feature = "rpc"), doc = "`FlagdProvider::with_context_source`")]
/// instead: it does not copy the context.
///
/// ```
/// use flagstaff::flagops::{Facts, FactsClient, FactsProvider};
/// use open_feature::provider::{FeatureProvider, NoOpProvider};
///
/// let client = FactsClient::builder("https://facts.internal").build()?;
/// let provider = FactsProvider::new(NoOpProvider::default(), Facts::new(client));
/// assert_eq!(provider.metadata(), NoOpProvider::default().metadata());
/// # Ok::<(), flagstaff::flagops::FactsError>(())
/// ```
#[derive(Debug)]
pub struct FactsProvider<P> {
    inner: P,
    facts: Facts,
}

impl<P> FactsProvider<P> {
    /// Adds facts to the context of each evaluation of `provider`.
    pub fn new(provider: P, facts: Facts) -> Self {
        Self { inner: provider, facts }
    }

    /// The wrapped provider.
    pub fn inner(&self) -> &P {
        &self.inner
    }

    /// The wrapped provider, without the facts.
    pub fn into_inner(self) -> P {
        self.inner
    }

    /// The context with the facts; `None` if there are none. The caller's context stays
    /// as it is.
    async fn context(
        &self,
        context: &EvaluationContext,
    ) -> Result<Option<EvaluationContext>, EvaluationError> {
        let looked_up = self.facts.look_up(Subject::new(context)).await;
        let fields: Arc<Fields> = looked_up.map_err(|error| EvaluationError {
            code: EvaluationErrorCode::General("GENERAL".to_owned()),
            message: Some(format!(
                "the facts of {} are unavailable: {}",
                excerpt(self.facts.name()),
                chain(&*error)
            )),
        })?;
        if fields.is_empty() {
            return Ok(None);
        }
        let mut context = context.clone();
        for (name, value) in &*fields {
            if let Some(value) = field(value) {
                context.custom_fields.insert(name.clone(), value);
            }
        }
        Ok(Some(context))
    }
}

/// The value as the SDK has it: an integer if it is one in 64 bits, else a float. Facts are strings, numbers and booleans.
fn field(value: &Value) -> Option<EvaluationContextFieldValue> {
    Some(match value {
        Value::String(text) => text.as_str().into(),
        Value::Bool(value) => (*value).into(),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => integer.into(),
            None => number.as_f64()?.into(),
        },
        _ => return None,
    })
}

/// Writes the implementation with its five evaluation methods, which differ in their type
/// only.
macro_rules! provider {
    ($($method:ident: $type:ty),+) => {
        #[async_trait]
        impl<P: FeatureProvider> FeatureProvider for FactsProvider<P> {
            async fn initialize(&mut self, context: &EvaluationContext) {
                self.inner.initialize(context).await;
            }

            fn status(&self) -> ProviderStatus {
                self.inner.status()
            }

            fn metadata(&self) -> &ProviderMetadata {
                self.inner.metadata()
            }

            fn hooks(&self) -> &[HookWrapper] {
                self.inner.hooks()
            }

            $(async fn $method(
                &self,
                flag_key: &str,
                context: &EvaluationContext,
            ) -> EvaluationResult<ResolutionDetails<$type>> {
                let with_facts = self.context(context).await?;
                self.inner.$method(flag_key, with_facts.as_ref().unwrap_or(context)).await
            })+
        }
    };
}

provider!(
    resolve_bool_value: bool,
    resolve_int_value: i64,
    resolve_float_value: f64,
    resolve_string_value: String,
    resolve_struct_value: StructValue
);
