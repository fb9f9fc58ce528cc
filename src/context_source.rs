//! Fields of the evaluation context that do not come from the caller.

use std::{borrow::Cow, error::Error, fmt, future::pending, sync::Arc};

use async_trait::async_trait;
use open_feature::{EvaluationContext, EvaluationContextFieldValue};
use serde_json::{Map, Value};

use crate::context_change::ContextChange;
#[cfg(feature = "server")]
use crate::evaluator::{Context, ValueRef};

/// Adds fields to the evaluation context, such as what another system knows about
/// a customer.
///
/// A [provider](crate::FlagdProvider::with_context_source) calls its source for each
/// evaluation whose result is not cached, and the server calls it for each request.
///
/// A field of the source overrides the caller's field of the same name, and is
/// overridden by what the operator of flagd or of the server sets: the sync context,
/// constants, and fields from headers. A source in which the caller wins leaves out
/// the fields that the [`Subject`] has. A field `targetingKey` of a source is always
/// ignored.
///
/// An evaluation waits for the source, but not beyond the option `deadlineMs`. A
/// source that reads from another system should therefore cache what it has read.
///
/// ```
/// use std::{error::Error, sync::Arc};
///
/// use flagstaff::{ContextSource, FlagdOptions, FlagdProvider, Subject, async_trait};
/// use serde_json::{Map, Value, json};
///
/// /// The tier of each customer.
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
///         let customer = subject.string("customer").unwrap_or_default();
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
    /// The name of the source, for messages and logs. It must not contain a secret.
    fn name(&self) -> &str;

    /// Returns the fields for an evaluation.
    ///
    /// It may be called concurrently. It must be cancel-safe, because an evaluation
    /// that has waited until its deadline drops the future. The map is shared, so a
    /// source can return the same one for every evaluation without copying it.
    ///
    /// # Errors
    ///
    /// The evaluation fails with the error. A source that prefers an evaluation
    /// without its fields returns an empty map.
    async fn fields(
        &self,
        subject: Subject<'_>,
    ) -> Result<Arc<Map<String, Value>>, Box<dyn Error + Send + Sync>>;

    /// Waits until the fields of any subject are newer than the version `seen`, and
    /// returns the new version, with the fields that have changed since `seen`.
    ///
    /// Versions only grow. A caller begins with 0 and passes the version that it
    /// received last, so that no change between two calls is missed. A change must
    /// be reported only once [`fields`](Self::fields) returns the new fields. It must
    /// be cancel-safe, and must not return immediately without a change, since it is
    /// called in a loop. [`FieldVersions`](crate::FieldVersions) does all of this.
    ///
    /// A provider then emits `ConfigurationChanged`, and the server notifies its
    /// clients: of the flags whose rules read one of the fields, where the rules are
    /// known.
    ///
    /// By default it never returns, which suits fields that do not change, or of
    /// which nobody knows when they change.
    async fn changed(&self, seen: u64) -> ContextChange {
        let _ = seen;
        pending().await
    }
}

/// The evaluation context, as a [`ContextSource`] sees it: the user or the thing that
/// a flag is evaluated for.
///
/// In a provider these are the fields of the caller. In the server they are the
/// fields of the client, under those that the operator sets with
/// `context_from_header` and `context_value`.
///
/// ```
/// use flagstaff::Subject;
/// use open_feature::EvaluationContext;
///
/// let context = EvaluationContext::default()
///     .with_targeting_key("user-1")
///     .with_custom_field("customer", "acme")
///     .with_custom_field("seats", 12);
/// let subject = Subject::new(&context);
/// assert_eq!(subject.targeting_key().as_deref(), Some("user-1"));
/// assert_eq!(subject.string("customer").as_deref(), Some("acme"));
/// assert!(subject.contains("seats") && subject.string("seats").is_none());
/// assert_eq!(subject.string("targetingKey").as_deref(), Some("user-1"));
/// ```
#[derive(Clone, Copy)]
pub struct Subject<'a>(Caller<'a>);

/// Where the context comes from. A source must not depend on it.
#[derive(Clone, Copy)]
enum Caller<'a> {
    /// An evaluation through the SDK.
    Sdk(&'a EvaluationContext),
    /// A request to the server, which has the targeting key among its fields.
    #[cfg(feature = "server")]
    Request(&'a (dyn Context + Sync)),
}

impl<'a> Subject<'a> {
    /// Wraps the evaluation context of a program, for example in a test of a source.
    #[must_use]
    pub fn new(context: &'a EvaluationContext) -> Self {
        Self(Caller::Sdk(context))
    }

    /// Wraps the evaluation context of a request to the server.
    #[cfg(feature = "server")]
    pub(crate) fn of_request(context: &'a (dyn Context + Sync)) -> Self {
        Self(Caller::Request(context))
    }

    /// The targeting key, if there is one: the field `targetingKey`.
    #[must_use]
    pub fn targeting_key(&self) -> Option<Cow<'a, str>> {
        self.string(TARGETING_KEY)
    }

    /// The field of this name, if there is one and it is a string.
    ///
    /// As in rules, `targetingKey` is the targeting key, or without one the custom
    /// field of that name.
    #[must_use]
    pub fn string(&self, name: &str) -> Option<Cow<'a, str>> {
        match self.0 {
            Caller::Sdk(EvaluationContext { targeting_key: Some(key), .. })
                if name == TARGETING_KEY =>
            {
                Some(key.into())
            }
            Caller::Sdk(context) => match context.custom_fields.get(name)? {
                EvaluationContextFieldValue::String(text) => Some(text.into()),
                _ => None,
            },
            #[cfg(feature = "server")]
            Caller::Request(context) => match context.get(name)? {
                ValueRef::String(text) => Some(text.into()),
                ValueRef::Json(Value::String(text)) => Some(text.into()),
                ValueRef::Owned(Value::String(text)) => Some(text.into()),
                _ => None,
            },
        }
    }

    /// Whether the context has a field of this name, of whatever type. The targeting
    /// key is one, as for [`string`](Self::string).
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        match self.0 {
            Caller::Sdk(context) => {
                let is_key = name == TARGETING_KEY && context.targeting_key.is_some();
                is_key || context.custom_fields.contains_key(name)
            }
            #[cfg(feature = "server")]
            Caller::Request(context) => context.get(name).is_some(),
        }
    }
}

/// Shows nothing of the context, which may contain personal data.
impl fmt::Debug for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject").finish_non_exhaustive()
    }
}

/// The name of the targeting key in rules; see "Evaluation context" in
/// `docs/flagd.md`.
pub(crate) const TARGETING_KEY: &str = "targetingKey";
