//! What the handlers share, from the database to the flags that are served.

use std::sync::Arc;

use axum::extract::FromRef;
use service::{
    access::Access,
    metrics::Metrics,
    problem::Problem,
    storage::{Sql, Storage},
};

use crate::{live::Live, metrics::Failures, model::change::CHANGES, role::Role, usage::Usage};

/// What the handlers share. Cloning is cheap.
#[derive(Clone)]
pub struct Store(Arc<Shared>);

/// The parts of a store.
pub struct Shared {
    /// The database.
    pub storage: Storage,
    /// Tokens, people and sessions.
    pub access: Access,
    /// What is in memory.
    pub live: Live,
    /// Requests that were counted.
    pub usage: Usage,
    /// Metrics of the server.
    pub metrics: Metrics,
    /// Jobs that have failed.
    pub failures: Failures,
    /// The role with the least rights that may switch toggles in production.
    pub production_role: Role,
}

impl std::ops::Deref for Store {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl From<Shared> for Store {
    fn from(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }
}

impl FromRef<Store> for Access {
    fn from_ref(store: &Store) -> Self {
        store.access.clone()
    }
}

impl Store {
    /// Runs a change, and returns when it is in force on this replica.
    ///
    /// # Errors
    ///
    /// Whatever `change` returns, or a problem of the database.
    pub async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Sql<'_>) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let write = self.storage.write(move |sql| {
            let result = change(sql)?;
            sql.notify(CHANGES)?;
            Ok::<_, Problem>((result, sql.last(CHANGES)?))
        });
        let (result, last) = write.await?;
        // The change is stored. If it cannot be read back now, it is in force with the next poll.
        if let Err(error) = self.live.catch_up(last).await {
            let error = service::describe(&error);
            tracing::warn!(error, "a change is stored, but not yet in force");
        }
        Ok(result)
    }

    /// Reads from the database.
    ///
    /// # Errors
    ///
    /// Whatever `work` returns, or a problem of the database.
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Sql<'_>) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        self.storage.read(work).await
    }
}
