//! Follows the database, and hands out what has changed.

use std::{sync::Arc, time::Duration};

use service::{
    access::Access,
    storage::{Storage, StorageError},
};
use tokio::sync::Notify;

use super::{Event, Hub};
use crate::fact;

/// How many changes are read at a time.
const PAGE: i64 = 1_000;

/// How often the database is asked without a hint: a change of another replica, or of a
/// command on the same file, is noticed after at most so long.
const POLL: Duration = Duration::from_millis(500);

/// Reads changes from the database, whoever made them, and publishes them, after `note` has
/// seen them. `wake` is a hint that there may be some; none is lost without it. Never returns.
pub async fn tail(
    storage: Storage,
    hub: Hub,
    access: Access,
    wake: Arc<Notify>,
    note: impl Fn(&[fact::Change]),
) {
    let mut available = true;
    loop {
        match read(&storage, hub.sequence()).await {
            Ok((changes, version)) => {
                available = true;
                access.refresh(version);
                if let Some(last) = changes.last() {
                    let last = last.number;
                    note(&changes);
                    hub.publish(changes.iter().map(Event::from).collect(), last);
                    continue;
                }
            }
            Err(error) => {
                if available {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "cannot read changes, and tries again");
                }
                available = false;
            }
        }
        let _ = tokio::time::timeout(POLL, wake.notified()).await;
    }
}

async fn read(storage: &Storage, after: i64) -> Result<(Vec<fact::Change>, i64), StorageError> {
    storage.read(move |sql| Ok((fact::changes(sql, after, PAGE)?, sql.last("access")?))).await
}
