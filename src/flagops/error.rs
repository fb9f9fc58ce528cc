//! Why a request to the store of facts has failed.

use std::{error::Error, fmt, time::Duration};

use http::StatusCode;

use crate::{
    excerpt::excerpt,
    http::{ClientError, endpoint::EndpointError},
};

/// Why a request to the store of facts has failed, or was not sent.
///
/// No variant contains a token, a value of a fact or a secret.
///
/// ```no_run
/// use flagstaff::flagops::{FactsClient, FactsError, PutFact};
///
/// # async fn example(client: FactsClient) -> Result<(), FactsError> {
/// match client.put_fact("acme-prod", "tier", PutFact::new("gold").if_absent()).await {
///     Ok(version) => println!("created as {version:?}"),
///     Err(FactsError::Conflict(_)) => println!("somebody was faster"),
///     Err(error) => return Err(error),
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FactsError {
    /// An identity, a key or a value cannot exist. Nothing was sent.
    #[error("`{name}` is not a valid {kind}: {reason}")]
    Name {
        /// `identity`, `key` or `fact`.
        kind: &'static str,
        /// The name, shortened.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// The client cannot be used: the URL or the TLS configuration is invalid, or the
    /// token cannot be read.
    #[error("the store of facts cannot be used")]
    Setup(#[source] Box<dyn Error + Send + Sync>),
    /// What the request names does not exist. Reading a fact, facts or secrets that do not
    /// exist is not an error.
    #[error("{0}: it does not exist")]
    NotFound(Rejection),
    /// There is no token, or the store does not accept it: it was revoked, or has expired.
    #[error("{0}: set a valid token")]
    Unauthorized(Rejection),
    /// The token does not have the permission.
    #[error("{0}: the token needs another permission, or another prefix of identities")]
    Forbidden(Rejection),
    /// A condition was not met: somebody else has written meanwhile.
    #[error("{0}: the condition was not met, so read again before you write")]
    Conflict(Rejection),
    /// The store rejects the content of the request.
    #[error("{0}")]
    Invalid(Rejection),
    /// The server cannot do this. The original data store has neither bulk writes,
    /// conditions, expiry, history nor a change stream.
    #[error("{request}: not supported by this server: {reason}")]
    Unsupported {
        /// The method and the URL.
        request: String,
        /// Why not, and what to do.
        reason: &'static str,
    },
    /// The store has failed or is overloaded. It may pass.
    #[error("{rejection}")]
    Unavailable {
        /// The response.
        rejection: Rejection,
        /// The shortest time before another attempt, if the store named one.
        retry_after: Option<Duration>,
    },
    /// The store is unreachable, or did not respond completely in time. The source of the
    /// error says which.
    #[error("the store of facts is unreachable")]
    Unreachable(#[source] ClientError),
    /// The facts were not read in the time that an evaluation waits for them.
    #[error("the store of facts did not respond within {0:?}")]
    Late(Duration),
    /// The response is not what a store of facts sends.
    #[error("{request}: {reason}")]
    Unexpected {
        /// The method and the URL.
        request: String,
        /// What is wrong with the response.
        reason: String,
    },
    /// The store has ended the change stream.
    #[error("the store of facts has ended the change stream: {}", excerpt(.0))]
    Ended(String),
}

/// A response that says no.
///
/// ```no_run
/// use flagstaff::flagops::{FactsClient, FactsError};
///
/// # async fn example(client: FactsClient) {
/// if let Err(FactsError::Invalid(rejection)) = client.put_fact("acme", "tier", "gold").await {
///     println!("{}: {}", rejection.status(), rejection.detail().unwrap_or("no reason"));
/// }
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The method and the URL.
    pub(crate) request: String,
    pub(crate) status: StatusCode,
    /// What the store says about it.
    pub(crate) detail: Option<String>,
    /// The member `code` of the problem details.
    pub(crate) code: Option<String>,
}

impl Rejection {
    /// The status of the response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// What the store says, for people.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// What the store says, for programs, such as `fact_not_found`.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} returned {}", excerpt(&self.request), self.status)?;
        match &self.detail {
            Some(detail) => write!(f, " ({})", excerpt(detail)),
            None => Ok(()),
        }
    }
}

impl FactsError {
    /// Whether the same request may succeed later without anybody acting.
    ///
    /// ```no_run
    /// # fn example(error: flagstaff::flagops::FactsError) {
    /// if error.is_temporary() {
    ///     println!("trying again in a minute");
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::Late(_) | Self::Ended(_) => true,
            Self::Unreachable(error) => {
                !matches!(error, ClientError::NoAuthorities(_) | ClientError::Insecure(_))
            }
            _ => false,
        }
    }
}

impl From<EndpointError> for FactsError {
    fn from(error: EndpointError) -> Self {
        Self::Setup(Box::new(error))
    }
}
