//! Fields of the evaluation context that come from elsewhere than the caller.

use std::{borrow::Cow, error::Error, fmt, future::pending, sync::Arc};

use async_trait::async_trait;
use open_feature::{EvaluationContext, EvaluationContextFieldValue};
use serde_json::{Map, Value};

#[cfg(feature = "server")]
use crate::evaluator::{Context, ValueRef};

/// Adds fields to the evaluation context, such as what another system knows of a customer.
///
/// A [provider](crate::FlagdProvider::with_context_source) asks its source for each evaluation that
/// its cache does not answer, and lays the fields over the caller's: a field of the source hides the
/// caller's field of the same name. The targeting key is the caller's alone: a field `targetingKey`
/// of a source is ignored. An evaluation waits for the source, but not beyond the option
/// `deadlineMs`; a source should keep what it has read.
///
/// ```
/// use std::{error::Error, sync::Arc};
///
/// use flagstaff::{ContextSource, FlagdOptions, FlagdProvider, Subject, async_trait};
/// use serde_json::{Map, Value, json};
///
/// /// Knows the tier of each customer.
/// struct Tiers(Map<String, Value>);
///
/// #[async_trait]
/// impl ContextSource for Tiers {
///     fn name(&self) -> &str {
///         "tiers"
///     }
///
///     async fn fields(
///         &self,
///         subject: Subject<'_>,
///     ) -> Result<Arc<Map<String, Value>>, Box<dyn Error + Send + Sync>> {
///         let customer = subject.text("customer").unwrap_or_default();
///         let tier = self.0.get(&*customer).cloned().unwrap_or(json!("free"));
///         Ok(Arc::new(Map::from_iter([("tier".to_owned(), tier)])))
///     }
/// }
///
/// let tiers = Tiers(Map::from_iter([("acme".to_owned(), json!("gold"))]));
/// let options = FlagdOptions::builder().without_env().build()?;
/// let provider = FlagdProvider::new(options).with_context_source(tiers);
/// # Ok::<(), flagstaff::FlagdError>(())
/// ```
#[async_trait]
pub trait ContextSource: Send + Sync + 'static {
    /// The name of the source, for messages and logs. It must hold no secret.
    fn name(&self) -> &str;

    /// The fields for an evaluation.
    ///
    /// Many evaluations may ask at the same time. The call must be cancel-safe: an evaluation that
    /// has waited until its deadline drops it.
    ///
    /// # Errors
    ///
    /// The evaluation fails with the error, so a source that prefers an evaluation without its fields
    /// returns an empty map.
    async fn fields(
        &self,
        subject: Subject<'_>,
    ) -> Result<Arc<Map<String, Value>>, Box<dyn Error + Send + Sync>>;

    /// Waits until the fields of any subject are newer than the version `seen`, and returns their
    /// version.
    ///
    /// Versions only grow; a caller begins with 0 and passes what it got last, so that no change is
    /// missed between two calls. The call must be cancel-safe. By default it never returns: the
    /// fields do not change, or nobody knows when.
    async fn changed(&self, seen: u64) -> u64 {
        let _ = seen;
        pending().await
    }
}

/// Whom or what a flag is evaluated for: the evaluation context of the caller, as a
/// [`ContextSource`] sees it.
#[derive(Clone, Copy)]
pub struct Subject<'a>(Caller<'a>);

#[derive(Clone, Copy)]
enum Caller<'a> {
    Sdk(&'a EvaluationContext),
    /// A request to the server, which has the targeting key among its fields.
    #[cfg(feature = "server")]
    Request(&'a (dyn Context + Sync)),
}

impl<'a> Subject<'a> {
    /// The evaluation context of a program.
    #[must_use]
    pub fn new(context: &'a EvaluationContext) -> Self {
        Self(Caller::Sdk(context))
    }

    /// The evaluation context of a request.
    #[cfg(feature = "server")]
    pub(crate) fn of_request(context: &'a (dyn Context + Sync)) -> Self {
        Self(Caller::Request(context))
    }

    /// The targeting key, if there is one.
    #[must_use]
    pub fn targeting_key(&self) -> Option<Cow<'a, str>> {
        match self.0 {
            Caller::Sdk(context) => context.targeting_key.as_deref().map(Cow::Borrowed),
            #[cfg(feature = "server")]
            Caller::Request(_) => self.text(TARGETING_KEY),
        }
    }

    /// The field of this name, if there is one and it is a string.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        match self.0 {
            Caller::Sdk(context) => match context.custom_fields.get(name)? {
                EvaluationContextFieldValue::String(text) => Some(text.into()),
                _ => None,
            },
            #[cfg(feature = "server")]
            Caller::Request(context) => match context.get(name)? {
                ValueRef::Text(text) => Some(text.into()),
                ValueRef::Json(Value::String(text)) => Some(text.into()),
                ValueRef::Owned(Value::String(text)) => Some(text.into()),
                _ => None,
            },
        }
    }

    /// Whether the caller has a field of this name, of whatever type.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        match self.0 {
            Caller::Sdk(context) => context.custom_fields.contains_key(name),
            #[cfg(feature = "server")]
            Caller::Request(context) => context.get(name).is_some(),
        }
    }
}

/// The context may hold personal data and stays hidden.
impl fmt::Debug for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject").finish_non_exhaustive()
    }
}

/// The name by which rules know the targeting key.
pub(crate) const TARGETING_KEY: &str = "targetingKey";
