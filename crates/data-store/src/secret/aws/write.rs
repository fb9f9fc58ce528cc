//! Changing the secrets of an identity in AWS: read, change, write, under a lease.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
    time::Duration,
};

use aws_sdk_secretsmanager::operation::{
    create_secret::CreateSecretError, delete_secret::DeleteSecretError,
};
use axum::http::StatusCode;
use secrecy::SecretString;
use service::{
    audit, lease,
    problem::Problem,
    storage::{Storage, StorageError},
    time,
};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep, timeout},
};

use super::{Object, SecretsManager, State, failed, name::escape, number, serialize};
use crate::{
    fact::{Condition, Context},
    secret::{identity_not_found, unavailable},
};

/// The longest object, in bytes.
const MAX_OBJECT: usize = 64 << 10;

/// How long a lease lasts, and how long its owner works at most, which is enough for all calls of
/// a change: a call that was given up may still arrive for a while.
const LEASE: Duration = Duration::from_secs(45);
const WORK: Duration = Duration::from_secs(35);
/// How long a writer waits for its turn, and how often it asks for the lease of another replica.
const WAIT: Duration = Duration::from_secs(15);
const ASK: Duration = Duration::from_millis(25);

/// Among how many locks the identities are divided.
const LOCKS: usize = 64;

/// A change of the secrets of an identity.
pub(in crate::secret) enum Edit {
    Put { name: String, value: SecretString, condition: Condition },
    Remove { name: String, condition: Condition },
    Erase,
}

impl Edit {
    /// The event of the audit. An erasure is recorded with that of the facts.
    fn event(&self, identity: &str) -> Option<(&'static str, String)> {
        match self {
            Self::Put { name, .. } => Some(("secret.write", format!("{identity}/{name}"))),
            Self::Remove { name, .. } => Some(("secret.delete", format!("{identity}/{name}"))),
            Self::Erase => None,
        }
    }
}

/// Whose turn it is, among the writers of this process.
pub(super) struct Turns {
    /// The name of this process in leases.
    owner: String,
    locks: Vec<Mutex<()>>,
    hasher: RandomState,
}

impl Turns {
    pub(super) fn new(owner: String) -> Self {
        let locks = (0..LOCKS).map(|_| Mutex::default()).collect();
        Self { owner, locks, hasher: RandomState::new() }
    }

    fn of(&self, identity: &str) -> &Mutex<()> {
        let hash = self.hasher.hash_one(identity);
        // The remainder is less than the length, which is no more than a usize holds.
        &self.locks[usize::try_from(hash % LOCKS as u64).unwrap_or(0)]
    }
}

impl SecretsManager {
    /// Makes a change. Returns the number of the new version; `None`: nothing was to be done.
    pub(in crate::secret) async fn write(
        self: &Arc<Self>,
        storage: &Storage,
        context: Context,
        identity: String,
        edit: Edit,
    ) -> Result<Option<i64>, Problem> {
        let (manager, storage) = (Arc::clone(self), storage.clone());
        // If the client disconnects, the change is finished and the lease released all the same.
        let task = tokio::spawn(async move {
            manager.write_in_turn(&storage, context, &identity, &edit).await
        });
        task.await.unwrap_or_else(|_| {
            Err(Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "an internal error, which the log of the server describes",
            ))
        })
    }

    async fn write_in_turn(
        &self,
        storage: &Storage,
        context: Context,
        identity: &str,
        edit: &Edit,
    ) -> Result<Option<i64>, Problem> {
        let deadline = Instant::now() + WAIT;
        let lock = self.turns.of(identity);
        let Ok(_turn) = tokio::time::timeout_at(deadline, lock.lock()).await else {
            return Err(busy());
        };
        let lease = format!("secrets/{identity}");
        while !self.take(storage, &lease).await? {
            if Instant::now() > deadline {
                return Err(busy());
            }
            sleep(ASK).await;
        }
        let result = timeout(WORK, self.apply(identity, edit)).await;
        let result = result.unwrap_or_else(|_| Err(unavailable()));
        let event = edit.event(identity).filter(|_| matches!(result, Ok(Some(_))));
        let owner = self.turns.owner.clone();
        let ended = storage
            .write(move |sql| -> Result<_, StorageError> {
                lease::release(sql, &lease, &owner)?;
                if let Some((action, subject)) = event {
                    audit::record(sql, &context.actor, action, &subject)?;
                }
                Ok(())
            })
            .await;
        match (result, ended) {
            (Ok(Some(_)), Err(error)) => {
                tracing::error!(
                    error = service::describe(&error),
                    "secrets in AWS were changed, and the audit trail does not have it"
                );
                Err(Problem::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "outcome_unknown",
                    "the change was made, but the audit trail could not be written: repeat it",
                ))
            }
            (result, _) => result,
        }
    }

    async fn take(&self, storage: &Storage, lease: &str) -> Result<bool, Problem> {
        let (lease, owner) = (lease.to_owned(), self.turns.owner.clone());
        let now = time::now();
        Ok(storage.write(move |sql| lease::take(sql, &lease, &owner, now, LEASE)).await?)
    }

    async fn apply(&self, identity: &str, edit: &Edit) -> Result<Option<i64>, Problem> {
        match edit {
            Edit::Put { name, value, condition } => {
                self.put(identity, name, value, condition).await.map(Some)
            }
            Edit::Remove { name, condition } => self.remove(identity, name, condition).await,
            Edit::Erase => Ok(self.delete(identity).await?.then_some(0)),
        }
    }

    async fn put(
        &self,
        identity: &str,
        name: &str,
        value: &SecretString,
        condition: &Condition,
    ) -> Result<i64, Problem> {
        let state = self.state(identity).await?;
        let current = match &state {
            State::Present(object) => object.secrets.get(name).map(|_| object.number()),
            State::Missing | State::Deleted => None,
        };
        condition.check(current.as_ref())?;
        let mut secrets = match &state {
            State::Present(object) => object.secrets.clone(),
            // What was erased does not return with the new secret.
            State::Missing | State::Deleted => BTreeMap::new(),
        };
        secrets.insert(name.to_owned(), value.clone());
        let text = checked(&secrets)?;
        match state {
            State::Missing => self.create(identity, text).await,
            State::Deleted => {
                let replaced = self.replace_deleted(identity, text).await;
                if replaced.is_err() && self.delete(identity).await.is_err() {
                    let name = escape(identity);
                    tracing::error!(
                        name,
                        "erased secrets may be readable again in AWS Secrets Manager: erase the \
                         identity again, or delete the secret there"
                    );
                }
                replaced
            }
            State::Present(_) => self.store(identity, text).await,
        }
    }

    /// Stores secrets in place of those that are scheduled for deletion. Where it fails, these may
    /// no longer be: AWS takes a new value only once the old one is restored.
    async fn replace_deleted(&self, identity: &str, text: String) -> Result<i64, Problem> {
        let restored = self.client.restore_secret().secret_id(escape(identity)).send().await;
        restored.map_err(|error| failed("RestoreSecret", &error))?;
        self.store(identity, text).await
    }

    async fn remove(
        &self,
        identity: &str,
        name: &str,
        condition: &Condition,
    ) -> Result<Option<i64>, Problem> {
        let State::Present(mut object) = self.state(identity).await? else {
            return Err(identity_not_found());
        };
        let number = object.number();
        let current = object.secrets.remove(name).map(|_| number);
        condition.check(current.as_ref())?;
        if current.is_none() {
            return if object.secrets.is_empty() { Err(identity_not_found()) } else { Ok(None) };
        }
        let Object { secrets, .. } = object;
        if secrets.is_empty() {
            // An identity without secrets is not listed.
            return self.delete(identity).await.map(|_| Some(0));
        }
        self.store(identity, checked(&secrets)?).await.map(Some)
    }

    async fn create(&self, identity: &str, text: String) -> Result<i64, Problem> {
        let call = self.client.create_secret().name(escape(identity)).secret_string(text);
        match call.send().await {
            Ok(created) => Ok(number(created.version_id().unwrap_or_default())),
            Err(error) => match error.as_service_error() {
                Some(CreateSecretError::ResourceExistsException(_)) => Err(Problem::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "secrets_unavailable",
                    format!(
                        "AWS Secrets Manager has {:?}, but shows no value of it: try again, or \
                         give it the value {{}} there",
                        escape(identity)
                    ),
                )),
                _ => Err(failed("CreateSecret", &error)),
            },
        }
    }

    async fn store(&self, identity: &str, text: String) -> Result<i64, Problem> {
        let call = self.client.put_secret_value().secret_id(escape(identity)).secret_string(text);
        let stored = call.send().await.map_err(|error| failed("PutSecretValue", &error))?;
        Ok(number(stored.version_id().unwrap_or_default()))
    }

    /// Schedules the secrets of an identity for deletion. Returns whether there were any.
    async fn delete(&self, identity: &str) -> Result<bool, Problem> {
        let name = escape(identity);
        let call = self.client.delete_secret().secret_id(&name);
        let call = call.recovery_window_in_days(self.recovery_days);
        let Err(error) = call.send().await else { return Ok(true) };
        match error.as_service_error() {
            Some(DeleteSecretError::ResourceNotFoundException(_)) => Ok(false),
            Some(DeleteSecretError::InvalidRequestException(_))
                if self.is_deleted(&name).await? =>
            {
                Ok(false)
            }
            _ => Err(failed("DeleteSecret", &error)),
        }
    }
}

/// The object as AWS stores it, unless it is too long.
fn checked(secrets: &BTreeMap<String, SecretString>) -> Result<String, Problem> {
    let text = serialize(secrets)?;
    if text.len() > MAX_OBJECT {
        return Err(Problem::invalid(format!(
            "the secrets of the identity would have {} bytes together, and AWS Secrets Manager \
             allows {MAX_OBJECT}",
            text.len()
        )));
    }
    Ok(text)
}

fn busy() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "secrets_busy",
        "others are changing the secrets of this identity: try again",
    )
}
