//! [OPAL](https://docs.opal.ac): keeps an OPA up to date, and calls back when policy or
//! data have changed.
//!
//! Beside each OPA runs an OPAL client. The source speaks with that client in order to
//! find OPA and to hear of changes, and with OPA itself for the users:
//!
//! ```text
//! source                            OPAL client              OPA
//!   │ POST /callbacks  ────────────────►│
//!   │ GET /policy-store/config  ───────►│
//!   │ GET /v1/data/...  ─────────────────────────────────────►│
//!   │                                   │── new data ────────►│
//!   │◄──── POST /opa_update ────────────│
//!   │ GET /v1/data/...  ─────────────────────────────────────►│
//!   │ GET /callbacks/<key> every 10 s ─►│
//! ```
//!
//! What makes this harder than it looks:
//!
//! * An OPAL client keeps callbacks in memory and forgets them in a restart. So the
//!   source looks every ten seconds whether its callback is still there.
//! * The load at the start of an OPAL client calls nobody back, since nobody can have
//!   registered yet. So a registration counts as a change.
//! * A callback says that something has changed and not what. Its body may be large and
//!   contain secrets; only its arrival counts ([`OpalSource::pulse`]).
//! * Callbacks need `OPAL_SHOULD_REPORT_ON_DATA_UPDATES=true` at the OPAL client, and
//!   nothing shows that it is missing. The engine's resync bounds the damage.
//! * OPA's address is that from the OPAL client's point of view, often `localhost`. The
//!   source puts the host of the OPAL client in its place.

use std::{
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use http::{Method, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;
use tokio::{sync::Notify, time::sleep};

use super::{
    callback_url::CallbackUrl,
    opa::{Opa, guard},
    policy_source::{Answer, PolicySource},
};
use crate::{
    http::{Client, Secret, public_name},
    optoggles::{
        api::{self, Api},
        failure::Failure,
        toggle::Rule,
    },
};

/// How often the source looks whether the OPAL client still knows the callback.
const CHECK: Duration = Duration::from_secs(10);

/// A source that reads the OPA beside an OPAL client, and is called back by that client
/// when policy or data have changed.
///
/// The OPAL client must run with `OPAL_SHOULD_REPORT_ON_DATA_UPDATES=true`, and must
/// reach the callback URL. Callbacks have to be passed on to [`pulse`](Self::pulse). An
/// [`Engine`](crate::optoggles::Engine) made of a configuration serves `/opa_update` and
/// does so itself; a program that builds its own engine serves the URL and calls
/// `pulse`:
///
/// ```
/// use std::sync::Arc;
/// use flagstaff::optoggles::{Engine, Failure, OpalSource};
///
/// # fn example() -> Result<(), Failure> {
/// let source = OpalSource::builder("http://opal-client:7000")
///     .token("the JWT of a listener")
///     .guard(["users"])
///     .build("my-program", "http://my-program:8080/opa_update", "callback-token")?;
/// let source = Arc::new(source);
/// let builder = Engine::builder().shared_source("opal", source.clone());
/// // In the handler of `POST /opa_update`, once the callback token is verified:
/// source.pulse();
/// # Ok(()) }
/// ```
pub struct OpalSource {
    opal: Api,
    /// The client of requests to OPA.
    client: Client,
    /// Where OPA is, in place of what the OPAL client says.
    opa_url: Option<String>,
    /// The token for OPA, in place of that which the OPAL client says.
    opa_token: Option<Secret>,
    /// See [`OpaSourceBuilder::guard`](super::OpaSourceBuilder::guard).
    guard: Vec<String>,
    callback: Callback,
    /// OPA, once it was found. Cleared after a failure, since it may have moved.
    opa: Mutex<Option<Opa>>,
    /// Whether the callback is registered, as far as is known.
    is_registered: AtomicBool,
    /// Whether the last look at the callback has failed: callbacks may have been lost
    /// since.
    is_lost: AtomicBool,
    /// Whether the first registration was tried.
    has_begun: AtomicBool,
    /// Notified by callbacks. It stores one notification, so that none is lost between
    /// two calls of [`changed`](PolicySource::changed), and a hundred amount to one.
    pulse: Notify,
}

/// The callback that is registered at the OPAL client.
#[derive(Clone)]
struct Callback {
    /// Its key at the OPAL client: ASCII letters, digits, `-`, `_` and `.`. A
    /// registration with the same key replaces the former one.
    key: String,
    /// Where the OPAL client sends its callbacks.
    url: CallbackUrl,
    /// The bearer token that comes with each callback.
    token: SecretString,
}

/// Configures an [`OpalSource`]; see [`OpalSource::builder`].
#[derive(Clone, Debug)]
pub struct OpalSourceBuilder {
    url: String,
    token: Option<Secret>,
    opa_url: Option<String>,
    opa_token: Option<Secret>,
    guard: Vec<String>,
}

/// Shows the OPAL client and the key of the callback, and no token.
impl fmt::Debug for OpalSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpalSource")
            .field("url", &self.opal.name())
            .field("callback", &self.callback.key)
            .finish_non_exhaustive()
    }
}

/// The response to `GET /policy-store/config`, in which null members are left out:
///
/// ```json
/// {"type": "OPA", "url": "http://localhost:8181/", "auth_type": "token", "token": "..."}
/// ```
#[derive(Deserialize)]
struct PolicyStore {
    url: String,
    /// `none`, `token`, `oauth` or `tls`.
    #[serde(default)]
    auth_type: Option<String>,
    /// Missing with `auth_type: token` if the OPAL client excludes secrets.
    #[serde(default)]
    token: Option<SecretString>,
}

/// Why the OPA that an OPAL client describes cannot be used. Each names the OPAL client
/// first.
#[derive(Debug, thiserror::Error)]
enum StoreError {
    #[error(
        "the OPAL client {0} withholds the token of its OPA (OPAL_EXCLUDE_POLICY_STORE_SECRETS): \
         set `opaToken` or `opaTokenFile`"
    )]
    Excluded(String),
    #[error(
        "the OPA of the OPAL client {0} requires authentication of the type `{1}`, but only tokens \
         are supported: set `opaUrl` and `opaToken` to an OPA that accepts one"
    )]
    Authentication(String, String),
    #[error(
        "the OPAL client {0} says that its OPA is at `{1}`, which is not a valid URL: set `opaUrl`"
    )]
    Url(String, String),
}

impl OpalSource {
    /// Begins with the base URL of the OPAL client, such as `http://opal-client:7000`.
    pub fn builder(url: impl Into<String>) -> OpalSourceBuilder {
        OpalSourceBuilder {
            url: url.into(),
            token: None,
            opa_url: None,
            opa_token: None,
            guard: Vec::new(),
        }
    }

    /// Notes that a callback has arrived: policy or data may have changed.
    ///
    /// Returns at once; the engine queries the toggles of the source soon after. Calls
    /// that follow each other closely amount to one.
    pub fn pulse(&self) {
        self.pulse.notify_one();
    }

    /// Returns the key of the callback at the OPAL client, in which characters other than
    /// ASCII letters, digits, `-`, `_` and `.` are replaced by `-`.
    #[must_use]
    pub fn callback_key(&self) -> &str {
        &self.callback.key
    }

    /// Returns the OPA, which is looked up at the OPAL client unless it is known.
    async fn opa(&self) -> Result<Opa, Failure> {
        if let Some(opa) = &*self.opa.lock().unwrap_or_else(PoisonError::into_inner) {
            return Ok(opa.clone());
        }
        let (url, token) = match &self.opa_url {
            Some(url) => (url.clone(), self.opa_token.clone()),
            None => self.discover().await?,
        };
        let api = Api::new(self.client.clone(), &url)?.token("Bearer", token);
        let opa = Opa::new(api, self.guard.clone());
        *self.opa.lock().unwrap_or_else(PoisonError::into_inner) = Some(opa.clone());
        Ok(opa)
    }

    /// Forgets where OPA is, so that the next query looks it up again.
    fn forget(&self) {
        *self.opa.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Asks the OPAL client where its OPA is, and with which token to query it.
    ///
    /// A token that was configured takes precedence. Authentication by OAuth or client
    /// certificates is rejected with the remedy.
    async fn discover(&self) -> Result<(String, Option<Secret>), Failure> {
        let sent = self.opal.send(Method::GET, ["policy-store", "config"], None).await?;
        let sent = sent.success(api::nothing)?;
        let store: PolicyStore = sent.json("the configuration of a policy store")?;
        let opal = self.opal.name();
        let url = beside(&store.url, &opal).ok_or_else(|| {
            Failure::permanent(StoreError::Url(opal.clone(), public_name(&store.url)))
        })?;
        let token = match (&self.opa_token, store.auth_type.as_deref()) {
            (Some(token), _) => Some(token.clone()),
            // A token may come along with `none`: it is not for use.
            (None, None | Some("none")) => None,
            (None, Some("token")) => match store.token {
                Some(token) => Some(token.expose_secret().into()),
                None => return Err(Failure::permanent(StoreError::Excluded(opal))),
            },
            (None, Some(other)) => {
                let error = StoreError::Authentication(opal, other.to_owned());
                return Err(Failure::permanent(error));
            }
        };
        Ok((url, token))
    }

    /// Registers the callback, in place of a former registration with the same key.
    async fn register(&self) -> Result<(), Failure> {
        let Callback { key, url, token } = &self.callback;
        let url = url.resolved(self.opal.name()).await?;
        let authorization = format!("Bearer {}", token.expose_secret());
        let body = json!({
            "key": key,
            "url": url,
            // With `process_data` off, the OPAL client does not parse the response. The content
            // type must be named, or else the callback comes as `text/plain`.
            "config": {
                "method": "post",
                "headers": {"Authorization": authorization, "content-type": "application/json"},
                "process_data": false,
            },
        });
        let body = ("application/json", body.to_string().into_bytes());
        let sent = self.opal.send(Method::POST, ["callbacks"], Some(body)).await?;
        sent.success(api::nothing)?;
        self.is_registered.store(true, Ordering::Relaxed);
        tracing::info!(opal = %self.opal.name(), callback = key, "registered the callback");
        Ok(())
    }

    /// Looks whether the callback is still registered, and notes it if not. Returns
    /// whether the answers may have changed.
    ///
    /// They may have after a look that failed: a callback may have been lost in the
    /// outage. Reporting that as a change also ends the failure of the source.
    async fn look(&self) -> Result<bool, Failure> {
        let is_known = self.is_known().await;
        let was_lost = self.is_lost.swap(is_known.is_err(), Ordering::Relaxed);
        if is_known? {
            return Ok(was_lost);
        }
        tracing::warn!(
            opal = %self.opal.name(),
            "the OPAL client has forgotten the callback: registering again"
        );
        self.is_registered.store(false, Ordering::Relaxed);
        self.forget();
        Ok(false)
    }

    /// Whether the OPAL client still knows the callback. Only the status is read: the body
    /// holds the last report with its data, which can be long and secret.
    async fn is_known(&self) -> Result<bool, Failure> {
        let path = ["callbacks", &*self.callback.key];
        let sent = self.opal.status(Method::GET, path).await?;
        if sent.status() == StatusCode::NOT_FOUND {
            return Ok(false);
        }
        sent.success(api::nothing)?;
        Ok(true)
    }
}

impl OpalSourceBuilder {
    /// Sets the bearer token for the OPAL client: a JWT with the peer type `listener`,
    /// which an OPAL client with a public key requires. Default: none.
    #[must_use]
    pub fn token(mut self, token: impl Into<Secret>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Sets the base URL of OPA. Default: what the OPAL client says.
    ///
    /// With it, toggles are kept in step even while the OPAL client is unreachable, by
    /// the engine's resync alone.
    #[must_use]
    pub fn opa_url(mut self, url: impl Into<String>) -> Self {
        self.opa_url = Some(url.into());
        self
    }

    /// Sets the bearer token for OPA. Default: what the OPAL client says; none if
    /// [`opa_url`](Self::opa_url) is set.
    ///
    /// It is needed if the OPAL client runs with
    /// `OPAL_EXCLUDE_POLICY_STORE_SECRETS=true`.
    #[must_use]
    pub fn opa_token(mut self, token: impl Into<Secret>) -> Self {
        self.opa_token = Some(token.into());
        self
    }

    /// Sets the paths below `data` that are defined once the data is loaded; see
    /// [`OpaSourceBuilder::guard`](super::OpaSourceBuilder::guard).
    #[must_use]
    pub fn guard(mut self, paths: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.guard = paths.into_iter().map(Into::into).collect();
        self
    }

    /// Creates the source. Sends nothing yet.
    ///
    /// The callback will be registered with `callback_key`, which must be unique at the
    /// OPAL client: a second program with the same key replaces the first one's callback.
    /// The OPAL client then sends `POST` requests to `callback_url` with
    /// `Authorization: Bearer <callback_token>`.
    ///
    /// # Errors
    ///
    /// When the URL of the OPAL client or of OPA is invalid, or the HTTP client cannot be
    /// created.
    pub fn build(
        self,
        callback_key: &str,
        callback_url: impl Into<String>,
        callback_token: impl Into<String>,
    ) -> Result<OpalSource, Failure> {
        self.build_for(callback_key, CallbackUrl::Given(callback_url.into()), callback_token)
    }

    /// The same with a URL that may have to be found out.
    pub(crate) fn build_for(
        self,
        callback_key: &str,
        url: CallbackUrl,
        callback_token: impl Into<String>,
    ) -> Result<OpalSource, Failure> {
        let client = api::client().map_err(Failure::permanent)?;
        // OPAL accepts a key with a slash, but can neither find nor remove it later.
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let key = callback_key.replace(|c| !is_plain(c), "-");
        let callback = Callback { key, url, token: SecretString::from(callback_token.into()) };
        if let Some(url) = &self.opa_url {
            Api::new(client.clone(), url)?;
        }
        Ok(OpalSource {
            opal: Api::new(client.clone(), &self.url)?.token("Bearer", self.token),
            client,
            opa_url: self.opa_url,
            opa_token: self.opa_token,
            guard: guard(&self.guard),
            callback,
            opa: Mutex::default(),
            is_registered: AtomicBool::new(false),
            is_lost: AtomicBool::new(false),
            has_begun: AtomicBool::new(false),
            pulse: Notify::new(),
        })
    }
}

#[async_trait]
impl PolicySource for OpalSource {
    async fn users(&self, rule: &Rule) -> Result<Answer, Failure> {
        let answer = self.opa().await?.users(rule).await;
        if answer.is_err() {
            self.forget();
        }
        answer
    }

    /// Registers the callback if it is not registered, which counts as a change; else
    /// waits for a callback.
    async fn changed(&self) -> Result<(), Failure> {
        loop {
            if !self.is_registered.load(Ordering::Relaxed) {
                let registered = self.register().await;
                // OPA is known without OPAL: let it be queried even though nobody calls back.
                // The next call reports the failure.
                let is_first = !self.has_begun.swap(true, Ordering::Relaxed);
                if is_first && registered.is_err() && self.opa_url.is_some() {
                    return Ok(());
                }
                return registered;
            }
            tokio::select! {
                () = self.pulse.notified() => return Ok(()),
                () = sleep(CHECK) => if self.look().await? { return Ok(()) },
            }
        }
    }

    async fn check(&self) -> Result<(), Failure> {
        // Unlike the health endpoint of the OPAL client, this requires the token.
        self.opal.status(Method::GET, ["callbacks"]).await?.success(api::nothing)?;
        self.opa().await?.check().await
    }

    /// Removes the callback, so that the OPAL client does not call a program that has ended.
    /// A failure is logged.
    async fn close(&self) {
        if !self.is_registered.swap(false, Ordering::Relaxed) {
            return;
        }
        let removed = self.opal.status(Method::DELETE, ["callbacks", &*self.callback.key]).await;
        let removed = removed.and_then(|sent| match sent.status() {
            StatusCode::NOT_FOUND => Ok(sent),
            _ => sent.success(api::nothing),
        });
        if let Err(failure) = removed {
            let opal = self.opal.name();
            tracing::warn!(%opal, error = failure.line(), "cannot remove the callback");
        }
    }
}

/// Returns the URL of an OPA as seen from here: a loopback or unspecified host means the
/// host of the OPAL client, and the port stays. `None` if it is not a valid URL.
fn beside(opa: &str, opal: &str) -> Option<String> {
    let mut url = reqwest::Url::parse(opa).ok()?;
    let host = url.host_str()?;
    if matches!(host, "localhost" | "127.0.0.1" | "[::1]" | "0.0.0.0" | "[::]") {
        let opal = reqwest::Url::parse(opal).ok()?;
        url.set_host(opal.host_str()).ok()?;
    }
    Some(url.into())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, atomic::AtomicU16};

    use super::*;

    #[test]
    fn localhost_is_the_host_of_the_opal_client() {
        for host in ["localhost", "127.0.0.1", "[::1]", "0.0.0.0"] {
            let found = beside(&format!("http://{host}:8181/"), "https://opal.example:7000");
            assert_eq!(found.as_deref(), Some("http://opal.example:8181/"));
        }
        let other = beside("http://opa:8181/v", "http://opal.example");
        assert_eq!(other.as_deref(), Some("http://opa:8181/v"));
        assert_eq!(beside("opa", "http://opal.example"), None);
    }

    #[tokio::test]
    async fn an_outage_of_opal_ends_with_a_change() {
        crate::testing::bring_cryptography();
        let status = Arc::new(AtomicU16::new(200));
        let router = axum::Router::new().fallback({
            let status = status.clone();
            async move || StatusCode::from_u16(status.load(Ordering::Relaxed)).unwrap()
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, router).await });
        let source = OpalSource::builder(url).build("key", "http://me", "t").unwrap();
        source.changed().await.unwrap();
        assert!(!source.look().await.unwrap(), "nothing has happened");
        status.store(503, Ordering::Relaxed);
        source.look().await.unwrap_err();
        status.store(200, Ordering::Relaxed);
        assert!(source.look().await.unwrap());
        assert!(!source.look().await.unwrap());
        status.store(404, Ordering::Relaxed);
        assert!(!source.look().await.unwrap());
        assert!(!source.is_registered.load(Ordering::Relaxed), "it registers again");
        server.abort();
    }

    #[test]
    fn a_callback_key_has_no_slash() {
        crate::testing::bring_cryptography();
        let source = OpalSource::builder("http://opal/").build("a/b c-1_2.d", "http://me", "t");
        assert_eq!(source.unwrap().callback_key(), "a-b-c-1_2.d");
    }
}
