//! Requests to an account of LaunchDarkly.

use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde_json::{Value, json};

use super::{
    error::FlagError,
    flag::{self, Flag},
    rate_limit::RateLimit,
    spec::Spec,
};
use crate::{
    http::Secret,
    optoggles::{
        api::{self, Api, Sent},
        failure::Failure,
        toggle::Toggle,
    },
};

/// The content type of semantic patches.
const PATCH: &str = "application/json; domain-model=launchdarkly.semanticpatch";

/// How patches and requests for approval by this program are told from others.
pub(super) const DESCRIPTION: &str = "OPToggles sync";

/// An account, to which no request is sent sooner than its rate limit allows.
pub(super) struct Account {
    api: Api,
    limit: RateLimit,
}

/// What LaunchDarkly did with a patch.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Patched {
    /// It is applied.
    Applied,
    /// It is not: somebody has to approve it.
    NeedsApproval,
}

impl Account {
    pub(super) fn new(base: &str, token: Secret) -> Result<Self, Failure> {
        let client = api::client().map_err(Failure::permanent)?;
        let version = HeaderName::from_static("ld-api-version");
        let api = Api::new(client, base)?
            .token("", Some(token))
            .header(version, HeaderValue::from_static("20240415"));
        Ok(Self { api, limit: RateLimit::default() })
    }

    /// What the account is called in messages.
    pub(super) fn name(&self) -> String {
        self.api.name()
    }

    /// Whether it accepts the token.
    pub(super) async fn check(&self) -> Result<(), Failure> {
        let sent = self.send(Method::GET, &["caller-identity"], &[], None).await?;
        self.success(sent, &Value::Null)?;
        Ok(())
    }

    /// The flag, if there is one.
    pub(super) async fn get(&self, key: &str, spec: &Spec) -> Result<Option<Flag>, Failure> {
        // The filter takes one environment; without it the response has all of them.
        let query = match &*spec.environments {
            [name] => vec![("env", &**name)],
            _ => Vec::new(),
        };
        let path = ["flags", &spec.proj_key, key];
        let sent = self.send(Method::GET, &path, &query, None).await?;
        if sent.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        self.success(sent, &Value::Null)?.json("a flag").map(Some)
    }

    /// Creates the flag, with the mark of the toggle; none if there is one.
    pub(super) async fn create(
        &self,
        toggle: &Toggle,
        spec: &Spec,
    ) -> Result<Option<Flag>, Failure> {
        let mut body = json!({
            "key": toggle.key,
            "name": spec.name.as_deref().unwrap_or(&toggle.key),
            "clientSideAvailability": {"usingEnvironmentId": true, "usingMobileKey": true},
            "temporary": false,
            "tags": ["optoggles"],
        });
        if let Some(mark) = toggle.mark() {
            body["description"] = flag::description(mark).into();
        }
        let body = ("application/json", &body);
        let sent = self.send(Method::POST, &["flags", &spec.proj_key], &[], Some(body)).await?;
        if sent.status() == StatusCode::CONFLICT {
            return Ok(None);
        }
        self.success(sent, &Value::Null)?.json("a flag").map(Some)
    }

    /// Updates the name of the flag.
    pub(super) async fn rename(&self, key: &str, spec: &Spec, name: &str) -> Result<(), Failure> {
        let patch = json!({
            "comment": DESCRIPTION,
            "instructions": [{"kind": "updateName", "value": name}],
        });
        let sent = self.send_patch(key, spec, &patch).await?;
        self.success(sent, &patch)?;
        Ok(())
    }

    /// Changes the flag in one environment, all or nothing.
    pub(super) async fn patch(
        &self,
        key: &str,
        spec: &Spec,
        environment: &str,
        instructions: &[Value],
    ) -> Result<Patched, Failure> {
        let patch = json!({
            "environmentKey": environment,
            "comment": DESCRIPTION,
            "instructions": instructions,
        });
        let sent = self.send_patch(key, spec, &patch).await?;
        if sent.status() == StatusCode::METHOD_NOT_ALLOWED {
            return Ok(Patched::NeedsApproval);
        }
        self.success(sent, &patch)?;
        Ok(Patched::Applied)
    }

    async fn send_patch(&self, key: &str, spec: &Spec, body: &Value) -> Result<Sent, Failure> {
        let path = ["flags", &spec.proj_key, key];
        let sent = self.send(Method::PATCH, &path, &[], Some((PATCH, body))).await?;
        if sent.status() == StatusCode::CONFLICT {
            return Err(FlagError::Conflict(key.to_owned()).into());
        }
        Ok(sent)
    }

    /// Deletes the flag. One that does not exist is a success.
    pub(super) async fn delete(&self, key: &str, spec: &Spec) -> Result<(), Failure> {
        let path = ["flags", &spec.proj_key, key];
        let sent = self.send(Method::DELETE, &path, &[], None).await?;
        if sent.status() != StatusCode::NOT_FOUND {
            self.success(sent, &Value::Null)?;
        }
        Ok(())
    }

    /// Sends a request, no sooner than the rate limit allows.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&'static str, &str)],
        body: Option<(&'static str, &Value)>,
    ) -> Result<Sent, Failure> {
        self.limit.wait().await;
        let body = body.map(|(kind, body)| (kind, body.to_string().into_bytes()));
        let path = ["api", "v2"].iter().chain(path).copied();
        let sent = self.api.send_with(method, path, query, body).await?;
        if sent.status() == StatusCode::TOO_MANY_REQUESTS {
            let pause = self.limit.reached(sent.headers());
            return Err(self.failure(&sent, &Value::Null).retry_after(pause));
        }
        Ok(sent)
    }

    /// The response if its status is a success, else the failure. The request was `body`.
    pub(super) fn success(&self, sent: Sent, body: &Value) -> Result<Sent, Failure> {
        if sent.status().is_success() { Ok(sent) } else { Err(self.failure(&sent, body)) }
    }

    /// The failure of this status, with LaunchDarkly's message, unless that quotes the token or a
    /// user: then its code is all there is.
    fn failure(&self, sent: &Sent, body: &Value) -> Failure {
        sent.failure(|said| {
            let message = api::member("message")(said);
            let is_public = |text: &String| !self.api.is_quoted_in(text) && !quotes(text, body);
            message.filter(is_public).or_else(|| api::member("code")(said).filter(is_public))
        })
    }
}

/// Whether the text quotes a user whom these instructions name.
fn quotes(text: &str, instructions: &Value) -> bool {
    match instructions {
        Value::Object(members) => members.iter().any(|(name, member)| match member {
            Value::Array(users) if name == "values" => {
                users.iter().filter_map(Value::as_str).any(|user| text.contains(user))
            }
            _ => quotes(text, member),
        }),
        Value::Array(items) => items.iter().any(|item| quotes(text, item)),
        _ => false,
    }
}
