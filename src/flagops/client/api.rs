//! The requests of a client, one method each.

use std::{collections::BTreeMap, sync::Arc};

use http::{
    Method,
    header::{IF_MATCH, IF_NONE_MATCH},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    changes::Changes,
    model::{
        Condition, Fact, FactPatch, FactVersion, Identity, IdentityFacts, ListQuery, Page, PutFact,
        time,
    },
    response::Received,
    send::{Call, Inner},
    subscription::Subscription,
};
use crate::flagops::{error::FactsError, grammar};

/// A client of a store of facts: `flagops-store`, or the original data store of FlagOps.
///
/// Identities and keys are checked before a request is sent: 1 to 160 bytes (keys: 128)
/// without control characters and `/`, and not `.` or `..`. Each is one escaped segment
/// of a URL, so that no name leads to another path.
///
/// A response without facts is not an error. What the original data store cannot do is
/// [`FactsError::Unsupported`], also where its server would do something else instead:
/// removing one fact there removes the whole identity.
///
/// Cloning a client is cheap, and clones share their connections.
///
/// ```no_run
/// use flagstaff::flagops::{FactsClient, Secret};
///
/// # async fn example() -> Result<(), flagstaff::flagops::FactsError> {
/// let client = FactsClient::builder("https://facts.internal")
///     .token(Secret::file("/run/secrets/facts-token"))
///     .build()?;
/// client.put_fact("acme-prod", "tier", "gold").await?;
/// assert_eq!(client.fact("acme-prod", "tier").await?.unwrap().value, "gold");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct FactsClient(pub(super) Arc<Inner>);

/// The body of a list of identities.
#[derive(Deserialize)]
struct Identities {
    identities: BTreeMap<String, Identity>,
    next: Option<String>,
}

/// The body of a list of facts.
#[derive(Deserialize)]
struct AllFacts {
    facts: BTreeMap<String, BTreeMap<String, String>>,
    next: Option<String>,
}

/// The body of a history.
#[derive(Deserialize)]
struct Versions {
    versions: Vec<FactVersion>,
}

impl FactsClient {
    /// The URL of the store without what may be secret, for messages.
    #[must_use]
    pub fn name(&self) -> String {
        self.0.name()
    }

    /// Lists identities, one page for each call.
    ///
    /// ```no_run
    /// # async fn example(client: flagstaff::flagops::FactsClient) -> Result<(), Box<dyn std::error::Error>> {
    /// use flagstaff::flagops::ListQuery;
    ///
    /// let mut query = Some(ListQuery::prefix("acme-"));
    /// while let Some(next) = query {
    ///     let page = client.identities(&next).await?;
    ///     println!("{:?}", page.items.keys());
    ///     query = page.next;
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// Every method of the client fails as [`FactsError`] says.
    pub async fn identities(&self, query: &ListQuery) -> Result<Page<Identity>, FactsError> {
        let received = self.list(&["identity"], query).await?;
        let found: Identities = received.json("identities")?;
        Ok(page(query, found.identities, found.next, received.sequence()))
    }

    /// Lists identities with their facts, one page for each call. The original data store
    /// cannot do this.
    ///
    /// A page says up to which change it is complete, so that a program can follow the
    /// [changes](Self::changes) from there. [`Facts`](crate::flagops::Facts) with a mirror
    /// does that.
    ///
    /// ```no_run
    /// # async fn example(client: flagstaff::flagops::FactsClient) -> Result<(), Box<dyn std::error::Error>> {
    /// use flagstaff::flagops::ListQuery;
    ///
    /// let page = client.all_facts(&ListQuery::prefix("acme-").limit(100)).await?;
    /// for (identity, facts) in &page.items {
    ///     println!("{identity}: {facts:?}");
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`identities`](Self::identities).
    pub async fn all_facts(
        &self,
        query: &ListQuery,
    ) -> Result<Page<BTreeMap<String, String>>, FactsError> {
        let received = self.list(&["fact"], query).await?;
        let found: AllFacts = received.json("the facts of identities")?;
        Ok(page(query, found.facts, found.next, received.sequence()))
    }

    async fn list(&self, path: &[&str], query: &ListQuery) -> Result<Received, FactsError> {
        let limit = query.limit.to_string();
        let mut call = Call::new(Method::GET, path.iter().copied()).query("limit", &limit);
        if !query.prefix.is_empty() {
            call = call.query("prefix", &query.prefix);
        }
        if let Some(after) = &query.after {
            call = call.query("after", after);
        }
        self.0.send(&call).await?.success()
    }

    /// Removes an identity with its facts and secrets, and their history. It is not an
    /// error if it does not exist.
    ///
    /// ```no_run
    /// # async fn example(client: flagstaff::flagops::FactsClient) -> Result<(), Box<dyn std::error::Error>> {
    /// client.delete_identity("acme-prod").await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`identities`](Self::identities).
    pub async fn delete_identity(&self, identity: &str) -> Result<(), FactsError> {
        let path = ["identity", grammar::identity(identity)?];
        self.0.send(&Call::new(Method::DELETE, path)).await?.success()?;
        Ok(())
    }

    /// Returns the facts of an identity. They are empty if it has none.
    ///
    /// ```no_run
    /// # async fn example(client: flagstaff::flagops::FactsClient) -> Result<(), Box<dyn std::error::Error>> {
    /// let acme = client.facts("acme-prod").await?;
    /// if let Some(tier) = acme.facts.get("tier") {
    ///     println!("{tier}, as of change {:?}", acme.sequence);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`identities`](Self::identities).
    pub async fn facts(&self, identity: &str) -> Result<IdentityFacts, FactsError> {
        let path = ["fact", grammar::identity(identity)?];
        let received = self.0.send(&Call::new(Method::GET, path)).await?;
        let sequence = received.sequence();
        match received.success() {
            Ok(received) => Ok(IdentityFacts {
                facts: received.json("an object of strings")?,
                version: received.etag(),
                sequence,
            }),
            Err(FactsError::NotFound(_)) => Ok(IdentityFacts { sequence, ..Default::default() }),
            Err(error) => Err(error),
        }
    }

    /// Returns a fact, if there is one, with its version and when it expires.
    ///
    /// ```no_run
    /// # async fn example(client: flagstaff::flagops::FactsClient) -> Result<(), Box<dyn std::error::Error>> {
    /// match client.fact("acme-prod", "trial").await? {
    ///     Some(fact) => println!("{} until {:?}", fact.value, fact.expires),
    ///     None => println!("no trial"),
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`identities`](Self::identities).
    pub async fn fact(&self, identity: &str, key: &str) -> Result<Option<Fact>, FactsError> {
        let (identity, key) = (grammar::identity(identity)?, grammar::key(key)?);
        let received = self.0.send(&Call::new(Method::GET, ["fact", identity, key])).await?;
        if received.is_blank_500() {
            // The original says so if the identity does not exist, and if its database fails.
            let mut facts = self.facts(identity).await?.facts;
            let fact = |value| Fact { value, version: None, expires: None };
            return Ok(facts.remove(key).map(fact));
        }
        let Some(received) = found(received)? else { return Ok(None) };
        let mut facts: BTreeMap<String, String> = received.json("an object of strings")?;
        let Some(value) = facts.remove(key) else {
            return Err(received.unexpected("the response does not contain the fact".to_owned()));
        };
        let expires = match received.header("flagops-expires") {
            None => None,
            Some(text) => Some(time(text).ok_or_else(|| {
                received.unexpected("invalid time in the header `flagops-expires`".to_owned())
            })?),
        };
        Ok(Some(Fact { value, version: received.etag(), expires }))
    }

    /// Writes a fact, and returns its new version, which the original data store does
    /// not have.
    ///
    /// ```no_run
    /// # async fn example(client: flagstaff::flagops::FactsClient) -> Result<(), Box<dyn std::error::Error>> {
    /// use flagstaff::flagops::PutFact;
    ///
    /// client.put_fact("acme-prod", "tier", "gold").await?;
    /// let fact = client.fact("acme-prod", "tier").await?.ok_or("no tier")?;
    /// let version = fact.version.ok_or("this is the original data store")?;
    /// let upgrade = PutFact::new("platinum").if_version(version);
    /// client.put_fact("acme-prod", "tier", upgrade).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`identities`](Self::identities); [`FactsError::Conflict`] if a condition was
    /// not met. A write with a condition is not repeated.
    pub async fn put_fact(
        &self,
        identity: &str,
        key: &str,
        fact: impl Into<PutFact>,
    ) -> Result<Option<String>, FactsError> {
        let (identity, key, fact) = (grammar::identity(identity)?, grammar::key(key)?, fact.into());
        grammar::value(key, &fact.value)?;
        if !fact.is_plain() {
            self.0.require_ours("it would ignore the condition and the expiry").await?;
        }
        let mut call = Call::new(Method::PUT, ["fact", identity, key]).body(fact.body());
        match fact.condition {
            None => {}
            Some(Condition::Absent) => call = call.condition(IF_NONE_MATCH, "*".to_owned()),
            Some(Condition::Version(version)) => call = call.condition(IF_MATCH, quoted(&version)),
        }
        Ok(self.0.send(&call).await?.success()?.etag())
    }

    /// Removes a fact. It is not an error if there is none.
    ///
    /// Before the first removal of a client, one more request finds out what the server is.
    ///
    /// ```no_run
    /// # async fn example(client: flagstaff::flagops::FactsClient) -> Result<(), Box<dyn std::error::Error>> {
    /// client.delete_fact("acme-prod", "trial").await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`identities`](Self::identities). It is
    /// [unsupported](FactsError::Unsupported) by the original data store, which would
    /// remove all facts and secrets of the identity instead.
    pub async fn delete_fact(&self, identity: &str, key: &str) -> Result<(), FactsError> {
        self.delete(identity, key, None).await
    }

    /// Removes a fact if it has this [version](Fact::version), so that a value that
    /// somebody has written meanwhile is not lost.
    ///
    /// ```no_run
    /// # async fn example(client: flagstaff::flagops::FactsClient) -> Result<(), Box<dyn std::error::Error>> {
    /// let trial = client.fact("acme-prod", "trial").await?;
    /// if let Some(version) = trial.and_then(|trial| trial.version) {
    ///     client.delete_fact_if("acme-prod", "trial", &version).await?;
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`put_fact`](Self::put_fact).
    pub async fn delete_fact_if(
        &self,
        identity: &str,
        key: &str,
        version: &str,
    ) -> Result<(), FactsError> {
        self.delete(identity, key, Some(version)).await
    }

    async fn delete(
        &self,
        identity: &str,
        key: &str,
        version: Option<&str>,
    ) -> Result<(), FactsError> {
        let (identity, key) = (grammar::identity(identity)?, grammar::key(key)?);
        self.0.require_ours("it would remove the whole identity in place of the fact").await?;
        let mut call = Call::new(Method::DELETE, ["fact", identity, key]);
        if let Some(version) = version {
            call = call.condition(IF_MATCH, quoted(version));
        }
        match self.0.send(&call).await?.success() {
            // The identity has no facts at all.
            Err(FactsError::NotFound(_)) if version.is_none() => Ok(()),
            done => done.map(|_| ()),
        }
    }

    /// Writes and removes several facts of an identity in one transaction.
    ///
    /// ```no_run
    /// # async fn example(client: flagstaff::flagops::FactsClient) -> Result<(), Box<dyn std::error::Error>> {
    /// use flagstaff::flagops::FactPatch;
    ///
    /// let acme = client.facts("acme-prod").await?;
    /// let mut patch = FactPatch::new().set("tier", "gold").remove("trial");
    /// if let Some(version) = acme.version {
    ///     patch = patch.if_version(version);
    /// }
    /// client.merge_facts("acme-prod", &patch).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`put_fact`](Self::put_fact).
    pub async fn merge_facts(&self, identity: &str, patch: &FactPatch) -> Result<(), FactsError> {
        let identity = grammar::identity(identity)?;
        checked(patch)?;
        let mut call = Call::new(Method::PATCH, ["fact", identity]).body(patch.body());
        if let Some(version) = &patch.version {
            call = call.condition(IF_MATCH, quoted(version));
        }
        self.0.send(&call).await?.success()?;
        Ok(())
    }

    /// Writes and removes facts of several identities in one transaction, at most 10,000
    /// facts.
    ///
    /// ```no_run
    /// # async fn example(client: flagstaff::flagops::FactsClient) -> Result<(), Box<dyn std::error::Error>> {
    /// use flagstaff::flagops::FactPatch;
    ///
    /// let gold = FactPatch::new().set("tier", "gold");
    /// client.merge_all([("acme-prod", &gold), ("acme-test", &gold)]).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`put_fact`](Self::put_fact). A patch must not have a condition.
    pub async fn merge_all<'p>(
        &self,
        patches: impl IntoIterator<Item = (&'p str, &'p FactPatch)>,
    ) -> Result<(), FactsError> {
        let mut all = Map::new();
        for (identity, patch) in patches {
            checked(patch)?;
            if patch.version.is_some() {
                let reason = "a patch of several identities cannot have a condition".to_owned();
                let name = grammar::identity(identity)?.to_owned();
                return Err(FactsError::Name { kind: "patch", name, reason });
            }
            all.insert(grammar::identity(identity)?.to_owned(), patch.body());
        }
        let call = Call::new(Method::PATCH, ["fact"]).body(Value::Object(all));
        self.0.send(&call).await?.success()?;
        Ok(())
    }

    /// Returns versions of a fact, the newest first: those before the version `before`,
    /// or the last ones. It is empty if the fact never existed.
    ///
    /// ```no_run
    /// # async fn example(client: flagstaff::flagops::FactsClient) -> Result<(), Box<dyn std::error::Error>> {
    /// for version in client.history("acme-prod", "tier", None).await? {
    ///     println!("{:?} by {} at {:?}", version.value, version.by, version.at);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`identities`](Self::identities).
    pub async fn history(
        &self,
        identity: &str,
        key: &str,
        before: Option<u64>,
    ) -> Result<Vec<FactVersion>, FactsError> {
        let (identity, key) = (grammar::identity(identity)?, grammar::key(key)?);
        let before = before.map(|version| version.to_string());
        let mut call = Call::new(Method::GET, ["fact", identity, key, "history"]);
        if let Some(before) = &before {
            call = call.query("before", before);
        }
        let Some(received) = found(self.0.send(&call).await?)? else { return Ok(Vec::new()) };
        Ok(received.json::<Versions>("the versions of a fact")?.versions)
    }

    /// Returns all secrets of an identity. They are empty if it has none.
    ///
    /// `Debug` shows nothing of them, and they are erased from memory when they are dropped.
    ///
    /// ```no_run
    /// # async fn example(client: flagstaff::flagops::FactsClient) -> Result<(), Box<dyn std::error::Error>> {
    /// use secrecy::ExposeSecret;
    ///
    /// let secrets = client.secrets("acme-prod").await?;
    /// let password = secrets.get("password").ok_or("no password")?.expose_secret();
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`identities`](Self::identities).
    pub async fn secrets(
        &self,
        identity: &str,
    ) -> Result<BTreeMap<String, SecretString>, FactsError> {
        let path = ["secret", grammar::identity(identity)?];
        match found(self.0.send(&Call::new(Method::GET, path)).await?)? {
            Some(received) => received.json("an object of strings"),
            None => Ok(BTreeMap::new()),
        }
    }

    /// Returns a secret, if there is one.
    ///
    /// # Errors
    ///
    /// See [`identities`](Self::identities).
    pub async fn secret(
        &self,
        identity: &str,
        key: &str,
    ) -> Result<Option<SecretString>, FactsError> {
        let (identity, key) = (grammar::identity(identity)?, grammar::key(key)?);
        let call = Call::new(Method::GET, ["secret", identity, key]);
        let Some(received) = found(self.0.send(&call).await?)? else { return Ok(None) };
        let mut secrets: BTreeMap<String, SecretString> = received.json("an object of strings")?;
        match secrets.remove(key) {
            Some(secret) => Ok(Some(secret)),
            None => Err(received.unexpected("the response does not contain the secret".to_owned())),
        }
    }

    /// Writes a secret.
    ///
    /// ```no_run
    /// # async fn example(client: flagstaff::flagops::FactsClient) -> Result<(), Box<dyn std::error::Error>> {
    /// client.put_secret("acme-prod", "password", &"hush".into()).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`identities`](Self::identities). What the store says about a rejection is left
    /// out if it quotes the secret.
    pub async fn put_secret(
        &self,
        identity: &str,
        key: &str,
        secret: &SecretString,
    ) -> Result<(), FactsError> {
        let (identity, key) = (grammar::identity(identity)?, grammar::key(key)?);
        let secret = secret.expose_secret();
        let call = Call::new(Method::PUT, ["secret", identity, key]).body(json!({"value": secret}));
        let call = Call { hidden: Some(secret).filter(|secret| !secret.is_empty()), ..call };
        self.0.send(&call).await?.success()?;
        Ok(())
    }

    /// Removes a secret. It is not an error if there is none.
    ///
    /// # Errors
    ///
    /// See [`identities`](Self::identities).
    pub async fn delete_secret(&self, identity: &str, key: &str) -> Result<(), FactsError> {
        let (identity, key) = (grammar::identity(identity)?, grammar::key(key)?);
        let call = Call::new(Method::DELETE, ["secret", identity, key]);
        let received = self.0.send(&call).await?;
        // The original says so of an identity that does not exist.
        if received.is_blank_500() && self.secrets(identity).await?.is_empty() {
            return Ok(());
        }
        found(received).map(|_| ())
    }

    /// Follows changes of facts: see [`Changes`] for an example.
    ///
    /// Nothing is sent before the first [`Changes::next`].
    ///
    /// # Errors
    ///
    /// If an identity of the subscription is invalid.
    pub fn changes(&self, subscription: Subscription) -> Result<Changes, FactsError> {
        for identity in subscription.identities() {
            grammar::identity(identity)?;
        }
        Ok(Changes::new(Arc::clone(&self.0), subscription))
    }
}

/// The response, or `None` if what it was asked for does not exist.
fn found(received: Received) -> Result<Option<Received>, FactsError> {
    match received.success() {
        Ok(received) => Ok(Some(received)),
        Err(FactsError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn page<T>(
    query: &ListQuery,
    mut items: BTreeMap<String, T>,
    next: Option<String>,
    sequence: Option<u64>,
) -> Page<T> {
    items.retain(|identity, _| query.selects(identity));
    // A page that does not lead on would be requested forever.
    let next = next.filter(|next| query.after.as_ref().is_none_or(|after| next > after));
    Page { items, next: next.map(|next| query.clone().after(next)), sequence }
}

/// Checks the names and the values of a patch.
fn checked(patch: &FactPatch) -> Result<(), FactsError> {
    for (key, value) in &patch.facts {
        grammar::key(key)?;
        if let Some(value) = value {
            grammar::value(key, value)?;
        }
    }
    Ok(())
}

/// A version as the conditional headers have it.
fn quoted(version: &str) -> String {
    format!("\"{version}\"")
}
