//! Facts for a provider of another vendor.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use flagstaff::flagops::{Facts, FactsProvider, Outage};
use open_feature::{
    EvaluationContext, EvaluationContextFieldValue as Field, EvaluationError, EvaluationErrorCode,
    EvaluationResult, HookWrapper, LoggingHook, StructValue,
    provider::{FeatureProvider, ProviderMetadata, ProviderStatus, ResolutionDetails},
};

use super::{
    double::{Does, Store},
    wait::PATIENCE,
};

/// A provider that shows what it is asked.
pub struct Vendor {
    metadata: ProviderMetadata,
    hooks: Vec<HookWrapper>,
    initialized: bool,
    pub contexts: Arc<Mutex<Vec<EvaluationContext>>>,
}

impl Vendor {
    pub fn new() -> Self {
        Self {
            metadata: ProviderMetadata::new("vendor"),
            hooks: vec![HookWrapper::new(LoggingHook::default())],
            initialized: false,
            contexts: Arc::default(),
        }
    }

    fn note(&self, context: &EvaluationContext) {
        self.contexts.lock().unwrap().push(context.clone());
    }
}

#[async_trait]
impl FeatureProvider for Vendor {
    async fn initialize(&mut self, _: &EvaluationContext) {
        self.initialized = true;
    }

    fn status(&self) -> ProviderStatus {
        if self.initialized { ProviderStatus::STALE } else { ProviderStatus::NotReady }
    }

    fn metadata(&self) -> &ProviderMetadata {
        &self.metadata
    }

    fn hooks(&self) -> &[HookWrapper] {
        &self.hooks
    }

    async fn resolve_bool_value(
        &self,
        _: &str,
        context: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<bool>> {
        self.note(context);
        Ok(ResolutionDetails::new(true))
    }

    async fn resolve_int_value(
        &self,
        _: &str,
        context: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<i64>> {
        self.note(context);
        Ok(ResolutionDetails::new(5))
    }

    async fn resolve_float_value(
        &self,
        _: &str,
        context: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<f64>> {
        self.note(context);
        Ok(ResolutionDetails::new(0.5))
    }

    async fn resolve_string_value(
        &self,
        _: &str,
        context: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<String>> {
        self.note(context);
        Ok(ResolutionDetails::new("x"))
    }

    async fn resolve_struct_value(
        &self,
        _: &str,
        _: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<StructValue>> {
        let (code, message) = (EvaluationErrorCode::FlagNotFound, Some("theirs".to_owned()));
        Err(EvaluationError { code, message })
    }
}

#[tokio::test]
async fn evaluations_have_the_facts_and_the_callers_context_stays() {
    let store = Store::start().await;
    for (key, value) in [("tier", "gold"), ("seats", "5"), ("share", "0.5"), ("beta", "true")] {
        store.set("acme", key, value);
    }
    store.set("acme", "targetingKey", "other");
    let vendor = Vendor::new();
    let contexts = Arc::clone(&vendor.contexts);
    let facts = Facts::builder(store.client()).typed(true).wait(PATIENCE).build();
    let provider = FactsProvider::new(vendor, facts);
    let context = EvaluationContext::default()
        .with_targeting_key("acme")
        .with_custom_field("tier", "free")
        .with_custom_field("own", 1);
    let before = context.clone();
    assert!(provider.resolve_bool_value("f", &context).await.unwrap().value);
    assert_eq!(provider.resolve_int_value("f", &context).await.unwrap().value, 5);
    assert!(provider.resolve_float_value("f", &context).await.is_ok());
    assert_eq!(provider.resolve_string_value("f", &context).await.unwrap().value, "x");
    let error = provider.resolve_struct_value("f", &context).await.unwrap_err();
    assert_eq!(error.message.as_deref(), Some("theirs"));
    assert_eq!(context, before);
    let expected = before
        .with_custom_field("tier", "gold")
        .with_custom_field("seats", 5)
        .with_custom_field("share", 0.5)
        .with_custom_field("beta", true);
    let seen = contexts.lock().unwrap().clone();
    assert_eq!(seen, vec![expected; 4]);
    assert!(matches!(seen[0].custom_fields["seats"], Field::Int(5)));
}

#[tokio::test]
async fn the_rest_is_the_wrapped_providers() {
    let store = Store::start().await;
    let mut provider = FactsProvider::new(Vendor::new(), Facts::new(store.client()));
    assert_eq!(provider.status(), ProviderStatus::NotReady);
    provider.initialize(&EvaluationContext::default()).await;
    assert_eq!(provider.status(), ProviderStatus::STALE);
    assert_eq!(provider.metadata().name, "vendor");
    assert_eq!(provider.hooks().len(), 1);
    assert!(provider.inner().initialized && provider.into_inner().initialized);
}

#[tokio::test]
async fn facts_that_must_be_there_are_an_error_of_the_evaluation() {
    let store = Store::start().await;
    store.does(|_| Some(Does::Status(403)));
    let facts = Facts::builder(store.client()).watch(false).wait(PATIENCE).outage(Outage::Fail);
    let provider = FactsProvider::new(Vendor::new(), facts.build());
    let context = EvaluationContext::default().with_targeting_key("acme");
    let error = provider.resolve_bool_value("f", &context).await.unwrap_err();
    assert!(error.message.unwrap().contains("403 Forbidden"));
    // Without an identity there is nothing to read.
    assert!(provider.resolve_bool_value("f", &EvaluationContext::default()).await.is_ok());
}
