//! What is sent to a store of facts and received from it.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use serde::Deserialize;
use serde_json::{Map, Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// The facts of one identity.
///
/// ```no_run
/// # async fn example(client: flagstaff::flagops::FactsClient) -> Result<(), Box<dyn std::error::Error>> {
/// let acme = client.facts("acme-prod").await?;
/// println!("{:?} in {:?}", acme.facts.get("tier"), acme.facts.get("cluster"));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct IdentityFacts {
    /// The facts by key. Empty if the identity has none, or does not exist: to a store,
    /// that is the same.
    pub facts: BTreeMap<String, String>,
    /// The version of all of them, for [`FactPatch::if_version`]. `None` if there are no
    /// facts, and from the original data store.
    pub version: Option<String>,
    /// The facts contain every change up to this number of the change stream.
    pub sequence: Option<u64>,
}

/// One fact, as [`fact`](super::FactsClient::fact) returns it.
///
/// Its value is a string. What it means is up to those who write and read it;
/// [`typed`](crate::flagops::FactsBuilder::typed) makes numbers of numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fact {
    /// Its value.
    pub value: String,
    /// Its version, for [`PutFact::if_version`]. `None` from the original data store.
    pub version: Option<String>,
    /// When it expires.
    pub expires: Option<SystemTime>,
}

/// A value to write, with what must hold and how long it is valid: see
/// [`put_fact`](super::FactsClient::put_fact).
///
/// ```
/// use std::time::Duration;
///
/// use flagstaff::flagops::PutFact;
///
/// let plain = PutFact::from("gold");
/// let trial = PutFact::new("gold").expires_in(Duration::from_secs(14 * 86_400)).if_absent();
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutFact {
    pub(super) value: String,
    pub(super) expiry: Option<Expiry>,
    pub(super) condition: Option<Condition>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expiry {
    In(Duration),
    At(SystemTime),
}

/// What must hold for a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    Absent,
    Version(String),
}

impl PutFact {
    /// Writes the value whatever was there, without an expiry.
    pub fn new(value: impl Into<String>) -> Self {
        Self { value: value.into(), expiry: None, condition: None }
    }

    /// Removes the fact after this time, which counts in whole seconds, at least one.
    #[must_use]
    pub fn expires_in(mut self, after: Duration) -> Self {
        self.expiry = Some(Expiry::In(after));
        self
    }

    /// Removes the fact at this time.
    #[must_use]
    pub fn expires_at(mut self, at: SystemTime) -> Self {
        self.expiry = Some(Expiry::At(at));
        self
    }

    /// Writes only if there is no such fact yet.
    #[must_use]
    pub fn if_absent(mut self) -> Self {
        self.condition = Some(Condition::Absent);
        self
    }

    /// Writes only if the fact has this [version](Fact::version).
    #[must_use]
    pub fn if_version(mut self, version: impl Into<String>) -> Self {
        self.condition = Some(Condition::Version(version.into()));
        self
    }

    /// Whether it has neither a condition nor an expiry, which the original data store would
    /// ignore.
    pub(super) fn is_plain(&self) -> bool {
        self.expiry.is_none() && self.condition.is_none()
    }

    /// The body of the request.
    pub(super) fn body(&self) -> Value {
        match self.expiry {
            None => json!({"value": self.value}),
            Some(Expiry::In(after)) => {
                let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
                json!({"value": self.value, "expires_in": seconds.max(1)})
            }
            Some(Expiry::At(at)) => {
                // It fails only for years that have more than four digits.
                let at = OffsetDateTime::from(at).format(&Rfc3339).unwrap_or_default();
                json!({"value": self.value, "expires_at": at})
            }
        }
    }
}

impl From<&str> for PutFact {
    fn from(value: &str) -> Self {
        Self::new(value)
    }
}

impl From<String> for PutFact {
    fn from(value: String) -> Self {
        Self::new(value)
    }
}

/// Facts of one identity to write and to remove, in one transaction.
///
/// ```
/// use flagstaff::flagops::FactPatch;
///
/// let upgrade = FactPatch::new().set("tier", "gold").remove("trial");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FactPatch {
    pub(super) facts: BTreeMap<String, Option<String>>,
    pub(super) version: Option<String>,
}

impl FactPatch {
    /// Changes nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes a fact. If it expires, it keeps its expiry; [`PutFact`] replaces it.
    #[must_use]
    pub fn set(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.facts.insert(key.into(), Some(value.into()));
        self
    }

    /// Removes a fact. It is not an error if there is none.
    #[must_use]
    pub fn remove(mut self, key: impl Into<String>) -> Self {
        self.facts.insert(key.into(), None);
        self
    }

    /// Writes only if the facts of the identity have this
    /// [version](IdentityFacts::version). [`merge_all`](super::FactsClient::merge_all)
    /// rejects it.
    #[must_use]
    pub fn if_version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// As a JSON merge patch.
    pub(super) fn body(&self) -> Value {
        let facts = self.facts.iter().map(|(key, value)| (key.clone(), json!(value)));
        Value::Object(facts.collect::<Map<_, _>>())
    }
}

/// Which identities to list, and how many in one page.
///
/// ```
/// use flagstaff::flagops::ListQuery;
///
/// let query = ListQuery::prefix("acme-").limit(500);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListQuery {
    pub(super) prefix: String,
    pub(super) after: Option<String>,
    pub(super) limit: u32,
}

impl ListQuery {
    /// The identities whose name begins with `prefix`; with an empty one, all.
    pub fn prefix(prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into(), after: None, limit: 1000 }
    }

    /// All identities.
    #[must_use]
    pub fn all() -> Self {
        Self::prefix("")
    }

    /// Sets the number of identities in a page, at most 10,000. Default: 1000. A page with long
    /// facts has fewer. The original data store has one page only.
    #[must_use]
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = limit.clamp(1, 10_000);
        self
    }

    /// Begins after this identity, in the order of their bytes.
    #[must_use]
    pub fn after(mut self, identity: impl Into<String>) -> Self {
        self.after = Some(identity.into());
        self
    }

    /// The identity that the list begins after.
    pub(crate) fn begins_after(&self) -> Option<&str> {
        self.after.as_deref()
    }

    /// Whether the identity belongs to the list. The original ignores the query.
    pub(super) fn selects(&self, identity: &str) -> bool {
        let after = self.after.as_deref().is_none_or(|after| identity > after);
        after && identity.starts_with(&self.prefix)
    }
}

/// A page of a list, sorted by the bytes of the identities.
///
/// [`identities`](super::FactsClient::identities) shows how to read all pages.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page<T> {
    /// What is on the page, by identity.
    pub items: BTreeMap<String, T>,
    /// The query of the next page; `None` on the last one.
    pub next: Option<ListQuery>,
    /// The page contains every change up to this number of the change stream.
    pub sequence: Option<u64>,
}

/// What an identity has: see [`identities`](super::FactsClient::identities). Without the permission to read facts or secrets, it is not
/// known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Identity {
    /// Whether it has facts.
    pub facts: Option<bool>,
    /// Whether it has secrets.
    pub secrets: Option<bool>,
}

/// A version of a fact, from its [history](super::FactsClient::history). A store keeps
/// the last 100.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct FactVersion {
    /// Its number, which grows.
    pub version: u64,
    /// The value; `None` if the fact was removed.
    pub value: Option<String>,
    /// When it was written.
    #[serde(deserialize_with = "rfc3339")]
    pub at: SystemTime,
    /// Who wrote it, such as `token:cms`.
    pub by: String,
}

/// Parses a time in the format of RFC 3339.
pub(super) fn time(text: &str) -> Option<SystemTime> {
    Some(OffsetDateTime::parse(text, &Rfc3339).ok()?.into())
}

fn rfc3339<'de, D: serde::Deserializer<'de>>(from: D) -> Result<SystemTime, D::Error> {
    let text = String::deserialize(from)?;
    time(&text).ok_or_else(|| serde::de::Error::custom("expected a time as in RFC 3339"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_and_its_expiry() {
        let put = PutFact::new("gold");
        assert_eq!(put.body(), json!({"value": "gold"}));
        let body = |put: PutFact| put.body().to_string();
        let millis = Duration::from_millis(1500);
        assert_eq!(body(put.clone().expires_in(millis)), r#"{"expires_in":2,"value":"gold"}"#);
        let zero = put.clone().expires_in(Duration::ZERO);
        assert_eq!(body(zero), r#"{"expires_in":1,"value":"gold"}"#);
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(86_400);
        let expected = r#"{"expires_at":"1970-01-02T00:00:00Z","value":"gold"}"#;
        assert_eq!(body(put.expires_at(at)), expected);
        assert_eq!(time("1970-01-02T00:00:00Z"), Some(at));
        assert_eq!(time("yesterday"), None);
    }

    #[test]
    fn a_patch_removes_with_null() {
        let patch = FactPatch::new().set("a", "1").remove("b");
        assert_eq!(patch.body(), json!({"a": "1", "b": null}));
    }

    #[test]
    fn a_list_is_filtered_whatever_the_server_does() {
        let query = ListQuery::prefix("a").after("ab");
        assert!(query.selects("ac") && query.selects("abc"));
        assert!(!query.selects("ab") && !query.selects("aa") && !query.selects("b"));
    }
}
