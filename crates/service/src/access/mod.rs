//! Who is calling, and what they may do.
//!
//! A request is made by a [`Principal`]: a machine with a token, a person with a session, or
//! whoever calls where authentication is switched off. Handlers take it as an extractor and
//! ask it with [`Principal::require`]; nothing else decides what a caller may do.
//!
//! A token is sent in the header `Authorization`, the key of a session in a cookie. Neither
//! is accepted in place of the other. The extractor also rejects a request that changes
//! something and that another website made a browser send.
//!
//! Principals are cached. The sequence `access` counts every change of tokens, people and
//! permissions, so that other replicas notice ([`Access::refresh`]).

pub(crate) mod cross_site;
mod invitation;
mod person;
mod principal;
pub(crate) mod random;
mod session;
mod sessions;
mod token;
mod used;

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    extract::{FromRef, FromRequestParts},
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use lru::LruCache;
use ring::digest::{SHA256, digest};
use tokio::sync::watch;

pub(crate) use self::sessions::KEY as SESSION_KEY;
pub(crate) use self::{cross_site::local_host, random::secret as random_secret};
pub use self::{
    invitation::{Added, Invitation},
    person::{PROVIDERS, Person, Profile},
    principal::{Permission, Principal},
    session::NewSession,
    sessions::{SessionOptions, Sessions, SessionsError},
    token::{NewToken, Token},
};
use self::{principal::Who, used::Used};
use crate::{limit::Limit, problem::Problem, storage::Storage, time};

/// Each statement of this module.
pub(crate) const STATEMENTS: &[&[&str]] = &[token::ALL, person::ALL, invitation::ALL, session::ALL];

/// How many principals are cached.
const CACHED: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

/// How many requests with an invalid token a client address may send in a minute. More of them get
/// 429 in place of 401. A valid token is never rejected, whoever else shares the address: tokens
/// have 256 random bits, so that a limit need not keep anybody from guessing one.
const INVALID_TOKENS_PER_MINUTE: u32 = 120;

/// The SHA-256 of a token or of the key of a session.
pub type Hash = [u8; 32];

/// What all requests share. Cloning is cheap.
#[derive(Clone)]
pub struct Access(Arc<Shared>);

struct Shared {
    storage: Storage,
    permissions: &'static [Permission],
    required: bool,
    /// `None`: people cannot sign in.
    sessions: Option<Sessions>,
    cache: Mutex<LruCache<Credential, Known>>,
    /// The value of the sequence `access` that the cache is up to date with.
    version: watch::Sender<i64>,
    tokens_used: Used<i64>,
    sessions_used: Used<Hash>,
    invalid_tokens: Limit,
}

/// What a request identifies itself with. The kind is part of it, so that the key of a session
/// is of no use as a token.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
enum Credential {
    Token(Hash),
    Session(Hash),
}

/// What is known of a credential.
#[derive(Clone)]
struct Known {
    principal: Principal,
    expires: Option<i64>,
    /// When the session was last used, as far as it has been written down.
    last_used: Option<i64>,
}

impl Access {
    /// Access with the permissions that a service knows; the first of them includes all others.
    ///
    /// Where it is not `required`, every request may do everything. People cannot sign in; see
    /// [`with_sessions`](Self::with_sessions).
    #[must_use]
    pub fn new(storage: Storage, permissions: &'static [Permission], required: bool) -> Self {
        Self::build(storage, permissions, required, None)
    }

    /// Access as in [`new`](Self::new), for people with sessions as well.
    #[must_use]
    pub fn with_sessions(
        storage: Storage,
        permissions: &'static [Permission],
        required: bool,
        sessions: Sessions,
    ) -> Self {
        Self::build(storage, permissions, required, Some(sessions))
    }

    fn build(
        storage: Storage,
        permissions: &'static [Permission],
        required: bool,
        sessions: Option<Sessions>,
    ) -> Self {
        Self(Arc::new(Shared {
            storage,
            permissions,
            required,
            sessions,
            cache: Mutex::new(LruCache::new(CACHED)),
            version: watch::Sender::new(0),
            tokens_used: Used::default(),
            sessions_used: Used::default(),
            invalid_tokens: Limit::per_minute(INVALID_TOKENS_PER_MINUTE),
        }))
    }

    /// The permissions that there are.
    #[must_use]
    pub fn permissions(&self) -> &'static [Permission] {
        self.0.permissions
    }

    /// How people keep their sessions, if they can sign in.
    #[must_use]
    pub fn sessions(&self) -> Option<&Sessions> {
        self.0.sessions.as_ref()
    }

    /// Who sent a request with these headers: the bearer token says so, else the cookie of a
    /// session.
    ///
    /// A handler of a request that changes something takes the [`Principal`] as an extractor
    /// instead, which also rejects what another website made a browser send.
    ///
    /// # Errors
    ///
    /// 401 without valid credentials; 503 where the database is unavailable.
    pub async fn principal(&self, headers: &HeaderMap) -> Result<Principal, Problem> {
        if !self.0.required {
            return Ok(Principal::anyone());
        }
        let (credential, principal, now) = self.look(headers).await?;
        match (credential, principal.who) {
            (Credential::Session(hash), _) => self.0.sessions_used.note(hash, now),
            (_, Who::Token(id)) => self.0.tokens_used.note(id, now),
            _ => {}
        }
        Ok(principal)
    }

    /// As [`principal`](Self::principal), for a request that was sent long ago: this does not count
    /// as a use of the token or of the session.
    ///
    /// # Errors
    ///
    /// 401 without valid credentials; 503 where the database is unavailable.
    pub async fn still(&self, headers: &HeaderMap) -> Result<Principal, Problem> {
        if !self.0.required {
            return Ok(Principal::anyone());
        }
        self.look(headers).await.map(|it| it.1)
    }

    async fn look(&self, headers: &HeaderMap) -> Result<(Credential, Principal, i64), Problem> {
        let credential = self.credential(headers)?;
        let now = time::now();
        let cached = self.cache().get(&credential).cloned();
        let known = match cached.filter(|it| self.over(credential, it, now).is_none()) {
            Some(known) => known,
            // Another replica may have seen the session in use.
            None => self.find(credential).await?,
        };
        if let Some(why) = self.over(credential, &known, now) {
            return Err(unauthorized(why));
        }
        Ok((credential, known.principal, now))
    }

    /// The credential of a request. An invalid header is not forgiven for the sake of a cookie.
    fn credential(&self, headers: &HeaderMap) -> Result<Credential, Problem> {
        if headers.contains_key(header::AUTHORIZATION) {
            let token = bearer(headers).ok_or_else(|| {
                unauthorized("the header `authorization` does not have the form `Bearer TOKEN`")
            })?;
            return Ok(Credential::Token(sha256(token.as_bytes())));
        }
        match &self.0.sessions {
            None => Err(unauthorized("the request has no bearer token")),
            Some(sessions) => sessions
                .session(headers)
                .map(Credential::Session)
                .ok_or_else(|| unauthorized("sign in, or send a bearer token")),
        }
    }

    /// Why a credential is no longer valid, if so.
    fn over(&self, credential: Credential, known: &Known, now: i64) -> Option<&'static str> {
        let expired = known.expires.is_some_and(|it| it <= now);
        match credential {
            Credential::Token(_) if expired => Some("the bearer token has expired"),
            Credential::Session(_) if expired => Some("the session has expired: sign in again"),
            Credential::Session(hash) => {
                let used = known.last_used.max(self.0.sessions_used.last(&hash))?;
                let idle = self.0.sessions.as_ref()?.idle_milliseconds();
                (used.saturating_add(idle) <= now)
                    .then_some("the session was unused for too long: sign in again")
            }
            Credential::Token(_) => None,
        }
    }

    /// Reads the principal of a credential from the database.
    async fn find(&self, credential: Credential) -> Result<Known, Problem> {
        let version = *self.0.version.borrow();
        let permissions = self.0.permissions;
        let found = self.0.storage.read(move |sql| match credential {
            Credential::Token(hash) => token::find(sql, &hash, permissions),
            Credential::Session(hash) => session::find(sql, &hash, permissions),
        });
        let found = found.await?;
        let found = found.ok_or_else(|| {
            unauthorized(match credential {
                Credential::Token(_) => "the bearer token is unknown",
                Credential::Session(_) => "the session has ended: sign in again",
            })
        })?;
        let mut cache = self.cache();
        // What was read before a change must not outlive it.
        if *self.0.version.borrow() == version {
            cache.put(credential, found.clone());
        }
        Ok(found)
    }

    /// Takes notice of a change of tokens, people or permissions: `version` is the last
    /// number of the sequence `access`.
    pub fn refresh(&self, version: i64) {
        let mut cache = self.cache();
        let changed = self.0.version.send_if_modified(|known| {
            let newer = version > *known;
            *known = (*known).max(version);
            newer
        });
        if changed {
            cache.clear();
        }
    }

    /// Forgets all that is known, since another database may have taken the place of the one that it
    /// was read from. There, the last number of the sequence `access` is `version`.
    pub fn restart(&self, version: i64) {
        let mut cache = self.cache();
        self.0.version.send_replace(version);
        cache.clear();
    }

    /// Notices each change of tokens, people or permissions, for streams that have to end.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<i64> {
        self.0.version.subscribe()
    }

    fn cache(&self) -> MutexGuard<'_, LruCache<Credential, Known>> {
        self.0.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes a handler's argument of the request's sender.
impl<S: Send + Sync> FromRequestParts<S> for Principal
where
    Access: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let access = Access::from_ref(state);
        let principal = access.principal(&parts.headers).await.map_err(|problem| {
            let is_token = parts.headers.contains_key(header::AUTHORIZATION);
            if !is_token || problem.status() != StatusCode::UNAUTHORIZED {
                return problem;
            }
            access.0.invalid_tokens.check(&parts.extensions).err().unwrap_or(problem)
        })?;
        let own = access.sessions().and_then(Sessions::own_origin);
        match principal.who {
            // No browser adds a token of its own accord.
            Who::Token(_) => {}
            Who::Person(_) => cross_site::reject(parts, own, true)?,
            Who::Anyone => cross_site::reject(parts, own, false)?,
        }
        Ok(principal)
    }
}

fn unauthorized(detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
}

/// The bearer token of the header `Authorization`
/// ([RFC 6750](https://www.rfc-editor.org/rfc/rfc6750#section-2.1)).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

pub(crate) fn sha256(bytes: &[u8]) -> Hash {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}
