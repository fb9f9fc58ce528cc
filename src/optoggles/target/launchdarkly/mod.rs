//! LaunchDarkly, over its REST API, version 20240415.

mod flag;

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use self::flag::{Environment, Flag, Variations, barred, merge, merged, own};
use super::toggle_target::{Held, Prepared, Removal, ToggleTarget};
use crate::optoggles::{
    api::{self, Api, Sent},
    failure::Failure,
    record::Record,
    secret::Secret,
    toggle::Toggle,
    users::Users,
};

/// Where the API is, if not told otherwise.
const BASE: &str = "https://app.launchdarkly.com";

/// LaunchDarkly advises against more individual targets than this in one environment.
const MANY_TARGETS: usize = 10_000;

/// The content type of semantic patches.
const PATCH: &str = "application/json; domain-model=launchdarkly.semanticpatch";

/// How requests for approval by this program are told from others.
const DESCRIPTION: &str = "OPToggles sync";

/// A LaunchDarkly account. A toggle is a boolean flag of the project `projKey` in its spec, whose
/// users are targeted individually in each of the `environments`.
///
/// Everybody else is served `false`. Rules of a flag are left alone, though they may serve `true` to
/// others: a warning says so.
pub struct LaunchDarklyTarget {
    api: Api,
    merge: Option<(String, Record)>,
    flags: Mutex<HashMap<String, Known>>,
    /// No request is sent before, by the account's rate limit.
    pause: Mutex<Option<Instant>>,
}

/// The options of a [`LaunchDarklyTarget`].
#[derive(Clone, Debug)]
pub struct LaunchDarklyTargetBuilder {
    token: Secret,
    base: String,
    merge: Option<(String, Record)>,
}

/// What is known of a flag.
#[derive(Clone)]
struct Known {
    variations: Variations,
    /// Of each environment, the users that it has and whether nothing else decides.
    environments: HashMap<String, (Users, bool)>,
}

/// What a spec says.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    #[serde(default)]
    name: Option<String>,
    proj_key: String,
    environments: Vec<String>,
    #[serde(default = "user")]
    context_kind: String,
}

fn user() -> String {
    "user".to_owned()
}

/// Why a flag cannot be kept in step.
#[derive(Debug, thiserror::Error)]
enum FlagError {
    #[error(
        "toggle `{0}`: its spec needs `projKey` (a string) and `environments` (a list of strings)"
    )]
    Spec(String),
    #[error(
        "LaunchDarkly's flag `{0}` is not a boolean flag: delete it, or give the toggle another key"
    )]
    Kind(String),
    #[error("LaunchDarkly's flag `{0}` has no environment `{1}`: the project has none of this key")]
    Environment(String, String),
    #[error("LaunchDarkly's flag `{0}` was changed by somebody else meanwhile")]
    Conflict(String),
    #[error("LaunchDarkly has no flag `{0}` any more")]
    Gone(String),
    #[error(
        "LaunchDarkly requires approval for changes of the flag `{0}` in `{1}`: {2}, which somebody \
         has to approve and apply"
    )]
    Approval(String, String, &'static str),
}

impl fmt::Debug for LaunchDarklyTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LaunchDarklyTarget").field("url", &self.api.name()).finish_non_exhaustive()
    }
}

impl LaunchDarklyTarget {
    /// The account of an API access token.
    pub fn builder(token: impl Into<Secret>) -> LaunchDarklyTargetBuilder {
        LaunchDarklyTargetBuilder { token: token.into(), base: BASE.to_owned(), merge: None }
    }

    /// Sends a request, no sooner than the account's rate limit allows.
    async fn send(
        &self,
        method: Method,
        path: &[&str],
        body: Option<(&'static str, &Value)>,
    ) -> Result<Sent, Failure> {
        let pause = *self.pause.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(until) = pause {
            sleep_until(until).await;
        }
        let body = body.map(|(kind, body)| (kind, body.to_string().into_bytes()));
        let path = ["api", "v2"].iter().chain(path).copied();
        let sent = self.api.send(method, path, body).await?;
        if sent.status() == StatusCode::TOO_MANY_REQUESTS {
            let pause = pause_of(&sent);
            let until = Instant::now() + pause;
            *self.pause.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
            return Err(sent.failure(api::member("message")).retry_after(pause));
        }
        Ok(sent)
    }

    /// The flag, if there is one.
    async fn get(&self, key: &str, spec: &Spec) -> Result<Option<Flag>, Failure> {
        let environments = spec.environments.iter().map(|key| format!("env={key}"));
        let query = format!("?{}", environments.collect::<Vec<_>>().join("&"));
        let sent = self.send(Method::GET, &["flags", &spec.proj_key, key, &query], None).await?;
        if sent.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        sent.success(api::member("message"))?.json("a flag").map(Some)
    }

    /// Creates the flag; none if there is one.
    async fn create(&self, key: &str, spec: &Spec) -> Result<Option<Flag>, Failure> {
        let body = json!({
            "key": key,
            "name": spec.name.as_deref().unwrap_or(key),
            "clientSideAvailability": {"usingEnvironmentId": true, "usingMobileKey": true},
            "temporary": false,
            "tags": ["optoggles"],
        });
        let body = Some(("application/json", &body));
        let sent = self.send(Method::POST, &["flags", &spec.proj_key], body).await?;
        if sent.status() == StatusCode::CONFLICT {
            return Ok(None);
        }
        sent.success(api::member("message"))?.json("a flag").map(Some)
    }

    /// Changes the flag by a semantic patch.
    async fn patch(&self, key: &str, spec: &Spec, patch: &Value) -> Result<Sent, Failure> {
        let path = ["flags", &spec.proj_key, key];
        let sent = self.send(Method::PATCH, &path, Some((PATCH, patch))).await?;
        if sent.status() == StatusCode::CONFLICT {
            return Err(Failure::temporary(FlagError::Conflict(key.to_owned())));
        }
        Ok(sent)
    }

    /// Updates the name of the flag if it is another.
    async fn rename(&self, key: &str, spec: &Spec, flag: &Flag) -> Result<(), Failure> {
        let Some(name) = spec.name.as_deref().filter(|name| *name != flag.name) else {
            return Ok(());
        };
        let patch = json!({
            "comment": DESCRIPTION,
            "instructions": [{"kind": "updateName", "value": name}],
        });
        self.patch(key, spec, &patch).await?.success(api::member("message"))?;
        Ok(())
    }

    /// Notes what a flag holds.
    fn note(&self, key: &str, spec: &Spec, flag: &Flag) -> Result<Known, Failure> {
        let kind = || Failure::permanent(FlagError::Kind(key.to_owned()));
        let variations = flag.variations().ok_or_else(kind)?;
        let mut environments = HashMap::new();
        for name in &spec.environments {
            let environment = flag.environment(name).ok_or_else(|| {
                Failure::permanent(FlagError::Environment(key.to_owned(), name.clone()))
            })?;
            if environment.has_rules() {
                tracing::warn!(
                    toggle = key,
                    environment = name,
                    "the flag has rules, which may serve `true` to users whom the policy does not name"
                );
            }
            let held = self.holds(key, spec, name, environment, &variations);
            environments.insert(name.clone(), held);
        }
        let known = Known { variations, environments };
        let mut flags = self.flags.lock().unwrap_or_else(PoisonError::into_inner);
        flags.insert(key.to_owned(), known.clone());
        Ok(known)
    }

    /// The users of an environment that count as the policy's, and whether nothing else decides.
    fn holds(
        &self,
        key: &str,
        spec: &Spec,
        name: &str,
        environment: &Environment,
        variations: &Variations,
    ) -> (Users, bool) {
        let kind = &*spec.context_kind;
        let is_in_force = environment.is_in_force(variations);
        let users = environment.users(kind, variations);
        match &self.merge {
            None => (users, is_in_force && environment.is_only(kind, variations)),
            // Those that somebody has added by hand are none of the policy's business.
            Some((target, record)) => {
                let added = record.added(target, &list_key(spec, key), name);
                (users.without(&users.without(&added)), is_in_force)
            }
        }
    }

    /// Writes the users of one environment.
    async fn write_environment(
        &self,
        toggle: &Toggle,
        spec: &Spec,
        name: &str,
        known: &Known,
        users: &Users,
    ) -> Result<(), Failure> {
        let (key, kind) = (&*toggle.key, &*spec.context_kind);
        let Some((target, record)) = &self.merge else {
            return self.apply(key, spec, name, own(kind, &known.variations, users)).await;
        };
        let missing = || Failure::permanent(FlagError::Gone(key.to_owned()));
        let flag = self.get(key, spec).await?.ok_or_else(missing)?;
        let environment = flag.environment(name).ok_or_else(missing)?;
        let list_key = list_key(spec, key);
        let recorded = record.added(target, &list_key, name);
        let list = environment.users(kind, &known.variations);
        let barred = barred(environment, kind, &known.variations);
        let merge = merge(users, &list, &recorded, &barred);
        let add =
            |users: &Users| record.add(target, &list_key, name, users).map_err(Failure::temporary);
        add(&recorded.with(&merge.added))?;
        let instructions = merged(kind, &known.variations, &merge.list, environment);
        self.apply(key, spec, name, instructions).await?;
        add(&merge.added)
    }

    /// Patches one environment, or asks for approval where LaunchDarkly wants that.
    async fn apply(
        &self,
        key: &str,
        spec: &Spec,
        environment: &str,
        instructions: Vec<Value>,
    ) -> Result<(), Failure> {
        let patch = json!({
            "environmentKey": environment,
            "comment": DESCRIPTION,
            "instructions": instructions,
        });
        let sent = self.patch(key, spec, &patch).await?;
        if sent.status() != StatusCode::METHOD_NOT_ALLOWED {
            sent.success(api::member("message"))?;
            return Ok(());
        }
        let state = self.request_approval(key, spec, environment, &patch["instructions"]).await?;
        let error = FlagError::Approval(key.to_owned(), environment.to_owned(), state);
        Err(Failure::permanent(error))
    }

    /// Files a request for approval, unless one of this program is open. Returns which is the case.
    async fn request_approval(
        &self,
        key: &str,
        spec: &Spec,
        environment: &str,
        instructions: &Value,
    ) -> Result<&'static str, Failure> {
        let path = [
            "projects",
            &spec.proj_key,
            "flags",
            key,
            "environments",
            environment,
            "approval-requests",
        ];
        let sent = self.send(Method::GET, &path, None).await?.success(api::member("message"))?;
        let open: Requests = sent.json("a list of approval requests")?;
        let is_ours = |request: &Request| {
            request.status == "pending" && request.description.as_deref() == Some(DESCRIPTION)
        };
        if open.items.iter().any(is_ours) {
            return Ok("a request is open");
        }
        let body = json!({"description": DESCRIPTION, "instructions": instructions});
        let sent = self.send(Method::POST, &path, Some(("application/json", &body))).await?;
        sent.success(api::member("message"))?;
        Ok("a request was filed")
    }
}

/// Approval requests of a flag in an environment.
#[derive(Deserialize)]
struct Requests {
    items: Vec<Request>,
}

#[derive(Deserialize)]
struct Request {
    status: String,
    #[serde(default)]
    description: Option<String>,
}

/// The key of a flag in the record: flags of two projects may have the same key.
fn list_key(spec: &Spec, key: &str) -> String {
    format!("{}/{key}", spec.proj_key)
}

/// How long the account must pause: by `Retry-After` in seconds, or by `X-Ratelimit-Reset` in
/// milliseconds since 1970.
fn pause_of(sent: &Sent) -> Duration {
    const LONGEST: Duration = Duration::from_secs(5 * 60);
    let number = |name: &str| sent.headers().get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
    let after = number("retry-after").map(Duration::from_secs);
    let pause = after.or_else(|| {
        let reset = SystemTime::UNIX_EPOCH + Duration::from_millis(number("x-ratelimit-reset")?);
        Some(reset.duration_since(SystemTime::now()).unwrap_or_default())
    });
    pause.unwrap_or(Duration::from_secs(1)).min(LONGEST)
}

fn spec_of(toggle: &Toggle) -> Result<Spec, Failure> {
    let spec = Value::Object(toggle.spec.clone());
    serde_json::from_value(spec)
        .map_err(|_| Failure::permanent(FlagError::Spec(toggle.key.clone())))
}

/// The lists of all environments as one.
fn folded(known: &Known) -> Held {
    let mut lists = known.environments.values();
    let Some((first, in_force)) = lists.next() else { return Held::Unknown };
    let (mut everywhere, mut anywhere, mut in_force) = (first.clone(), first.clone(), *in_force);
    for (users, is_in_force) in lists {
        everywhere = everywhere.without(&everywhere.without(users));
        anywhere = anywhere.with(users);
        in_force &= is_in_force;
    }
    Held::Users { everywhere, anywhere, in_force }
}

impl LaunchDarklyTargetBuilder {
    /// The base URL, for the federal and the EU instance. Default: `https://app.launchdarkly.com`.
    #[must_use]
    pub fn base_uri(mut self, base: impl Into<String>) -> Self {
        self.base = base.into();
        self
    }

    /// Leaves the users alone that somebody has added by hand, and removes only those that this
    /// program has added, which `record` knows; `target` is what the record calls this target. Default: the
    /// list is the policy's.
    ///
    /// Only one replica may do so.
    #[must_use]
    pub fn merge(mut self, target: impl Into<String>, record: Record) -> Self {
        self.merge = Some((target.into(), record));
        self
    }

    /// Makes the target, and sends nothing yet.
    ///
    /// # Errors
    ///
    /// When the base URL is invalid.
    pub fn build(self) -> Result<LaunchDarklyTarget, Failure> {
        let client = api::client().map_err(Failure::permanent)?;
        let version = HeaderName::from_static("ld-api-version");
        let api = Api::new(client, &self.base)?
            .token("", Some(self.token))
            .header(version, HeaderValue::from_static("20240415"));
        let (flags, pause) = (Mutex::default(), Mutex::default());
        Ok(LaunchDarklyTarget { api, merge: self.merge, flags, pause })
    }
}

#[async_trait]
impl ToggleTarget for LaunchDarklyTarget {
    async fn prepare(&self, toggle: &Toggle) -> Result<Prepared, Failure> {
        let (key, spec) = (&*toggle.key, spec_of(toggle)?);
        let flag = match self.get(key, &spec).await? {
            Some(flag) => flag,
            None => match self.create(key, &spec).await? {
                Some(flag) => {
                    return Ok(Prepared::created(folded(&self.note(key, &spec, &flag)?)));
                }
                // Somebody else was faster, or a lock is held.
                None => {
                    let flag = self.get(key, &spec).await?;
                    flag.ok_or_else(|| Failure::temporary(FlagError::Conflict(key.to_owned())))?
                }
            },
        };
        self.rename(key, &spec, &flag).await?;
        Ok(Prepared::found(folded(&self.note(key, &spec, &flag)?)))
    }

    async fn write(&self, toggle: &Toggle, users: &Users) -> Result<(), Failure> {
        let (key, spec) = (&*toggle.key, spec_of(toggle)?);
        let known = self.flags.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned();
        let known = match known {
            Some(known) => known,
            None => {
                let missing = || Failure::permanent(FlagError::Gone(key.to_owned()));
                let flag = self.get(key, &spec).await?.ok_or_else(missing)?;
                self.note(key, &spec, &flag)?
            }
        };
        if users.len() > MANY_TARGETS {
            tracing::warn!(
                toggle = key,
                users = users.len(),
                "LaunchDarkly advises against more than 10,000 individual targets in an environment"
            );
        }
        // An environment that fails keeps none of the others from being written.
        let mut result = Ok(());
        for name in &spec.environments {
            let wanted = (users.clone(), true);
            if known.environments.get(name) == Some(&wanted) {
                continue;
            }
            let written = self.write_environment(toggle, &spec, name, &known, users).await;
            let mut flags = self.flags.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(known) = flags.get_mut(key) {
                match written {
                    Ok(()) => known.environments.insert(name.clone(), wanted),
                    // It may have taken effect.
                    Err(_) => known.environments.remove(name),
                };
            }
            result = result.and(written);
        }
        result
    }

    async fn remove(&self, toggle: &Toggle, removal: Removal) -> Result<(), Failure> {
        let (key, spec) = (&*toggle.key, spec_of(toggle)?);
        if removal == Removal::SwitchOff {
            for name in &spec.environments {
                self.apply(key, &spec, name, vec![json!({"kind": "turnFlagOff"})]).await?;
            }
            return Ok(());
        }
        let sent = self.send(Method::DELETE, &["flags", &spec.proj_key, key], None).await?;
        if sent.status() != StatusCode::NOT_FOUND {
            sent.success(api::member("message"))?;
        }
        Ok(())
    }

    async fn read(&self, toggle: &Toggle) -> Result<Held, Failure> {
        let spec = spec_of(toggle)?;
        let Some(flag) = self.get(&toggle.key, &spec).await? else {
            return Ok(Held::Users {
                everywhere: Users::default(),
                anywhere: Users::default(),
                in_force: false,
            });
        };
        Ok(folded(&self.note(&toggle.key, &spec, &flag)?))
    }

    async fn check(&self) -> Result<(), Failure> {
        let sent = self.send(Method::GET, &["caller-identity"], None).await?;
        sent.success(api::member("message"))?;
        Ok(())
    }
}
