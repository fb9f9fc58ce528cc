//! The context source itself: whose facts, and what becomes of them.

use std::{
    borrow::Cow,
    error::Error,
    fmt,
    sync::{Arc, OnceLock},
};

use async_trait::async_trait;
use tokio::{runtime::Handle, task::JoinHandle};

use super::{
    fields::{self, Fields},
    store::{Follow, Store},
    task,
};
use crate::{
    context_change::ContextChange,
    context_source::{ContextSource, Subject},
    flagops::{error::FactsError, grammar},
};

/// Whose facts are looked up for an evaluation.
///
/// ```
/// use flagstaff::flagops::FactsIdentity;
///
/// // What is known of the customer, and of this deployment.
/// let identities =
///     [FactsIdentity::Attribute("customer".to_owned()), FactsIdentity::Constant("eu-1".to_owned())];
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FactsIdentity {
    /// Those of the targeting key. A context without one adds no facts.
    TargetingKey,
    /// Those of a field of the context that is a string. A context without it adds no
    /// facts.
    Attribute(String),
    /// Those of this identity, for example of the deployment that the program belongs to.
    Constant(String),
}

/// A [`ContextSource`] with the facts that a store has of an identity: by default, of the
/// targeting key.
///
/// Facts are cached. An identity is read when it is first looked up, once however many
/// evaluations need it at the same time, and then every 30 s while it is used; in the
/// meantime the last facts are used. If the store has a change stream, a changed fact
/// takes effect within moments. With a [mirror](super::FactsBuilder::mirror), all facts are held
/// in memory and an evaluation makes no request at all.
///
/// An identity without facts, and one that cannot exist, adds no fields. If the store is
/// unreachable, flags are evaluated with the last known facts, or with none
/// ([`Outage::LastKnown`](super::Outage::LastKnown)).
///
/// A fact is a field with the name of its key and a string as its value, unless
/// [`typed`](super::FactsBuilder::typed). It overrides the caller's field of the same name,
/// unless [`caller_wins`](super::FactsBuilder::caller_wins). The targeting key is never
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

pub(super) struct Inner {
    name: String,
    identities: Vec<FactsIdentity>,
    caller_wins: bool,
    store: Arc<Store>,
    /// The task that follows the change stream, once it is needed.
    task: OnceLock<JoinHandle<()>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

impl Facts {
    pub(super) fn from_parts(
        name: String,
        identities: Vec<FactsIdentity>,
        caller_wins: bool,
        store: Store,
    ) -> Self {
        let (store, task) = (Arc::new(store), OnceLock::new());
        Self(Arc::new(Inner { name, identities, caller_wins, store, task }))
    }

    /// Waits until a [mirror](super::FactsBuilder::mirror) has all facts. Without a mirror, and
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
        self.start();
        self.0.store.ready().await;
    }

    /// Starts to follow the change stream, if that is wanted and not done yet, and if
    /// there is a runtime.
    fn start(&self) {
        let Inner { store, task, .. } = &*self.0;
        if task.get().is_some() || matches!(store.options.follow, Follow::Nothing) {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            task.get_or_init(|| runtime.spawn(task::follow(store)));
        }
    }

    /// The identities of a subject, in the order in which they are merged. One that
    /// cannot exist has no facts.
    fn identities<'s>(&'s self, subject: Subject<'s>) -> impl Iterator<Item = Cow<'s, str>> {
        self.0.identities.iter().filter_map(move |identity| {
            let name = match identity {
                FactsIdentity::TargetingKey => subject.targeting_key()?,
                FactsIdentity::Attribute(name) => subject.string(name)?,
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

    /// The fields of a subject. One identity costs no copy of its fields.
    pub(crate) async fn look_up(
        &self,
        subject: Subject<'_>,
    ) -> Result<Arc<Fields>, Arc<FactsError>> {
        self.start();
        let mut identities = self.identities(subject);
        let fields = match (identities.next(), identities.next()) {
            (None, _) => return Ok(Arc::default()),
            (Some(only), None) => self.0.store.fields(&only, None).await?,
            (Some(first), Some(second)) => {
                let store = &self.0.store;
                let identities: Vec<_> = [first, second].into_iter().chain(identities).collect();
                // They are read at the same time, and waited for as long as one.
                for identity in &identities {
                    store.begin(identity);
                }
                let until = Some(store.until());
                let mut all = Vec::new();
                for identity in &identities {
                    all.push(store.fields(identity, until).await?);
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

    async fn changed(&self, seen: u64) -> ContextChange {
        self.start();
        self.0.store.versions.since(seen).await
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
