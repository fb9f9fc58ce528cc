//! The options of facts.

use std::{num::NonZeroUsize, time::Duration};

use super::{
    cache::Cache,
    fields::Typing,
    source::{Facts, FactsIdentity},
    store::{Follow, Options, Outage, Store},
};
use crate::flagops::client::FactsClient;

/// The options of [`Facts`], from [`Facts::builder`].
///
/// ```no_run
/// use std::time::Duration;
///
/// use flagstaff::flagops::{Facts, FactsClient, FactsIdentity, Outage};
///
/// # fn example(client: FactsClient) {
/// let facts = Facts::builder(client)
///     .identity(FactsIdentity::Attribute("customer".to_owned()))
///     .identity(FactsIdentity::TargetingKey)
///     .typed(true)
///     .age(Duration::from_secs(10))
///     .outage(Outage::Fail)
///     .build();
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct FactsBuilder {
    client: FactsClient,
    identities: Vec<FactsIdentity>,
    capacity: NonZeroUsize,
    typed: bool,
    caller_wins: bool,
    age: Duration,
    wait: Duration,
    outage: Outage,
    follow: Follow,
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
}

impl FactsBuilder {
    fn new(client: FactsClient) -> Self {
        Self {
            client,
            identities: Vec::new(),
            capacity: NonZeroUsize::MIN.saturating_add(9_999),
            typed: false,
            caller_wins: false,
            age: Duration::from_secs(30),
            wait: Duration::from_millis(250),
            outage: Outage::LastKnown,
            follow: Follow::Cached,
        }
    }

    /// Adds an identity whose facts are looked up. The first call replaces the default.
    /// Facts of one that was added later
    /// override those of the same name. Default: the targeting key alone.
    #[must_use]
    pub fn identity(mut self, identity: FactsIdentity) -> Self {
        self.identities.push(identity);
        self
    }

    /// Limits how many identities are cached. The one that was used least recently is
    /// evicted. Default: 10,000.
    #[must_use]
    pub fn max_identities(mut self, identities: NonZeroUsize) -> Self {
        self.capacity = identities;
        self
    }

    /// Sets after how long facts are read again, while the old ones are still used.
    /// Default: 30 s. Identities that the change stream follows are not read again.
    #[must_use]
    pub fn age(mut self, age: Duration) -> Self {
        self.age = age;
        self
    }

    /// Limits how long an evaluation waits for an identity of which nothing is known yet.
    /// Then it goes on as in an [outage](Self::outage), and the facts are there later.
    /// Default: 250 ms, half of the default of the option `deadlineMs`.
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// Sets what an evaluation does while the facts cannot be read. Default:
    /// [`Outage::LastKnown`].
    #[must_use]
    pub fn outage(mut self, outage: Outage) -> Self {
        self.outage = outage;
        self
    }

    /// Whether a fact that is written as a number or as `true` or `false` becomes one, so
    /// that rules can compare it: `5`, `1.5`, `1e3`. Default: `false`; all are strings.
    ///
    /// What would not be the same when written again stays a string, such as `007` and
    /// integers of more than 64 bits.
    #[must_use]
    pub fn typed(mut self, typed: bool) -> Self {
        self.typed = typed;
        self
    }

    /// Whether a field of the caller overrides a fact of the same name. Default: `false`,
    /// since a caller may not know better than the systems that write facts, and in the
    /// server it may be anybody.
    #[must_use]
    pub fn caller_wins(mut self, wins: bool) -> Self {
        self.caller_wins = wins;
        self
    }

    /// Whether the change stream is followed for the cached identities. Default: `true`,
    /// without effect if the store has no change stream.
    #[must_use]
    pub fn watch(mut self, watch: bool) -> Self {
        self.follow = if watch { Follow::Cached } else { Follow::Nothing };
        self
    }

    /// Holds the facts of all identities whose name begins with `prefix` in memory, kept
    /// by the change stream, so that an evaluation makes no request. An empty prefix means
    /// all identities. Other identities have no facts.
    ///
    /// A prefix of 10,000 identities with 5 facts each takes a few megabytes. The facts are
    /// read once, and then only what changes is sent.
    ///
    /// The token must be allowed to read them. If the store has no change stream,
    /// identities are cached as without a mirror.
    #[must_use]
    pub fn mirror(mut self, prefix: impl Into<String>) -> Self {
        self.follow = Follow::Mirror(prefix.into());
        self
    }

    /// Builds the source. It connects to nothing until it is used.
    #[must_use]
    pub fn build(self) -> Facts {
        let Self {
            client,
            mut identities,
            capacity,
            typed,
            caller_wins,
            age,
            wait,
            outage,
            follow,
        } = self;
        if identities.is_empty() {
            identities.push(FactsIdentity::TargetingKey);
        }
        let name = client.name();
        let typing = Typing { typed };
        let options = Options { age, wait, outage, follow, typing };
        let store = Store::new(client, Cache::new(capacity, age, typing), options);
        Facts::from_parts(name, identities, caller_wins, store)
    }
}
