//! What handlers read from requests beside what the services share: identities and keys in
//! paths, and conditions.

use axum::{
    extract::FromRequestParts,
    http::{header, request::Parts},
};
pub(crate) use service::request::{Json, Params, limit, tag, tags};
use service::{problem::Problem, request::InPath};

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

/// The condition of a write to a fact, whose entity tags are numbers of changes
/// ([RFC 9110](https://www.rfc-editor.org/rfc/rfc9110#section-13)).
pub(super) struct IfFact(pub(super) Condition);

impl<S: Send + Sync> FromRequestParts<S> for IfFact {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let none_match = tags(&parts.headers, &header::IF_NONE_MATCH)?;
        let some_match = tags(&parts.headers, &header::IF_MATCH)?;
        let condition = match (some_match, none_match) {
            (None, None) => Condition::None,
            (Some(tags), None) if tags == ["*"] => Condition::Present,
            (Some(tags), None) => {
                // A tag that is none of ours matches no fact.
                let number = |tag: &&str| tag.trim_matches('"').parse().ok();
                Condition::Changes(tags.iter().filter_map(number).collect())
            }
            (None, Some(tags)) if tags == ["*"] => Condition::Absent,
            _ => {
                return Err(Problem::invalid(
                    "a write takes either If-Match, or If-None-Match with *",
                ));
            }
        };
        Ok(Self(condition))
    }
}

/// How many identities a page has at most, with or without their facts, and how many are read
/// at a time.
pub(super) const PAGE: i64 = 10_000;
