//! What handlers read from requests: names in paths, JSON, queries and conditions, with
//! problem details for what is wrong with them.

use axum::{
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{HeaderMap, HeaderName, StatusCode, header, request::Parts},
};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use service::problem::Problem;

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
        let Path(identity): Path<String> = path(parts, state).await?;
        name::identity(&identity)?;
        Ok(Self(identity))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path((identity, key)): Path<(String, String)> = path(parts, state).await?;
        name::identity(&identity)?;
        name::key(&key)?;
        Ok(Self { identity, key })
    }
}

async fn path<T, S>(parts: &mut Parts, state: &S) -> Result<Path<T>, Problem>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    let path = Path::from_request_parts(parts, state).await;
    path.map_err(|error| Problem::invalid(format!("the path is invalid: {error}")))
}

/// A number in the path.
pub(crate) struct Number(pub(crate) u64);

impl<S: Send + Sync> FromRequestParts<S> for Number {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        path(parts, state).await.map(|Path(number)| Self(number))
    }
}

/// A body of JSON, whatever its media type is called.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let body = Bytes::from_request(request, state).await.map_err(|error| {
            let status = error.status();
            if status == StatusCode::PAYLOAD_TOO_LARGE {
                let detail = format!("the body has more than {} bytes", super::MAX_BODY);
                Problem::new(status, "body_too_large", detail)
            } else {
                Problem::invalid(format!("cannot read the body: {error}"))
            }
        })?;
        let value = serde_json::from_slice(&body);
        value.map(Self).map_err(|error| Problem::invalid(format!("invalid JSON: {error}")))
    }
}

/// The parameters after the question mark.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::from_request_parts(parts, state).await;
        let invalid = |error| Problem::invalid(format!("the query is invalid: {error}"));
        query.map(|Query(params)| Self(params)).map_err(invalid)
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

/// The entity tags in a header, with their quotation marks.
pub(super) fn tags<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<Vec<&'a str>>, Problem> {
    let mut tags = None;
    for value in headers.get_all(name) {
        let invalid = |_| Problem::invalid(format!("the header {name} is invalid"));
        let value = value.to_str().map_err(invalid)?;
        tags.get_or_insert_with(Vec::new).extend(value.split(',').map(str::trim));
    }
    Ok(tags)
}

/// How many identities a page has at most, with or without their facts, and how many are read
/// at a time.
pub(super) const PAGE: i64 = 10_000;

/// How many entries a page has.
pub(super) fn limit(asked: Option<i64>, most: i64) -> Result<i64, Problem> {
    match asked {
        None => Ok(most),
        Some(limit @ 1..) if limit <= most => Ok(limit),
        Some(_) => Err(Problem::invalid(format!("the limit is a number from 1 to {most}"))),
    }
}
