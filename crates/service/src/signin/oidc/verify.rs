//! Verifies ID tokens
//! ([OpenID Connect Core](https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation)).

use openidconnect::{
    AccessTokenHash, ClientId, Nonce, OAuth2TokenResponse as _, TokenResponse as _,
    core::CoreJwsSigningAlgorithm,
};
use serde_json::Number;

use super::{
    account::Account,
    client::{OidcClient, Tokens},
};
use crate::{describe, time};

/// By how many milliseconds the issuer's clock may be ahead of ours.
const AHEAD: i64 = 60_000;

/// The algorithms that need a key which only the issuer has.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// Verifies the ID token of a response, and returns its subject and the account. The library
/// checks the signature, the issuer, the audience, the nonce and the expiry.
pub(super) fn verify(
    client: &OidcClient,
    client_id: &ClientId,
    tokens: &Tokens,
    nonce: &str,
) -> Result<(String, Account), String> {
    let id_token = tokens.id_token().ok_or("the response has no ID token")?;
    let latest = time::now().saturating_add(AHEAD);
    let checks = client
        .id_token_verifier()
        // Never `none`, nor a MAC with the client secret, whatever the issuer supports.
        .set_allowed_algs(ALGORITHMS)
        .set_issue_time_verifier_fn(move |issued| {
            let ahead = issued.timestamp_millis() > latest;
            if ahead { Err("the ID token is from the future".to_owned()) } else { Ok(()) }
        });
    let claims = id_token
        .claims(&checks, &Nonce::new(nonce.to_owned()))
        .map_err(|error| describe(&error))?;
    let others = claims.additional_claims();
    if others.nbf.as_ref().is_some_and(|it| is_after(it, latest)) {
        return Err("the ID token is not valid yet".to_owned());
    }
    if claims.authorized_party().is_some_and(|it| **it != **client_id) {
        return Err("the ID token was issued to another client".to_owned());
    }
    if let Some(expected) = claims.access_token_hash() {
        let algorithm = id_token.signing_alg().map_err(|error| describe(&error))?;
        let key = id_token.signing_key(&checks).map_err(|error| describe(&error))?;
        let hash = AccessTokenHash::from_token(tokens.access_token(), algorithm, key)
            .map_err(|error| describe(&error))?;
        if hash != *expected {
            return Err("the ID token is for another access token".to_owned());
        }
    }
    let account = Account::new(claims.email(), claims.email_verified(), &others.rest);
    Ok((claims.subject().to_string(), account))
}

/// Whether a time in seconds, which may be a fraction, is later than one in milliseconds.
fn is_after(seconds: &Number, milliseconds: i64) -> bool {
    #[allow(clippy::cast_precision_loss, reason = "such times are far below 2^53")]
    let milliseconds = milliseconds as f64;
    seconds.as_f64().is_none_or(|it| it * 1_000.0 > milliseconds)
}
