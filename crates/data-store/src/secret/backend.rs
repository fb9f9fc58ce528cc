//! Where secrets are, and what the handlers do with them there.

use std::{collections::BTreeMap, sync::Arc};

use axum::http::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use service::{
    problem::Problem,
    storage::{Sql, Storage, StorageError},
};

use super::{Keys, MAX_SECRET};
#[cfg(feature = "aws")]
use super::{SecretsManager, aws::Edit};
use crate::fact::{Condition, Context};

/// Where secrets are. Cloning is cheap.
#[derive(Clone)]
pub enum Backend {
    /// Nowhere: no secrets are kept.
    Nowhere,
    /// In the database, sealed with these keys.
    Database(Arc<Keys>),
    /// In AWS Secrets Manager.
    #[cfg(feature = "aws")]
    Aws(Arc<SecretsManager>),
}

/// The identities that have secrets, for pages of identities.
#[derive(Clone)]
#[cfg_attr(not(feature = "aws"), allow(dead_code, reason = "for secrets outside of the database"))]
pub(crate) enum Names {
    /// Whoever asks may not know them.
    Hidden,
    /// Those in the database.
    Database,
    /// These, in order.
    Listed(Arc<[String]>),
    /// They cannot be listed at the moment.
    Unavailable,
}

impl Names {
    /// Identities after `after`, at most `limit`. `None`: unknown.
    pub(crate) fn page(
        &self,
        sql: &mut Sql<'_>,
        prefix: &str,
        after: &str,
        limit: i64,
    ) -> Result<Option<Vec<String>>, StorageError> {
        match self {
            Self::Hidden | Self::Unavailable => Ok(None),
            Self::Database => super::identities(sql, prefix, after, limit).map(Some),
            Self::Listed(names) => {
                let start =
                    names.partition_point(|it| it.as_str() <= after || it.as_str() < prefix);
                let names = names[start..].iter().take_while(|it| it.starts_with(prefix));
                Ok(Some(names.take(usize::try_from(limit).unwrap_or(0)).cloned().collect()))
            }
        }
    }

    /// Whether secrets are missing from the list though the caller may know them.
    pub(crate) fn are_missing(&self) -> bool {
        matches!(self, Self::Unavailable)
    }
}

impl Backend {
    /// The keys that secrets in the database are sealed with.
    #[must_use]
    pub fn keys(&self) -> Option<Arc<Keys>> {
        if let Self::Database(keys) = self { Some(Arc::clone(keys)) } else { None }
    }

    /// The secrets of an identity.
    pub(crate) async fn read(
        &self,
        storage: &Storage,
        context: Context,
        identity: String,
    ) -> Result<BTreeMap<String, SecretString>, Problem> {
        match self {
            Self::Nowhere => Err(disabled()),
            Self::Database(keys) => {
                let keys = Arc::clone(keys);
                // Reading a secret writes to the audit.
                let read = storage.write(move |sql| super::read(sql, &keys, &context, &identity));
                read.await?.ok_or_else(super::identity_not_found)
            }
            #[cfg(feature = "aws")]
            Self::Aws(manager) => {
                let found = manager.read(&identity).await?;
                let (secrets, _) = found.ok_or_else(super::identity_not_found)?;
                record(storage, context, "secret.read", identity).await?;
                Ok(secrets)
            }
        }
    }

    /// The names of an identity's secrets, in order; `None`: no secrets are kept.
    pub(crate) async fn list(
        &self,
        storage: &Storage,
        identity: String,
    ) -> Result<Option<Vec<String>>, Problem> {
        match self {
            Self::Nowhere => Ok(None),
            Self::Database(_) => {
                Ok(Some(storage.read(move |sql| super::names(sql, &identity)).await?))
            }
            #[cfg(feature = "aws")]
            Self::Aws(manager) => {
                let found = manager.read(&identity).await?;
                Ok(Some(found.map(|(it, _)| it.into_keys().collect()).unwrap_or_default()))
            }
        }
    }

    /// A secret and the number that serves as its entity tag.
    pub(crate) async fn one(
        &self,
        storage: &Storage,
        context: Context,
        identity: String,
        name: String,
    ) -> Result<(SecretString, i64), Problem> {
        match self {
            Self::Nowhere => Err(disabled()),
            Self::Database(keys) => {
                let keys = Arc::clone(keys);
                storage.write(move |sql| super::one(sql, &keys, &context, &identity, &name)).await
            }
            #[cfg(feature = "aws")]
            Self::Aws(manager) => {
                let found = manager.read(&identity).await?;
                let (mut secrets, number) = found.ok_or_else(super::identity_not_found)?;
                let value = secrets.remove(&name).ok_or_else(super::secret_not_found)?;
                record(storage, context, "secret.read", format!("{identity}/{name}")).await?;
                Ok((value, number))
            }
        }
    }

    /// Writes a secret. Returns the number that serves as its entity tag.
    pub(crate) async fn put(
        &self,
        storage: &Storage,
        context: Context,
        (identity, name): (String, String),
        value: SecretString,
        condition: Condition,
    ) -> Result<i64, Problem> {
        check_value(&value)?;
        match self {
            Self::Nowhere => Err(disabled()),
            Self::Database(keys) => {
                let keys = Arc::clone(keys);
                storage
                    .write(move |sql| {
                        super::put(sql, &keys, &context, (&identity, &name), &value, &condition)
                    })
                    .await
            }
            #[cfg(feature = "aws")]
            Self::Aws(manager) => {
                let edit = Edit::Put { name, value, condition };
                let number = manager.write(storage, context, identity, edit).await?;
                Ok(number.unwrap_or_default())
            }
        }
    }

    /// Removes a secret, if it exists.
    pub(crate) async fn delete(
        &self,
        storage: &Storage,
        context: Context,
        (identity, name): (String, String),
        condition: Condition,
    ) -> Result<(), Problem> {
        match self {
            Self::Nowhere => Err(disabled()),
            Self::Database(_) => {
                storage
                    .write(move |sql| super::delete(sql, &context, &identity, &name, &condition))
                    .await
            }
            #[cfg(feature = "aws")]
            Self::Aws(manager) => {
                let edit = Edit::Remove { name, condition };
                manager.write(storage, context, identity, edit).await.map(drop)
            }
        }
    }

    /// Erases the secrets that an identity has outside of the database. Returns whether there
    /// were any.
    #[cfg_attr(not(feature = "aws"), allow(clippy::unused_async, unused_variables))]
    pub(crate) async fn erase_outside(
        &self,
        storage: &Storage,
        context: &Context,
        identity: &str,
    ) -> Result<bool, Problem> {
        match self {
            Self::Nowhere | Self::Database(_) => Ok(false),
            #[cfg(feature = "aws")]
            Self::Aws(manager) => {
                let (context, identity) = (context.clone(), identity.to_owned());
                let erased = manager.write(storage, context, identity, Edit::Erase).await?;
                Ok(erased.is_some())
            }
        }
    }

    /// The identities with a prefix that have secrets. Where they cannot be listed, the facts
    /// still can.
    #[cfg_attr(not(feature = "aws"), allow(clippy::unused_async, unused_variables))]
    pub(crate) async fn names(&self, prefix: &str) -> Names {
        match self {
            Self::Nowhere | Self::Database(_) => Names::Database,
            #[cfg(feature = "aws")]
            Self::Aws(manager) => match manager.identities(prefix).await {
                Ok(names) => Names::Listed(names.into()),
                // Logged where it became a problem.
                Err(_) => Names::Unavailable,
            },
        }
    }
}

fn check_value(value: &SecretString) -> Result<(), Problem> {
    let length = value.expose_secret().len();
    if length == 0 {
        return Err(Problem::invalid("the value must not be empty"));
    }
    if length > MAX_SECRET {
        return Err(Problem::invalid(format!(
            "the value has {length} bytes, and at most {MAX_SECRET} are allowed"
        )));
    }
    Ok(())
}

fn disabled() -> Problem {
    Problem::new(
        StatusCode::NOT_IMPLEMENTED,
        "secrets_disabled",
        "this server keeps no secrets: set the option secrets-keys",
    )
}

#[cfg(feature = "aws")]
async fn record(
    storage: &Storage,
    context: Context,
    action: &'static str,
    subject: String,
) -> Result<(), Problem> {
    storage.write(move |sql| service::audit::record(sql, &context.actor, action, &subject)).await?;
    Ok(())
}
