//! Sign-in with GitHub: an OAuth app, which gets the user from the API.

use axum::http::{HeaderValue, Request, StatusCode, header};
use flagstaff::http::Client;
use oauth2::{
    AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet, EndpointSet,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope, TokenResponse as _, TokenUrl,
    basic::BasicClient, url::Url,
};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    attempt::Attempt,
    failure::Failure,
    options::{GithubOptions, SignInError, address},
    send,
};
use crate::access::Profile;

/// For people and errors.
pub(super) const NAME: &str = "GitHub";

type Oauth = BasicClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;

/// An OAuth app of GitHub.
pub(super) struct Github {
    oauth: Oauth,
    http: Client,
    api: Url,
    organizations: Vec<String>,
    teams: Vec<(String, String)>,
    users: Vec<String>,
}

#[derive(Deserialize)]
struct User {
    id: u64,
    login: String,
}

#[derive(Deserialize)]
struct Address {
    email: String,
    primary: bool,
    verified: bool,
}

#[derive(Deserialize)]
struct Membership {
    state: String,
}

impl Github {
    pub(super) fn new(
        options: &GithubOptions,
        redirect: RedirectUrl,
        http: Client,
    ) -> Result<Self, SignInError> {
        let GithubOptions { client_id, client_secret, url, api_url, organizations, teams, users } =
            options;
        if organizations.is_empty() && teams.is_empty() && users.is_empty() {
            return Err(SignInError::NoLimit {
                provider: NAME,
                remedy: "the organizations, teams or users that may sign in",
            });
        }
        let names = organizations.iter().chain(users).map(|it| (it, "user or organization"));
        for (name, option) in names {
            name_of(option, name, name)?;
        }
        let teams = teams.iter().map(|team| {
            let (organization, name) = team.split_once('/').unwrap_or((team, ""));
            name_of("team", team, organization)?;
            name_of("team", team, name)?;
            Ok((organization.to_owned(), name.to_owned()))
        });
        let url = address("the address of GitHub", url)?;
        let oauth = BasicClient::new(ClientId::new(client_id.clone()))
            .set_client_secret(ClientSecret::new(client_secret.expose_secret().to_owned()))
            .set_auth_uri(AuthUrl::from_url(path(&url, &["login", "oauth", "authorize"])))
            .set_token_uri(TokenUrl::from_url(path(&url, &["login", "oauth", "access_token"])))
            // GitHub documents these parameters, and not the header.
            .set_auth_type(oauth2::AuthType::RequestBody)
            .set_redirect_uri(redirect);
        Ok(Self {
            oauth,
            http,
            api: address("the address of GitHub's API", api_url)?,
            organizations: organizations.clone(),
            teams: teams.collect::<Result<_, SignInError>>()?,
            users: users.clone(),
        })
    }

    /// Where to send the browser.
    pub(super) fn authorize(&self, attempt: &Attempt) -> Url {
        let verifier = PkceCodeVerifier::new(attempt.verifier.clone());
        let state = attempt.state.clone();
        let (url, _) = self
            .oauth
            .authorize_url(move || CsrfToken::new(state))
            .add_scope(Scope::new("read:org".to_owned()))
            .add_scope(Scope::new("user:email".to_owned()))
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
            .url();
        url
    }

    /// Who has signed in, if they may.
    pub(super) async fn profile(
        &self,
        attempt: &Attempt,
        code: String,
    ) -> Result<Profile, Failure> {
        let http = |request| send(self.http.clone(), request);
        let token = self
            .oauth
            .exchange_code(AuthorizationCode::new(code))
            .set_pkce_verifier(PkceCodeVerifier::new(attempt.verifier.clone()))
            .request_async(&http)
            .await
            .map_err(|error| Failure::exchange(NAME, error))?;
        let token = token.access_token().secret();
        let user: User = self.get(token, &["user"]).await?.ok_or_else(|| {
            Failure::Unconfirmed(NAME.to_owned(), "the API did not return the user".to_owned())
        })?;
        if !self.allows(token, &user.login).await? {
            return Err(Failure::NotAllowed(format!(
                "the GitHub account {:?} may not sign in here: ask an administrator of this \
                 service to let it in, by its name, its team or its organization; an organization \
                 must also have approved this app",
                user.login
            )));
        }
        let emails: Option<Vec<Address>> = self.get(token, &["user", "emails"]).await?;
        let email = emails.into_iter().flatten().find(|it| it.primary && it.verified);
        Ok(Profile {
            provider: "github".to_owned(),
            issuer: self.api.to_string(),
            subject: user.id.to_string(),
            login: user.login,
            email: email.map_or_else(String::new, |it| it.email),
        })
    }

    /// Whether an account may sign in.
    async fn allows(&self, token: &str, login: &str) -> Result<bool, Failure> {
        if self.users.iter().any(|it| it.eq_ignore_ascii_case(login)) {
            return Ok(true);
        }
        for organization in &self.organizations {
            if self.is_member(token, &["user", "memberships", "orgs", organization]).await? {
                return Ok(true);
            }
        }
        for (organization, team) in &self.teams {
            let path = ["orgs", organization, "teams", team, "memberships", login];
            if self.is_member(token, &path).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether there is a membership that has been accepted.
    async fn is_member(&self, token: &str, path: &[&str]) -> Result<bool, Failure> {
        let membership: Option<Membership> = self.get(token, path).await?;
        Ok(membership.is_some_and(|it| it.state == "active"))
    }

    /// What the API has at a path. `None`: nothing, or nothing that the token may see.
    async fn get<T: DeserializeOwned>(
        &self,
        token: &str,
        segments: &[&str],
    ) -> Result<Option<T>, Failure> {
        let unconfirmed = |why: String| {
            Failure::Unconfirmed(NAME.to_owned(), format!("/{}: {why}", segments.join("/")))
        };
        let mut url = path(&self.api, segments);
        url.set_query(Some("per_page=100"));
        let bearer = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| unconfirmed("the token is not text".to_owned()))?;
        let request = Request::get(url.as_str())
            .header(header::AUTHORIZATION, bearer)
            .header(header::ACCEPT, "application/vnd.github+json")
            .header("x-github-api-version", "2022-11-28")
            .body(Vec::new())
            .map_err(|error| unconfirmed(error.to_string()))?;
        let response = send(self.http.clone(), request)
            .await
            .map_err(|error| Failure::Unreachable(NAME.to_owned(), error.into()))?;
        match response.status() {
            StatusCode::OK => serde_json::from_slice(response.body())
                .map(Some)
                .map_err(|error| unconfirmed(error.to_string())),
            StatusCode::NOT_FOUND | StatusCode::FORBIDDEN => {
                tracing::info!(status = %response.status(), path = segments.join("/"), "GitHub's API has nothing");
                Ok(None)
            }
            status => Err(unconfirmed(format!("the status is {status}"))),
        }
    }
}

/// A URL with more segments in its path.
fn path(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    // Only a URL that cannot be a base has no segments, and `http` URLs can.
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

/// Checks the name of an account.
fn name_of(option: &'static str, value: &str, name: &str) -> Result<(), SignInError> {
    let valid = name.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_".contains(&it));
    if valid && !name.is_empty() {
        return Ok(());
    }
    let reason = if option == "team" {
        "expected organization/team, as in the address of the team's page"
    } else {
        "expected letters, digits and hyphens"
    };
    Err(SignInError::Option { option, value: value.to_owned(), reason })
}
