//! OPA: queries of its [data API], and a source that polls it.
//!
//! A rule is read with `GET /v1/data/<package>/<rule>`:
//!
//! ```text
//! GET /v1/data/app/rbac/us_users
//! 200 {"result": ["alice", "bob"]}     these users
//! 200 {"result": []}                   nobody, or the data is not loaded
//! 200 {}                               undefined: no such rule, or not loaded
//! 401 {"code": "unauthorized", ...}    a failure
//! ```
//!
//! `decision_id`, `warning` and other members may come along and are ignored. The
//! second case is ambiguous, and no health endpoint of OPA tells the two apart; paths
//! of data that are known to exist once it is loaded (the *guard*) do.
//!
//! OPA has neither watches nor conditional requests for data, so without OPAL there is
//! nothing but polling.
//!
//! [data API]: https://www.openpolicyagent.org/docs/rest-api#data-api

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use http::Method;
use serde::Deserialize;
use tokio::time::sleep;

use super::policy_source::{Answer, PolicySource};
use crate::{
    http::Secret,
    optoggles::{
        api::{self, Api, Sent},
        failure::Failure,
        toggle::Rule,
        users::Users,
    },
};

/// The data API of an OPA, which both kinds of sources query.
#[derive(Clone, Debug)]
pub(super) struct Opa {
    api: Api,
    /// The paths below `data` that are defined once the data is loaded, with slashes
    /// between their parts and none around them. May be empty.
    guard: Vec<String>,
}

/// A response of the data API.
#[derive(Deserialize)]
struct Response<T> {
    /// Missing if the document is undefined.
    result: Option<T>,
}

/// Any value: of a guard only the existence matters, and it may be the whole data.
type Defined = serde::de::IgnoredAny;

impl Opa {
    pub(super) fn new(api: Api, guard: Vec<String>) -> Self {
        Self { api, guard }
    }

    /// Queries the users that a rule authorizes.
    ///
    /// If they are none and there is a guard, its paths are queried too. If one is
    /// undefined, the data is not loaded and the answer is undefined. If all are
    /// defined, the rule is queried once more, because the data may have been loaded
    /// after the first query, and that answer is vouched for.
    pub(super) async fn users(&self, rule: &Rule) -> Result<Answer, Failure> {
        let users = self.result(rule).await?;
        if self.guard.is_empty() || !users.as_ref().is_some_and(Users::is_empty) {
            return Ok(users.map_or(Answer::Undefined, Answer::users));
        }
        for path in &self.guard {
            let sent = self.get(path.split('/')).await?;
            let guard: Response<Defined> = sent.json("the value of a document")?;
            if guard.result.is_none() {
                return Ok(Answer::Undefined);
            }
        }
        let users = self.result(rule).await?;
        Ok(users.map_or(Answer::Undefined, |users| Answer::Users { users, vouched: true }))
    }

    /// Queries the value of a rule; `None` if it is undefined.
    async fn result(&self, rule: &Rule) -> Result<Option<Users>, Failure> {
        let sent = self.get(rule.path()).await?;
        let response: Response<Users> =
            sent.json("an array of strings as the value of the rule")?;
        Ok(response.result)
    }

    /// Gets the document at a path below `data`. OPA explains errors in `message`.
    async fn get<'s>(&self, path: impl IntoIterator<Item = &'s str>) -> Result<Sent, Failure> {
        let path = ["v1", "data"].into_iter().chain(path);
        self.api.send(Method::GET, path, None).await?.success(api::member("message"))
    }

    /// Checks whether OPA answers and accepts the token. A document that does not exist
    /// is fine: it is the status that counts.
    pub(super) async fn check(&self) -> Result<(), Failure> {
        self.api.status(Method::GET, ["v1", "data", "system"]).await?.success(api::nothing)?;
        Ok(())
    }
}

/// A source that polls OPA, for use without OPAL: OPA notifies nobody of changes.
///
/// Every poll queries each toggle of the source, and the guard for those whose set is
/// empty. Nothing is written to targets when the answers are the same.
///
/// ```
/// use std::time::Duration;
/// use flagstaff::optoggles::OpaSource;
///
/// # fn example() -> Result<(), flagstaff::optoggles::Failure> {
/// let source = OpaSource::builder("http://127.0.0.1:8181")
///     .poll_interval(Duration::from_secs(5))
///     .guard(["users"])
///     .build()?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct OpaSource {
    opa: Opa,
    /// The pause between two polls.
    interval: Duration,
    /// Whether [`changed`](PolicySource::changed) was called before: the first call
    /// returns at once.
    has_begun: AtomicBool,
}

/// Configures an [`OpaSource`]; see [`OpaSource::builder`].
#[derive(Clone, Debug)]
pub struct OpaSourceBuilder {
    url: String,
    token: Option<Secret>,
    guard: Vec<String>,
    interval: Duration,
}

impl OpaSource {
    /// Begins with the base URL of OPA, such as `http://127.0.0.1:8181`.
    pub fn builder(url: impl Into<String>) -> OpaSourceBuilder {
        let interval = Duration::from_secs(10);
        OpaSourceBuilder { url: url.into(), token: None, guard: Vec::new(), interval }
    }
}

impl OpaSourceBuilder {
    /// Sets the bearer token. Default: none.
    #[must_use]
    pub fn token(mut self, token: impl Into<Secret>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Sets the pause between two polls, at least 10 ms. Default: 10 s.
    #[must_use]
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.interval = interval.max(Duration::from_millis(10));
        self
    }

    /// Sets the paths below `data`, such as `users` or `app/users`, that are defined once
    /// the data is loaded.
    ///
    /// While all are defined, an empty set of users counts at once; while one is not, an
    /// empty set counts as undefined. Default: none, and an empty set must be
    /// [confirmed](super::Answer::Users) by another answer. Give every source a guard.
    #[must_use]
    pub fn guard(mut self, paths: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.guard = paths.into_iter().map(Into::into).collect();
        self
    }

    /// Creates the source. Sends nothing yet.
    ///
    /// # Errors
    ///
    /// When the URL is invalid, or the HTTP client cannot be created.
    ///
    /// ```
    /// use flagstaff::optoggles::OpaSource;
    ///
    /// let error = OpaSource::builder("127.0.0.1:8181").build().unwrap_err();
    /// assert!(error.to_string().contains("must begin with http:// or https://"));
    /// ```
    pub fn build(self) -> Result<OpaSource, Failure> {
        let client = api::client().map_err(Failure::permanent)?;
        let api = Api::new(client, &self.url)?.token("Bearer", self.token);
        let opa = Opa::new(api, guard(&self.guard));
        Ok(OpaSource { opa, interval: self.interval, has_begun: AtomicBool::new(false) })
    }
}

/// The paths of a guard without slashes around them, which would be empty segments.
pub(super) fn guard(paths: &[String]) -> Vec<String> {
    paths.iter().map(|path| path.trim_matches('/').to_owned()).collect()
}

#[async_trait]
impl PolicySource for OpaSource {
    async fn users(&self, rule: &Rule) -> Result<Answer, Failure> {
        self.opa.users(rule).await
    }

    async fn changed(&self) -> Result<(), Failure> {
        if self.has_begun.swap(true, Ordering::Relaxed) {
            sleep(self.interval).await;
        }
        Ok(())
    }

    async fn check(&self) -> Result<(), Failure> {
        self.opa.check().await
    }
}
