//! The flags that templates name, each evaluated once in a run.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use flagstaff::{FlagdProvider, reason};
use open_feature::{EvaluationContext, EvaluationErrorCode as Code, EvaluationReason};
use serde_json::Value as Json;
use tokio::runtime::Handle;

use super::lookup::NoValue;
use crate::{eval, excerpt::excerpt};

/// A provider, for one evaluation context.
pub(super) struct Flags {
    provider: FlagdProvider,
    context: EvaluationContext,
    /// Templates are not asynchronous, so they are rendered outside of the runtime and wait for it.
    runtime: Handle,
    results: Mutex<HashMap<String, Result<Json, NoValue>>>,
}

impl Flags {
    pub(super) fn new(
        provider: FlagdProvider,
        context: EvaluationContext,
        runtime: Handle,
    ) -> Self {
        Self { provider, context, runtime, results: Mutex::default() }
    }

    /// The value of a flag, whatever its type.
    ///
    /// It must not be called in a task of the runtime.
    pub(super) fn get(&self, key: &str) -> Result<Json, NoValue> {
        // A result is inserted as a whole, so a panic elsewhere leaves nothing half done.
        let mut results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = results.get(key) {
            return known.clone();
        }
        let result = self.runtime.block_on(self.evaluate(key));
        results.insert(key.to_owned(), result.clone());
        result
    }

    async fn evaluate(&self, key: &str) -> Result<Json, NoValue> {
        let error = match eval::ask(&self.provider, None, key, &self.context).await {
            Ok(answer) => return Ok(answer.value),
            Err(error) => error,
        };
        let name = excerpt(key);
        Err(match (reason(&error), &error.code) {
            (EvaluationReason::Disabled, _) => NoValue::Left(format!("flag `{name}` is disabled")),
            (EvaluationReason::Default, _) => {
                NoValue::Left(format!("flag `{name}` leaves its value to the caller"))
            }
            (_, Code::FlagNotFound) => NoValue::Absent,
            (_, code) => {
                let is_unreachable = *code == Code::ProviderNotReady;
                let cause = error.message.as_deref().unwrap_or("no reason was provided");
                let message = format!("flag `{name}` cannot be evaluated: {code}: {cause}");
                NoValue::Failed { message, is_unreachable }
            }
        })
    }
}
