//! What a service has to say about the sign-in.

use std::fmt;

use flagstaff::http::{ClientBuilder, ClientError};
use openidconnect::url::{Host, Url};
use secrecy::SecretString;

/// The path of the redirect URI of an issuer of OpenID Connect, unless it is another.
pub(super) const OIDC_CALLBACK: &str = "/auth/oidc/callback";

/// The options of [`SignIn`](super::SignIn).
#[derive(Clone, Debug)]
pub struct SignInOptions {
    /// The name of the service, for the pages.
    pub service: String,
    /// Sign-in with GitHub.
    pub github: Option<GithubOptions>,
    /// Sign-in with an issuer of OpenID Connect.
    pub oidc: Option<OidcOptions>,
    /// How providers are reached: proxy and certification authorities. Redirects, sizes and
    /// times are limited whatever it says.
    pub client: ClientBuilder,
    /// How many steps of a sign-in a client address may take in a minute; each sign-in has two.
    /// 0: as many as it likes. See [`Limit`](crate::limit::Limit).
    pub steps_per_minute: u32,
}

impl Default for SignInOptions {
    fn default() -> Self {
        Self {
            service: String::new(),
            github: None,
            oidc: None,
            client: ClientBuilder::default(),
            steps_per_minute: 60,
        }
    }
}

/// Sign-in with GitHub, for the members of organizations, the members of teams, and users.
#[derive(Clone, Debug)]
pub struct GithubOptions {
    /// The client id of the OAuth app. Its callback URL is the public URL of the service with
    /// the path `/auth/github/callback`.
    pub client_id: String,
    /// The client secret of the OAuth app.
    pub client_secret: SecretString,
    /// The address of GitHub.
    pub url: String,
    /// The address of its API, which for GitHub Enterprise Server ends in `/api/v3`.
    pub api_url: String,
    /// Members of these organizations may sign in.
    pub organizations: Vec<String>,
    /// Members of these teams may sign in, each written as `organization/team`.
    pub teams: Vec<String>,
    /// The users with these logins may sign in.
    pub users: Vec<String>,
}

impl GithubOptions {
    /// Sign-in with github.com. Who may sign in has to be added.
    #[must_use]
    pub fn new(client_id: impl Into<String>, client_secret: SecretString) -> Self {
        Self {
            client_id: client_id.into(),
            client_secret,
            url: "https://github.com".to_owned(),
            api_url: "https://api.github.com".to_owned(),
            organizations: Vec::new(),
            teams: Vec::new(),
            users: Vec::new(),
        }
    }
}

/// Sign-in with an issuer of OpenID Connect, such as Google, for those with a verified e-mail
/// address in some domains, and those with a claim.
#[derive(Clone, Debug)]
pub struct OidcOptions {
    /// The name of the issuer, for the pages.
    pub name: String,
    /// The issuer, exactly as in its discovery document.
    pub issuer: String,
    /// The client id.
    pub client_id: String,
    /// The path of the redirect URI, which begins with the public URL of the service:
    /// `/auth/oidc/callback`, or another one that the service has no route for.
    pub callback: String,
    /// The client secret, unless the client is public.
    pub client_secret: Option<SecretString>,
    /// The scopes to request beside `openid`.
    pub scopes: Vec<String>,
    /// Those with a verified e-mail address in one of these domains may sign in. Where the
    /// issuer says to which organization an account belongs (`hd`), that counts as well; Google
    /// says it of each account that belongs to one.
    pub domains: Vec<String>,
    /// Those with one of these values in a claim may sign in.
    pub claim: Option<Claim>,
}

/// A claim and those of its values that let somebody sign in. The claim is a string or an array
/// of strings.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The name of the claim, such as `groups`.
    pub name: String,
    /// The values.
    pub values: Vec<String>,
}

impl OidcOptions {
    /// Sign-in with an issuer. Who may sign in has to be added.
    #[must_use]
    pub fn new(
        issuer: impl Into<String>,
        client_id: impl Into<String>,
        client_secret: Option<SecretString>,
    ) -> Self {
        Self {
            name: "single sign-on".to_owned(),
            issuer: issuer.into(),
            client_id: client_id.into(),
            callback: OIDC_CALLBACK.to_owned(),
            client_secret,
            scopes: vec!["email".to_owned(), "profile".to_owned()],
            domains: Vec::new(),
            claim: None,
        }
    }
}

/// Options of the sign-in that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignInError {
    /// People have no sessions.
    #[error("people cannot sign in without sessions: use `Access::with_sessions`")]
    NoSessions,
    /// Everybody could sign in.
    #[error("everybody with an account at {provider} could sign in: set {remedy}")]
    NoLimit {
        /// With whom.
        provider: &'static str,
        /// What limits it.
        remedy: &'static str,
    },
    /// An option is invalid.
    #[error("{option} {value:?}: {reason}")]
    Option {
        /// What it is.
        option: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The HTTP client cannot be set up.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// Reads the address of a provider: `https`, or `http` on loopback.
pub(super) fn address(option: &'static str, value: &str) -> Result<Url, SignInError> {
    let invalid = |value: &dyn fmt::Display, reason| {
        Err(SignInError::Option { option, value: value.to_string(), reason })
    };
    let Ok(url) = Url::parse(value) else {
        return invalid(&value, "expected a URL");
    };
    if !url.username().is_empty() || url.password().is_some() {
        return invalid(&url.host_str().unwrap_or_default(), "expected no user name");
    }
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => Ok(url),
        "http" if loopback => Ok(url),
        _ => invalid(&value, "expected a URL that begins with https://"),
    }
}
