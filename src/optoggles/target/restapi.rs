//! A REST service of any kind, as the original writes to it.

use std::fmt;

use async_trait::async_trait;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value, json};

use super::toggle_target::{Held, Prepared, Removal, ToggleTarget};
use crate::{
    http::public_name,
    optoggles::{
        api::{self, Api},
        failure::Failure,
        toggle::Toggle,
        users::Users,
    },
};

/// A REST service: `POST` with the key and the spec of a toggle creates it, and `PATCH` with its
/// users and its spec updates it. `DELETE` removes one that has left the configuration, where that is
/// what the configuration says.
///
/// Every status from 200 to 299 is a success, and 409 for `POST` says that the toggle exists. The
/// service cannot be asked for what it holds.
#[derive(Debug)]
pub struct RestTarget {
    api: Api,
}

/// The options of a [`RestTarget`].
#[derive(Clone)]
pub struct RestTargetBuilder {
    url: String,
    headers: Vec<(String, SecretString)>,
}

impl fmt::Debug for RestTargetBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = public_name(&self.url);
        f.debug_struct("RestTargetBuilder").field("url", &url).finish_non_exhaustive()
    }
}

/// Why a header cannot be sent.
#[derive(Debug, thiserror::Error)]
#[error("header `{0}`: its name or its value has characters that a header cannot have")]
struct HeaderError(String);

impl RestTarget {
    /// A service whose toggles are below this URL.
    pub fn builder(url: impl Into<String>) -> RestTargetBuilder {
        RestTargetBuilder { url: url.into(), headers: Vec::new() }
    }

    /// Sends a request. The status `accepted` is a success too.
    async fn send(
        &self,
        method: Method,
        key: Option<&str>,
        body: Option<Value>,
        accepted: Option<StatusCode>,
    ) -> Result<StatusCode, Failure> {
        let body = body.map(|body| ("application/json", body.to_string().into_bytes()));
        let sent = self.api.send(method, key, body).await?;
        if Some(sent.status()) == accepted {
            return Ok(sent.status());
        }
        // What the service says may echo headers or users.
        Ok(sent.success(api::nothing)?.status())
    }

    async fn patch(
        &self,
        toggle: &Toggle,
        users: &Users,
        accepted: Option<StatusCode>,
    ) -> Result<(), Failure> {
        let users = users.iter().collect::<Vec<_>>();
        let body = with(&toggle.spec, "users", json!(users));
        self.send(Method::PATCH, Some(&toggle.key), Some(body), accepted).await?;
        Ok(())
    }
}

impl RestTargetBuilder {
    /// A header of each request, whose value is kept secret.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), SecretString::from(value.into())));
        self
    }

    /// Makes the target, and sends nothing yet.
    ///
    /// # Errors
    ///
    /// When the URL or a header is invalid.
    pub fn build(self) -> Result<RestTarget, Failure> {
        let client = api::client().map_err(Failure::permanent)?;
        let mut api = Api::new(client, &self.url)?;
        for (name, value) in self.headers {
            let invalid = || Failure::permanent(HeaderError(name.clone()));
            let mut value = HeaderValue::from_str(value.expose_secret()).map_err(|_| invalid())?;
            value.set_sensitive(true);
            api = api.header(HeaderName::try_from(&name).map_err(|_| invalid())?, value);
        }
        Ok(RestTarget { api })
    }
}

/// The spec with a member of the engine, which goes before one of the same name.
fn with(spec: &Map<String, Value>, name: &str, value: Value) -> Value {
    let mut body = spec.clone();
    body.insert(name.to_owned(), value);
    Value::Object(body)
}

#[async_trait]
impl ToggleTarget for RestTarget {
    async fn prepare(&self, toggle: &Toggle) -> Result<Prepared, Failure> {
        let body = with(&toggle.spec, "key", json!(toggle.key));
        let exists = Some(StatusCode::CONFLICT);
        let created = self.send(Method::POST, None, Some(body), exists).await?.is_success();
        Ok(Prepared { held: Held::Unknown, created })
    }

    async fn write(&self, toggle: &Toggle, users: &Users) -> Result<(), Failure> {
        self.patch(toggle, users, None).await
    }

    async fn remove(&self, toggle: &Toggle, removal: Removal) -> Result<(), Failure> {
        let gone = Some(StatusCode::NOT_FOUND);
        match removal {
            Removal::SwitchOff => self.patch(toggle, &Users::default(), gone).await,
            Removal::Delete => {
                self.send(Method::DELETE, Some(&toggle.key), None, gone).await?;
                Ok(())
            }
        }
    }

    async fn read(&self, _: &Toggle) -> Result<Held, Failure> {
        Ok(Held::Unknown)
    }

    /// Nothing is known of the service that could be asked for without a change: that it answers at
    /// all is what can be seen.
    async fn check(&self) -> Result<(), Failure> {
        let sent = self.api.status(Method::GET, None).await?;
        match sent.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(sent.failure(api::nothing)),
            status if status.is_server_error() => Err(sent.failure(api::nothing)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spec_does_not_override_the_users() {
        let spec = json!({"users": ["mallory"], "team": "a", "nested": {"b": 1}});
        let body = with(spec.as_object().unwrap(), "users", json!(["bob"]));
        assert_eq!(body, json!({"users": ["bob"], "team": "a", "nested": {"b": 1}}));
    }
}
