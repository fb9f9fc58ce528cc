//! Who is calling, and what they may do.
//!
//! A request is made by a [`Principal`]: a machine with a token, a person with a session, or
//! whoever calls where authentication is switched off. Handlers take it as an extractor and
//! ask it with [`Principal::require`]; nothing else decides what a caller may do.
//!
//! Principals are cached. The sequence `access` counts every change of tokens, people and
//! permissions, so that other replicas notice ([`Access::refresh`]).

mod principal;
mod random;
mod token;

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    extract::{FromRef, FromRequestParts},
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use lru::LruCache;
use ring::digest::{SHA256, digest};
use tokio::sync::watch;

pub use self::{
    principal::{Permission, Principal},
    token::{NewToken, Token},
};
use crate::{
    problem::Problem,
    storage::{Storage, StorageError},
    time,
};

/// Each statement of this module.
pub(crate) use token::ALL as STATEMENTS;

/// How many principals are cached.
const CACHED: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

/// The SHA-256 of a token or of the key of a session.
type Hash = [u8; 32];

/// What all requests share. Cloning is cheap.
#[derive(Clone)]
pub struct Access(Arc<Shared>);

struct Shared {
    storage: Storage,
    permissions: &'static [Permission],
    required: bool,
    cache: Mutex<LruCache<Hash, (Principal, Option<i64>)>>,
    /// The value of the sequence `access` that the cache is up to date with.
    version: watch::Sender<i64>,
    used: token::Used,
}

impl Access {
    /// Access with the permissions that a service knows; the first of them includes all others.
    ///
    /// Where it is not `required`, every request may do everything.
    #[must_use]
    pub fn new(storage: Storage, permissions: &'static [Permission], required: bool) -> Self {
        Self(Arc::new(Shared {
            storage,
            permissions,
            required,
            cache: Mutex::new(LruCache::new(CACHED)),
            version: watch::Sender::new(0),
            used: token::Used::default(),
        }))
    }

    /// The permissions that there are.
    #[must_use]
    pub fn permissions(&self) -> &'static [Permission] {
        self.0.permissions
    }

    /// Who sent a request with these headers.
    ///
    /// # Errors
    ///
    /// 401 without valid credentials; 503 where the database is unavailable.
    pub async fn principal(&self, headers: &HeaderMap) -> Result<Principal, Problem> {
        if !self.0.required {
            return Ok(Principal::anyone());
        }
        let Some(token) = bearer(headers) else {
            return Err(unauthorized("the request has no bearer token"));
        };
        let hash = sha256(token.as_bytes());
        let now = time::now();
        let cached = self.cache().get(&hash).cloned();
        let (principal, expires) = match cached {
            Some(cached) => cached,
            None => self.find(hash).await?,
        };
        if expires.is_some_and(|it| it <= now) {
            return Err(unauthorized("the bearer token has expired"));
        }
        if let Some(id) = principal.token {
            self.0.used.note(id, now);
        }
        Ok(principal)
    }

    /// Reads the principal of a token from the database.
    async fn find(&self, hash: Hash) -> Result<(Principal, Option<i64>), Problem> {
        let version = *self.0.version.borrow();
        let permissions = self.0.permissions;
        let found = self.0.storage.read(move |sql| token::find(sql, &hash, permissions)).await;
        let found = found.map_err(|error: StorageError| Problem::from(error))?;
        let found = found.ok_or_else(|| unauthorized("the bearer token is unknown"))?;
        let mut cache = self.cache();
        // What was read before a change must not outlive it.
        if *self.0.version.borrow() == version {
            cache.put(hash, found.clone());
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

    /// Notices each change of tokens, people or permissions, for streams that have to end.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<i64> {
        self.0.version.subscribe()
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, LruCache<Hash, (Principal, Option<i64>)>> {
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
        Access::from_ref(state).principal(&parts.headers).await
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

fn sha256(bytes: &[u8]) -> Hash {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}
