//! Facts as a context source.
//!
//! ```text
//! fields(subject) -> identities of the subject -> store.rs: the fields of each
//!                                                   mirror (all facts are here)
//!                                                   cache (fresh, stale, or read it)
//!                 -> fields.rs: merged, without those of the caller if it wins
//! task.rs: the change stream -> cache or mirror -> versions.rs: `changed`
//! ```
//!
//! `cache`, `mirror.rs` and `fields.rs` are pure.

mod builder;
mod cache;
mod fields;
mod mirror;
mod store;
mod task;
mod versions;

use std::{borrow::Cow, error::Error, fmt, sync::Arc};

use async_trait::async_trait;

pub use self::builder::{FactsBuilder, FactsIdentity, Outage};
pub(super) use self::fields::Fields;
use self::store::Store;
use super::{client::FactsClient, error::FactsError, grammar};
use crate::context_source::{ContextSource, Subject};

/// A [`ContextSource`] with the facts that a store has of an identity: by default, of the
/// targeting key.
///
/// Facts are cached. An identity is read when it is first looked up, once however many
/// evaluations need it at the same time, and then every 30 s while it is used; in the
/// meantime the last facts are used. If the store has a change stream, a changed fact
/// takes effect within moments. With a [mirror](FactsBuilder::mirror), all facts are held
/// in memory and an evaluation makes no request at all.
///
/// An identity without facts, and one that cannot exist, adds no fields. If the store is
/// unreachable, flags are evaluated with the last known facts, or with none
/// ([`Outage::LastKnown`]).
///
/// A fact is a field with the name of its key and a string as its value, unless
/// [`typed`](FactsBuilder::typed). It overrides the caller's field of the same name,
/// unless [`caller_wins`](FactsBuilder::caller_wins). The targeting key is never
/// replaced.
///
/// Clones share the cache. The source stops following changes when the last clone is
/// dropped.
///
/// ```
/// # #[cfg(feature = "rpc")]
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use flagstaff::{
///     FlagdOptions, FlagdProvider,
///     flagops::{Facts, FactsClient, Secret},
/// };
///
/// let client = FactsClient::builder("https://facts.internal")
///     .token(Secret::file("/run/secrets/facts-token"))
///     .build()?;
/// let options = FlagdOptions::builder().without_env().build()?;
/// let provider = FlagdProvider::new(options).with_context_source(Facts::new(client));
/// # Ok(()) }
/// # #[cfg(feature = "rpc")]
/// # example().unwrap();
/// ```
#[derive(Clone)]
pub struct Facts(Arc<Inner>);

struct Inner {
    name: String,
    identities: Vec<FactsIdentity>,
    caller_wins: bool,
    store: Arc<Store>,
}

impl Facts {
    /// The facts of the targeting key, with the default options.
    #[must_use]
    pub fn new(client: FactsClient) -> Self {
        Self::builder(client).build()
    }

    /// The options, with their defaults.
    #[must_use]
    pub fn builder(client: FactsClient) -> FactsBuilder {
        FactsBuilder::new(client)
    }

    /// Waits until a [mirror](FactsBuilder::mirror) has all facts. Without a mirror, and
    /// if the store has no change stream, it returns immediately.
    ///
    /// ```no_run
    /// use flagstaff::flagops::{Facts, FactsClient};
    ///
    /// # async fn example(client: FactsClient) {
    /// let facts = Facts::builder(client).mirror("acme-").build();
    /// facts.ready().await;
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    pub async fn ready(&self) {
        self.0.store.ready().await;
    }

    /// The identities of a subject, in the order in which they are merged. One that
    /// cannot exist has no facts.
    fn identities<'s>(&'s self, subject: Subject<'s>) -> impl Iterator<Item = Cow<'s, str>> {
        self.0.identities.iter().filter_map(move |identity| {
            let name = match identity {
                FactsIdentity::TargetingKey => subject.targeting_key()?,
                FactsIdentity::Attribute(name) => subject.text(name)?,
                FactsIdentity::Constant(identity) => Cow::Borrowed(&**identity),
            };
            match grammar::identity(&name) {
                Ok(_) => Some(name),
                Err(error) => {
                    tracing::debug!(%error, "an identity cannot have facts");
                    None
                }
            }
        })
    }

    /// The fields of a subject.
    pub(super) async fn look_up(
        &self,
        subject: Subject<'_>,
    ) -> Result<Arc<Fields>, Arc<FactsError>> {
        let mut identities = self.identities(subject);
        let fields = match (identities.next(), identities.next()) {
            (None, _) => return Ok(Arc::default()),
            (Some(only), None) => self.0.store.fields(&only).await?,
            (Some(first), Some(second)) => {
                let mut all = Vec::new();
                for identity in [first, second].into_iter().chain(identities) {
                    all.push(self.0.store.fields(&identity).await?);
                }
                fields::merged(all)
            }
        };
        if self.0.caller_wins {
            return Ok(fields::without(fields, |name| subject.contains(name)));
        }
        Ok(fields)
    }
}

#[async_trait]
impl ContextSource for Facts {
    /// The URL of the store, without what may be secret.
    fn name(&self) -> &str {
        &self.0.name
    }

    async fn fields(
        &self,
        subject: Subject<'_>,
    ) -> Result<Arc<Fields>, Box<dyn Error + Send + Sync>> {
        self.look_up(subject).await.map_err(Into::into)
    }

    async fn changed(&self, seen: u64) -> u64 {
        self.0.store.changed(seen).await
    }
}

/// Shows no facts.
impl fmt::Debug for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Facts")
            .field("name", &self.0.name)
            .field("identities", &self.0.identities)
            .finish_non_exhaustive()
    }
}
