//! Secrets in AWS Secrets Manager, as the original keeps them: one secret of AWS for each
//! identity, which is a JSON object of strings.
//!
//! AWS has no conditional write, so whoever changes the object holds a lease in the database.
//! The identity `acme` is also locked in the process, so that its writers wait in a queue
//! rather than for the lease.

mod name;
mod write;

use std::collections::BTreeMap;

use aws_config::{BehaviorVersion, timeout::TimeoutConfig};
use aws_sdk_secretsmanager::{
    Client,
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
    operation::get_secret_value::GetSecretValueError,
    types::{Filter, FilterNameStringType},
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use axum::http::StatusCode;
use ring::{digest, rand::SecureRandom as _};
use secrecy::{ExposeSecret as _, SecretString};
use service::problem::Problem;
use std::{error::Error, time::Duration};

pub(super) use self::write::Edit;
use self::{name::escape, write::Turns};
use super::{KeysError, unavailable};

/// How long a connection may take, and a call with its repetitions.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// AWS Secrets Manager.
pub struct SecretsManager {
    client: Client,
    recovery_days: i64,
    turns: Turns,
}

/// AWS Secrets Manager cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AwsError {
    /// Nothing says where it is.
    #[error("no region of AWS is configured: set AWS_REGION")]
    NoRegion,
    /// A call fails.
    #[error("cannot list secrets in AWS Secrets Manager: {0}")]
    Unavailable(String),
    /// The system has no random numbers.
    #[error(transparent)]
    NoRandom(KeysError),
}

/// What AWS has for an identity.
enum State {
    Missing,
    /// It will be deleted when its recovery window is over.
    Deleted,
    Present(Object),
}

/// The secrets of an identity.
struct Object {
    secrets: BTreeMap<String, SecretString>,
    version: String,
}

impl Object {
    /// The number of its version, which serves as the entity tag of each secret in it: a
    /// change of one changes the tags of all.
    fn number(&self) -> i64 {
        number(&self.version)
    }
}

/// A number for an id that AWS gave a version.
fn number(version: &str) -> i64 {
    let hash = digest::digest(&digest::SHA256, version.as_bytes());
    let first = hash.as_ref().first_chunk().copied().unwrap_or_default();
    i64::from_be_bytes(first) & i64::MAX
}

impl SecretsManager {
    /// Takes region and credentials from where programs of AWS do: variables, profiles, the
    /// role of a service account, a container or a machine.
    ///
    /// # Errors
    ///
    /// Nothing says which region.
    pub async fn connect(recovery_days: i64) -> Result<Self, AwsError> {
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https();
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_timeout(CALL_TIMEOUT)
            .build();
        let config = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .http_client(http)
            .timeout_config(timeouts)
            .load()
            .await;
        if config.region().is_none() {
            return Err(AwsError::NoRegion);
        }
        let mut id = [0; 8];
        ring::rand::SystemRandom::new()
            .fill(&mut id)
            .map_err(|_| AwsError::NoRandom(KeysError::NoRandom))?;
        let owner = format!("{:016x}", u64::from_be_bytes(id));
        Ok(Self { client: Client::new(&config), recovery_days, turns: Turns::new(owner) })
    }

    /// Checks that it can be reached with these credentials.
    ///
    /// # Errors
    ///
    /// It cannot.
    pub async fn check(&self) -> Result<(), AwsError> {
        let listed = self.client.list_secrets().max_results(1).send().await;
        listed
            .map(drop)
            .map_err(|error| AwsError::Unavailable(DisplayErrorContext(&error).to_string()))
    }

    /// The secrets of an identity and the number of their version; `None` if it has none.
    pub(super) async fn read(
        &self,
        identity: &str,
    ) -> Result<Option<(BTreeMap<String, SecretString>, i64)>, Problem> {
        match self.state(identity).await? {
            State::Present(object) if !object.secrets.is_empty() => {
                let number = object.number();
                Ok(Some((object.secrets, number)))
            }
            _ => Ok(None),
        }
    }

    /// The identities that have secrets and begin with a prefix, in order. Those that will be
    /// deleted are not among them.
    pub(super) async fn identities(&self, prefix: &str) -> Result<Vec<String>, Problem> {
        let filter =
            Filter::builder().key(FilterNameStringType::Name).values(escape(prefix)).build();
        let pages = self.client.list_secrets().filters(filter).max_results(100).into_paginator();
        let mut pages = pages.send();
        let mut identities = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failed("ListSecrets", &error))?;
            let names = page.secret_list().iter().filter_map(|it| it.name());
            // What the filter lets through need not begin with the prefix of ours.
            identities.extend(
                names.filter_map(name::unescape).filter(|identity| identity.starts_with(prefix)),
            );
        }
        identities.sort_unstable();
        identities.dedup();
        Ok(identities)
    }

    async fn state(&self, identity: &str) -> Result<State, Problem> {
        let name = escape(identity);
        let found = self.client.get_secret_value().secret_id(&name).send().await;
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                return match error.as_service_error() {
                    Some(GetSecretValueError::ResourceNotFoundException(_)) => Ok(State::Missing),
                    Some(GetSecretValueError::InvalidRequestException(_))
                        if self.is_deleted(&name).await? =>
                    {
                        Ok(State::Deleted)
                    }
                    _ => Err(failed("GetSecretValue", &error)),
                };
            }
        };
        let Some(text) = found.secret_string() else {
            return Err(unreadable(&name, "is binary"));
        };
        // The message of the parser would quote values.
        let secrets = serde_json::from_str(text)
            .map_err(|_| unreadable(&name, "is not a JSON object of strings"))?;
        Ok(State::Present(Object {
            secrets,
            version: found.version_id().unwrap_or_default().to_owned(),
        }))
    }

    /// Whether a secret of AWS is scheduled for deletion.
    async fn is_deleted(&self, name: &str) -> Result<bool, Problem> {
        let described = self.client.describe_secret().secret_id(name).send().await;
        match described {
            Ok(secret) => Ok(secret.deleted_date().is_some()),
            Err(error) => Err(failed("DescribeSecret", &error)),
        }
    }
}

/// The object as AWS stores it.
fn serialize(secrets: &BTreeMap<String, SecretString>) -> Result<String, Problem> {
    let exposed: BTreeMap<&str, &str> =
        secrets.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
    serde_json::to_string(&exposed)
        .map_err(|_| Problem::invalid("the value cannot be written as JSON"))
}

/// The client learns whether to try again, and the log what AWS said.
fn failed<E>(call: &'static str, error: &SdkError<E>) -> Problem
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let context = DisplayErrorContext(error);
    tracing::error!(call, error = %context, "AWS Secrets Manager failed");
    let is_rejected = match error {
        SdkError::ServiceError(service) => {
            service.raw().status().is_client_error()
                && !error.code().is_some_and(|code| code.contains("Throttling"))
        }
        _ => false,
    };
    if is_rejected {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "secrets_rejected",
            format!("AWS Secrets Manager rejected {call}: the log of the server says why"),
        )
    } else {
        unavailable()
    }
}

fn unreadable(name: &str, reason: &str) -> Problem {
    tracing::error!(name, reason, "a secret of AWS Secrets Manager cannot be used");
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "secret_unreadable",
        format!("the secret {name:?} in AWS Secrets Manager {reason}: repair or delete it there"),
    )
}
