//! Follows the database, and hands out what has changed.

use std::{sync::Arc, time::Duration};

use service::{
    access::Access,
    storage::{Storage, StorageError},
};
use tokio::sync::Notify;

use super::{Event, Hub};
use crate::fact;

/// How often the database is asked without a hint: a change of another replica, or of a
/// command on the same file, is noticed after at most so long.
const POLL: Duration = Duration::from_millis(500);

/// Reads changes from the database, whoever made them, and publishes them, after `note` has
/// seen them. `wake` is a hint that there may be some; none is lost without it. Never returns.
///
/// A number that is less than one that was read before means that a backup was restored. What is
/// known of the database is forgotten then, and every subscriber is told to read anew.
pub async fn tail(
    storage: Storage,
    hub: Hub,
    access: Access,
    wake: Arc<Notify>,
    note: impl Fn(&[fact::Change]),
) {
    let mut available = true;
    let mut last_version = 0;
    loop {
        match read(&storage, hub.sequence()).await {
            Ok(State { changes, sequence, version }) => {
                available = true;
                if sequence < hub.sequence() || version < last_version {
                    tracing::warn!("the database was restored: all streams begin anew");
                    last_version = version;
                    hub.restart(sequence);
                    access.restart(version);
                    continue;
                }
                last_version = version;
                access.refresh(version);
                let is_full = i64::try_from(changes.len()) == Ok(fact::CHANGES_AT_ONCE);
                let last = changes.last().map(|it| it.number).filter(|_| is_full);
                note(&changes);
                // Numbers that no fact has are those of secrets: without a full page, there is
                // nothing more up to the number that was read with it.
                let up_to = last.unwrap_or(sequence);
                hub.publish(changes.iter().map(Event::from).collect(), up_to);
                if is_full {
                    continue;
                }
            }
            Err(error) => {
                if available {
                    let error = service::describe(&error);
                    tracing::warn!(error, "cannot read changes, and tries again");
                }
                available = false;
            }
        }
        let _ = tokio::time::timeout(POLL, wake.notified()).await;
    }
}

/// What was read at one moment.
struct State {
    changes: Vec<fact::Change>,
    /// The number of the last change of a fact or a secret.
    sequence: i64,
    /// The number of the last change of tokens, people or permissions.
    version: i64,
}

async fn read(storage: &Storage, after: i64) -> Result<State, StorageError> {
    let read = storage.read(move |sql| {
        let changes = fact::changes(sql, after)?;
        let (sequence, version) = (sql.last(fact::CHANGES)?, sql.last("access")?);
        Ok(State { changes, sequence, version })
    });
    read.await
}
