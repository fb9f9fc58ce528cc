//! OPA, asked directly: its data API, and polling as a source of its own.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use http::Method;
use serde::Deserialize;
use tokio::time::sleep;

use super::policy_source::{Answer, PolicySource};
use crate::optoggles::{
    api::{self, Api, Sent},
    failure::Failure,
    secret::Secret,
    toggle::Rule,
    users::Users,
};

/// The data API of an OPA.
#[derive(Clone, Debug)]
pub(super) struct Opa {
    api: Api,
    /// The paths below `data` that are defined once the data is loaded, with slashes between their
    /// parts.
    guard: Vec<String>,
}

/// A response of the data API. Other members, such as `decision_id`, come and go.
#[derive(Deserialize)]
struct Response<T> {
    result: Option<T>,
}

/// Any value.
type Defined = serde::de::IgnoredAny;

impl Opa {
    pub(super) fn new(api: Api, guard: Vec<String>) -> Self {
        Self { api, guard }
    }

    /// The users that a rule authorizes.
    ///
    /// An empty set is vouched for if every path of the guard is defined, and the rule still gives
    /// the empty set after that: the data may have been loaded between the two.
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

    async fn result(&self, rule: &Rule) -> Result<Option<Users>, Failure> {
        let sent = self.get(rule.path()).await?;
        let response: Response<Users> =
            sent.json("an array of strings as the value of the rule")?;
        Ok(response.result)
    }

    async fn get<'s>(&self, path: impl IntoIterator<Item = &'s str>) -> Result<Sent, Failure> {
        let path = ["v1", "data"].into_iter().chain(path);
        self.api.send(Method::GET, path, None).await?.success(api::member("message"))
    }

    /// Whether it answers and accepts the token.
    pub(super) async fn check(&self) -> Result<(), Failure> {
        self.api.status(Method::GET, ["v1", "data", "system"]).await?.success(api::nothing)?;
        Ok(())
    }
}

/// An OPA that is polled: what there is without OPAL, since OPA does not notify anybody of changes.
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
    interval: Duration,
    /// Whether it was asked at all.
    has_begun: AtomicBool,
}

/// The options of an [`OpaSource`].
#[derive(Clone, Debug)]
pub struct OpaSourceBuilder {
    url: String,
    token: Option<Secret>,
    guard: Vec<String>,
    interval: Duration,
}

impl OpaSource {
    /// An OPA at this base URL, such as `http://127.0.0.1:8181`.
    pub fn builder(url: impl Into<String>) -> OpaSourceBuilder {
        let interval = Duration::from_secs(10);
        OpaSourceBuilder { url: url.into(), token: None, guard: Vec::new(), interval }
    }
}

impl OpaSourceBuilder {
    /// The bearer token. Default: none.
    #[must_use]
    pub fn token(mut self, token: impl Into<Secret>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// How often it is asked. Default: 10 s.
    #[must_use]
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.interval = interval.max(Duration::from_millis(10));
        self
    }

    /// Paths below `data`, such as `users`, that are defined once the data is loaded: an empty set
    /// of users then counts at once. Default: none; an empty set must be
    /// [confirmed](super::Answer::Users).
    #[must_use]
    pub fn guard(mut self, paths: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.guard = paths.into_iter().map(Into::into).collect();
        self
    }

    /// Makes the source, and sends nothing yet.
    ///
    /// # Errors
    ///
    /// When the URL is invalid.
    pub fn build(self) -> Result<OpaSource, Failure> {
        let client = api::client().map_err(Failure::permanent)?;
        let api = Api::new(client, &self.url)?.token("Bearer", self.token);
        let opa = Opa::new(api, guard(&self.guard));
        Ok(OpaSource { opa, interval: self.interval, has_begun: AtomicBool::new(false) })
    }
}

/// The paths without what may stand around them.
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
