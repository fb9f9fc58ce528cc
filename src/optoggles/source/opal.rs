//! OPAL: it says where its OPA is, and calls back when policy or data have changed.

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
    opa::{Opa, guard},
    policy_source::{Answer, PolicySource},
};
use crate::{
    http::{Client, public_name},
    optoggles::{
        api::{self, Api},
        failure::Failure,
        secret::Secret,
        toggle::Rule,
    },
};

/// How often it is looked whether the OPAL client still knows the callback: it forgets all of them in
/// a restart.
const CHECK: Duration = Duration::from_secs(10);

/// An OPAL client, and the OPA that it keeps up to date.
///
/// The source asks the OPAL client for the address of its OPA, and registers a callback there. The
/// callback has to arrive at [`pulse`](Self::pulse); [`Engine`](crate::optoggles::Engine) sees to that
/// for the sources of its configuration.
pub struct OpalSource {
    opal: Api,
    client: Client,
    /// Where OPA is and its token, if not as OPAL says.
    opa_url: Option<String>,
    opa_token: Option<Secret>,
    guard: Vec<String>,
    callback: Callback,
    /// Where OPA is, once it is known.
    opa: Mutex<Option<Opa>>,
    is_registered: AtomicBool,
    /// Whether the last look at the callback has failed.
    is_lost: AtomicBool,
    has_begun: AtomicBool,
    pulse: Notify,
}

/// The callback that is registered.
#[derive(Clone)]
struct Callback {
    /// Its key at the OPAL client: letters, digits, `-`, `_` and `.`.
    key: String,
    url: String,
    token: SecretString,
}

/// The options of an [`OpalSource`].
#[derive(Clone, Debug)]
pub struct OpalSourceBuilder {
    url: String,
    token: Option<Secret>,
    opa_url: Option<String>,
    opa_token: Option<Secret>,
    guard: Vec<String>,
}

impl fmt::Debug for OpalSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpalSource")
            .field("url", &self.opal.name())
            .field("callback", &self.callback.key)
            .finish_non_exhaustive()
    }
}

/// The answer to `GET /policy-store/config`; what is null is left out.
#[derive(Deserialize)]
struct PolicyStore {
    url: String,
    #[serde(default)]
    auth_type: Option<String>,
    #[serde(default)]
    token: Option<SecretString>,
}

/// Why the policy store of an OPAL client cannot be used.
#[derive(Debug, thiserror::Error)]
enum StoreError {
    #[error(
        "the OPAL client {0} does not tell the token of its OPA (OPAL_EXCLUDE_POLICY_STORE_SECRETS): \
         set `opaToken` or `opaTokenFile`"
    )]
    Excluded(String),
    #[error(
        "the OPA of the OPAL client {0} wants `{1}` for authentication: only tokens are supported; \
         set `opaUrl` and `opaToken` for one that takes them"
    )]
    Authentication(String, String),
    #[error("the OPAL client {0} says that its OPA is at `{1}`, which is not a valid URL")]
    Url(String, String),
}

impl OpalSource {
    /// An OPAL client at this base URL, such as `http://opal-client:7000`.
    pub fn builder(url: impl Into<String>) -> OpalSourceBuilder {
        OpalSourceBuilder {
            url: url.into(),
            token: None,
            opa_url: None,
            opa_token: None,
            guard: Vec::new(),
        }
    }

    /// The callback has arrived: policy or data may have changed.
    pub fn pulse(&self) {
        self.pulse.notify_one();
    }

    /// The key of the callback at the OPAL client.
    #[must_use]
    pub fn callback_key(&self) -> &str {
        &self.callback.key
    }

    /// The OPA, which OPAL is asked for if it is not known.
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

    /// Forgets where OPA is: it may have moved.
    fn forget(&self) {
        *self.opa.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Where OPA is, and its token, by the OPAL client.
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
            // `none` with a token is possible, and the token is of no use then.
            (None, None | Some("none")) => None,
            (None, Some("token")) => match store.token {
                Some(token) => Some(Secret::Text(token)),
                None => return Err(Failure::permanent(StoreError::Excluded(opal))),
            },
            (None, Some(other)) => {
                let error = StoreError::Authentication(opal, other.to_owned());
                return Err(Failure::permanent(error));
            }
        };
        Ok((url, token))
    }

    async fn register(&self) -> Result<(), Failure> {
        let Callback { key, url, token } = &self.callback;
        let authorization = format!("Bearer {}", token.expose_secret());
        let body = json!({
            "key": key,
            "url": url,
            // Without `process_data` the response need not be JSON, and without a content type the
            // request would be `text/plain`.
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

    /// Looks whether the callback is still registered. Returns whether the answers may have changed:
    /// after a failed look, for a callback may have been lost, and the failure is over.
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

    /// Whether the OPAL client still knows the callback. Its answer may be long and hold secrets, so
    /// nothing but the status is read.
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
    /// The bearer token for the OPAL client, of the peer type `listener`. Default: none.
    #[must_use]
    pub fn token(mut self, token: impl Into<Secret>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Where OPA is, in place of what the OPAL client says.
    #[must_use]
    pub fn opa_url(mut self, url: impl Into<String>) -> Self {
        self.opa_url = Some(url.into());
        self
    }

    /// The bearer token for OPA, in place of what the OPAL client says.
    #[must_use]
    pub fn opa_token(mut self, token: impl Into<Secret>) -> Self {
        self.opa_token = Some(token.into());
        self
    }

    /// Paths below `data` that are defined once the data is loaded; see
    /// [`OpaSourceBuilder::guard`](super::OpaSourceBuilder::guard).
    #[must_use]
    pub fn guard(mut self, paths: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.guard = paths.into_iter().map(Into::into).collect();
        self
    }

    /// Makes the source, and sends nothing yet. The callback will be registered by this key, which
    /// must differ from that of any other program at the OPAL client, for this URL and with this
    /// token in its header `Authorization`.
    ///
    /// # Errors
    ///
    /// When a URL is invalid.
    pub fn build(
        self,
        callback_key: &str,
        callback_url: impl Into<String>,
        callback_token: impl Into<String>,
    ) -> Result<OpalSource, Failure> {
        let client = api::client().map_err(Failure::permanent)?;
        // A key with a slash could be registered, but neither be read nor removed.
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let key = callback_key.replace(|c| !is_plain(c), "-");
        let callback = Callback {
            key,
            url: callback_url.into(),
            token: SecretString::from(callback_token.into()),
        };
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

    /// The initial load of an OPAL client calls nobody back, so a registration counts as a change.
    async fn changed(&self) -> Result<(), Failure> {
        loop {
            if !self.is_registered.load(Ordering::Relaxed) {
                let registered = self.register().await;
                // Where OPA is known without OPAL, it is asked even though nobody calls back.
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
        // Needs the token, unlike the health of the OPAL client.
        self.opal.status(Method::GET, ["callbacks"]).await?.success(api::nothing)?;
        self.opa().await?.check().await
    }

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

/// The URL of an OPA, whose host is that of the OPAL client where it is called `localhost` or the
/// like. None if it is not a URL.
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
