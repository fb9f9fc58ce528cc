//! Secrets.

use std::collections::BTreeMap;

use axum::{
    Json as Body,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use service::{access::Principal, problem::Problem};

use super::{
    facts::number_tag,
    request::{Identity, IfFact, Json, Named},
};
use crate::{fact::Context, store::Store};

const READ: &str = "secrets-read";
const WRITE: &str = "secrets-write";

/// Secrets must not stay in any cache.
const NO_STORE: (header::HeaderName, HeaderValue) =
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));

/// `GET /secret/{identity}`: the secrets of an identity.
pub(super) async fn read(
    State(store): State<Store>,
    principal: Principal,
    Identity(identity): Identity,
) -> Result<Response, Problem> {
    principal.require_for(READ, &identity)?;
    let context = Context::new(principal.name());
    let secrets = store.secrets().read(store.storage(), context, identity).await?;
    let exposed: BTreeMap<&str, &str> =
        secrets.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
    Ok(([NO_STORE], Body(exposed)).into_response())
}

/// `GET /secret/{identity}/{key}`: one secret.
pub(super) async fn read_one(
    State(store): State<Store>,
    principal: Principal,
    Named { identity, key }: Named,
) -> Result<Response, Problem> {
    principal.require_for(READ, &identity)?;
    let context = Context::new(principal.name());
    let read = store.secrets().one(store.storage(), context, identity, key.clone());
    let (value, change) = read.await?;
    let body = Body(BTreeMap::from([(key.as_str(), value.expose_secret())]));
    Ok(([NO_STORE, (header::ETAG, number_tag(change))], body).into_response())
}

/// A new secret, as it is written.
#[derive(Deserialize)]
pub(super) struct NewSecret {
    #[serde(alias = "Value", alias = "VALUE")]
    value: SecretString,
}

/// `PUT /secret/{identity}/{key}`: writes a secret.
pub(super) async fn write(
    State(store): State<Store>,
    principal: Principal,
    Named { identity, key }: Named,
    IfFact(condition): IfFact,
    Json(new): Json<NewSecret>,
) -> Result<Response, Problem> {
    principal.require_for(WRITE, &identity)?;
    let context = Context::new(principal.name());
    let change = store
        .secrets()
        .put(store.storage(), context, (identity, key), new.value, condition)
        .await?;
    Ok([(header::ETAG, number_tag(change))].into_response())
}

/// `DELETE /secret/{identity}/{key}`: removes a secret.
pub(super) async fn delete(
    State(store): State<Store>,
    principal: Principal,
    Named { identity, key }: Named,
    IfFact(condition): IfFact,
) -> Result<(), Problem> {
    principal.require_for(WRITE, &identity)?;
    let context = Context::new(principal.name());
    store.secrets().delete(store.storage(), context, (identity, key), condition).await
}
