//! Sign-in with an issuer of [OpenID Connect](https://openid.net/specs/openid-connect-core-1_0.html).

mod account;
mod client;
mod verify;

use std::{fmt::Display, sync::Arc, time::Duration};

use flagstaff::http::Client as Http;
use openidconnect::{
    AuthType, AuthorizationCode, Client, ClientId, ClientSecret, CsrfToken, IssuerUrl, Nonce,
    OAuth2TokenResponse as _, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope,
    SubjectIdentifier, UserInfoError,
    core::{CoreAuthenticationFlow, CoreClientAuthMethod, CoreProviderMetadata},
    url::Url,
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::{sync::Mutex, time::Instant};

use self::{
    account::{Account, Limit},
    client::{OidcClient, Tokens, UserInfo},
    verify::verify,
};
use super::{
    attempt::Attempt,
    failure::Failure,
    options::{OidcOptions, SignInError, address},
    send,
};
use crate::{access::Profile, describe};

/// How long the discovery document and the keys of an issuer are used.
const DISCOVERED: Duration = Duration::from_hours(1);

const GOOGLE: &str = "https://accounts.google.com";

/// An issuer.
pub(super) struct Oidc {
    name: String,
    issuer: IssuerUrl,
    client_id: ClientId,
    client_secret: Option<SecretString>,
    redirect: RedirectUrl,
    scopes: Vec<String>,
    limit: Limit,
    http: Http,
    /// One request fetches it, the others wait.
    discovered: Mutex<Option<(Instant, Arc<CoreProviderMetadata>)>>,
}

impl Oidc {
    pub(super) fn new(
        options: &OidcOptions,
        redirect: RedirectUrl,
        http: Http,
    ) -> Result<Self, SignInError> {
        let OidcOptions {
            name,
            issuer,
            client_id,
            callback: _,
            client_secret,
            scopes,
            domains,
            claim,
        } = options.clone();
        if domains.is_empty() && claim.as_ref().is_none_or(|it| it.values.is_empty()) {
            return Err(SignInError::NoLimit {
                provider: "the issuer",
                remedy: "the domains of e-mail addresses, or a claim with its values",
            });
        }
        for domain in &domains {
            if domain.is_empty() || domain.contains('@') {
                return Err(SignInError::Option {
                    option: "domain",
                    value: domain.clone(),
                    reason: "expected the part of an e-mail address after the @",
                });
            }
        }
        address("issuer", &issuer)?;
        let issuer = IssuerUrl::new(issuer.clone()).map_err(|_| SignInError::Option {
            option: "issuer",
            value: issuer,
            reason: "expected a URL",
        })?;
        let limit = Limit { domains, claim, demands_hd: issuer.as_str() == GOOGLE };
        Ok(Self {
            name,
            issuer,
            client_id: ClientId::new(client_id),
            client_secret,
            redirect,
            scopes,
            limit,
            http,
            discovered: Mutex::default(),
        })
    }

    /// Its name for people and errors.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Its discovery document and keys, no older than `age`. Old ones are better than none.
    async fn discover(&self, age: Duration) -> Result<Arc<CoreProviderMetadata>, Failure> {
        let mut discovered = self.discovered.lock().await;
        if let Some((at, metadata)) = &*discovered
            && at.elapsed() < age
        {
            return Ok(Arc::clone(metadata));
        }
        let http = |request| send(self.http.clone(), request);
        let found = CoreProviderMetadata::discover_async(self.issuer.clone(), &http).await;
        match (found, &*discovered) {
            (Ok(metadata), _) => {
                let metadata = Arc::new(metadata);
                *discovered = Some((Instant::now(), Arc::clone(&metadata)));
                Ok(metadata)
            }
            (Err(error), Some((_, old))) => {
                tracing::warn!(error = describe(&error), issuer = %*self.issuer, "cannot refresh an issuer's keys");
                Ok(Arc::clone(old))
            }
            (Err(error), None) => Err(Failure::Unreachable(self.name.clone(), error.into())),
        }
    }

    fn client(&self, metadata: &CoreProviderMetadata) -> OidcClient {
        let secret = self.client_secret.as_ref();
        let secret = secret.map(|it| ClientSecret::new(it.expose_secret().to_owned()));
        // Basic authentication is the default of both the protocol and the library.
        let methods = metadata.token_endpoint_auth_methods_supported();
        let basic = methods.is_none_or(|it| it.contains(&CoreClientAuthMethod::ClientSecretBasic));
        let auth = if basic { AuthType::BasicAuth } else { AuthType::RequestBody };
        Client::from_provider_metadata(metadata.clone(), self.client_id.clone(), secret)
            .set_auth_type(auth)
            .set_redirect_uri(self.redirect.clone())
    }

    /// Where to send the browser.
    pub(super) async fn authorize(&self, attempt: &Attempt) -> Result<Url, Failure> {
        let metadata = self.discover(DISCOVERED).await?;
        let client = self.client(&metadata);
        let (state, nonce) = (attempt.state.clone(), attempt.nonce.clone());
        let verifier = PkceCodeVerifier::new(attempt.verifier.clone());
        let mut request = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                move || CsrfToken::new(state),
                move || Nonce::new(nonce),
            )
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
        for scope in &self.scopes {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        if let (true, [domain]) = (self.limit.demands_hd, &self.limit.domains[..]) {
            // Google then offers the accounts of that organization only.
            request = request.add_extra_param("hd", domain.clone());
        }
        let (url, _, _) = request.url();
        address("the authorization endpoint", url.as_str())
            .map_err(|error| self.unconfirmed(&error))?;
        Ok(url)
    }

    /// Who has signed in, if they may. `issuer` is what the response says of itself
    /// ([RFC 9207](https://www.rfc-editor.org/rfc/rfc9207)).
    pub(super) async fn profile(
        &self,
        attempt: &Attempt,
        code: String,
        issuer: Option<&str>,
    ) -> Result<Profile, Failure> {
        if issuer.is_some_and(|it| it != self.issuer.as_str()) {
            return Err(self.unconfirmed(&"the response is from another issuer"));
        }
        let metadata = self.discover(DISCOVERED).await?;
        let http = |request| send(self.http.clone(), request);
        let tokens = self
            .client(&metadata)
            .exchange_code(AuthorizationCode::new(code))
            .map_err(|error| self.unconfirmed(&error))?
            .set_pkce_verifier(PkceCodeVerifier::new(attempt.verifier.clone()))
            .request_async(&http)
            .await
            .map_err(|error| Failure::exchange(&self.name, error))?;
        let verify = |metadata: &CoreProviderMetadata| {
            verify(&self.client(metadata), &self.client_id, &tokens, &attempt.nonce)
        };
        let verified = match verify(&metadata) {
            // The issuer may have new keys.
            Err(_) => verify(&*self.discover(Duration::ZERO).await?),
            verified => verified,
        };
        let (subject, mut account) = verified.map_err(|why| self.unconfirmed(&why))?;
        if self.limit.needs_more(&account) {
            account.add(self.user_info(&metadata, &tokens, &subject).await?);
        }
        if !self.limit.allows(&account) {
            let who = account.email.as_deref().unwrap_or("without a verified e-mail address");
            return Err(Failure::NotAllowed(format!(
                "the account {who} may not sign in here: use another account, or ask an \
                 administrator of this service to let it in, by the domain of its verified e-mail \
                 address or by a claim of the issuer"
            )));
        }
        let email = account.email.unwrap_or_default();
        Ok(Profile {
            provider: "oidc".to_owned(),
            issuer: self.issuer.to_string(),
            // Not `preferred_username`: at many issuers, people choose it themselves.
            login: if email.is_empty() { subject.clone() } else { email.clone() },
            subject,
            email,
        })
    }

    /// What the issuer says of an account beside the ID token, if anything.
    async fn user_info(
        &self,
        metadata: &CoreProviderMetadata,
        tokens: &Tokens,
        subject: &str,
    ) -> Result<Account, Failure> {
        let subject = SubjectIdentifier::new(subject.to_owned());
        let client = self.client(metadata);
        let Ok(request) = client.user_info(tokens.access_token().clone(), Some(subject)) else {
            return Ok(Account::default());
        };
        let http = |request| send(self.http.clone(), request);
        let claims: UserInfo = request.request_async(&http).await.map_err(|error| match error {
            UserInfoError::Request(source) => {
                Failure::Unreachable(self.name.clone(), source.into())
            }
            // Its text may repeat the response.
            _ => self.unconfirmed(&"the user info endpoint has no valid response"),
        })?;
        let others = &claims.additional_claims().rest;
        Ok(Account::new(claims.email(), claims.email_verified(), others))
    }

    fn unconfirmed(&self, why: &dyn Display) -> Failure {
        Failure::Unconfirmed(self.name.clone(), why.to_string())
    }
}
