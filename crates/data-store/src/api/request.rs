//! What handlers read from requests beside what the services share: identities and keys in
//! paths, and conditions.

use axum::{
    extract::{FromRequestParts, Request},
    http::{HeaderMap, HeaderName, HeaderValue, Method, header, request::Parts},
    middleware::Next,
    response::Response,
};
pub(crate) use service::request::{Json, Params, limit, tag, tags};
use service::{problem::Problem, request::InPath, time};

use crate::{fact::Condition, name};

/// An identity in the path.
pub(crate) struct Identity(pub(crate) String);

/// An identity and a key in the path.
pub(crate) struct Named {
    pub(crate) identity: String,
    pub(crate) key: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Identity {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let InPath(identity): InPath<String> = InPath::from_request_parts(parts, state).await?;
        name::identity(&identity)?;
        Ok(Self(identity))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let InPath((identity, key)): InPath<(String, String)> =
            InPath::from_request_parts(parts, state).await?;
        name::identity(&identity)?;
        name::key(&key)?;
        Ok(Self { identity, key })
    }
}

/// A number in the path.
pub(crate) struct Number(pub(crate) u64);

impl<S: Send + Sync> FromRequestParts<S> for Number {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        InPath::from_request_parts(parts, state).await.map(|InPath(number)| Self(number))
    }
}

/// The condition of a write to a fact or a secret, whose entity tags are numbers of changes.
pub(super) struct IfFact(pub(super) Condition);

impl<S: Send + Sync> FromRequestParts<S> for IfFact {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // A tag that is none of ours matches no fact.
        let number = |tag: &str| tag.trim_matches('"').parse().ok();
        condition(&parts.headers, number).map(Self)
    }
}

/// The condition of a write to the facts of an identity, whose entity tag is made of them.
pub(super) struct IfFacts(pub(super) Condition<String>);

impl<S: Send + Sync> FromRequestParts<S> for IfFacts {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        condition(&parts.headers, |tag| Some(tag.to_owned())).map(Self)
    }
}

/// The condition of a write ([RFC 9110](https://www.rfc-editor.org/rfc/rfc9110#section-13)).
fn condition<Tag>(
    headers: &HeaderMap,
    read: impl Fn(&str) -> Option<Tag>,
) -> Result<Condition<Tag>, Problem> {
    reject(headers, &TIMES)?;
    match (tags(headers, &header::IF_MATCH)?, tags(headers, &header::IF_NONE_MATCH)?) {
        (None, None) => Ok(Condition::None),
        (Some(tags), None) if tags == ["*"] => Ok(Condition::Present),
        (Some(tags), None) => Ok(Condition::Tags(tags.into_iter().filter_map(read).collect())),
        (None, Some(tags)) if tags == ["*"] => Ok(Condition::Absent),
        _ => Err(Problem::invalid("a write takes either If-Match, or If-None-Match with *")),
    }
}

/// Conditions about when something was changed, which nothing here says.
const TIMES: [HeaderName; 2] = [header::IF_MODIFIED_SINCE, header::IF_UNMODIFIED_SINCE];
const TAGS: [HeaderName; 2] = [header::IF_MATCH, header::IF_NONE_MATCH];

/// Rejects conditions of writes that take none: who sends one relies on it.
pub(super) async fn unconditional(request: Request, next: Next) -> Result<Response, Problem> {
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        reject(request.headers(), &TAGS)?;
        reject(request.headers(), &TIMES)?;
    }
    Ok(next.run(request).await)
}

fn reject(headers: &HeaderMap, conditions: &[HeaderName]) -> Result<(), Problem> {
    match conditions.iter().find(|it| headers.contains_key(*it)) {
        None => Ok(()),
        Some(found) => Err(Problem::invalid(format!(
            "this request does not support the condition {found}, and nothing was changed: \
             send it without"
        ))),
    }
}

/// Whether the caller knows what has this entity tag, so that a response need not repeat it.
pub(super) fn is_known(headers: &HeaderMap, tag: &HeaderValue) -> Result<bool, Problem> {
    let known = tags(headers, &header::IF_NONE_MATCH)?.unwrap_or_default();
    Ok(known.iter().any(|it| *it == "*" || tag == it.trim_start_matches("W/")))
}

/// Reads a time that a parameter or a member of the body has.
pub(super) fn moment(name: &str, text: &str) -> Result<i64, Problem> {
    time::parse(text).ok_or_else(|| {
        Problem::invalid(format!(
            "{name}: expected a time in RFC 3339 such as 2030-01-31T12:00:00Z, at most \
             9999-12-30T22:00:00Z, got {text:?}"
        ))
    })
}

/// How many identities a page has at most, with or without their facts, and how many are read
/// at a time.
pub(super) const PAGE: i64 = 10_000;
