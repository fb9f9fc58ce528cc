//! What tasks do at a target, and what is recorded before and after it.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::Poll,
};

use tokio::task::spawn_blocking;

use super::parts::Parts;
use crate::optoggles::{
    failure::Failure,
    record::{Record, RecordError},
    target::Held,
    users::Users,
};

/// Prepares a toggle at a target.
///
/// The intent to create it is recorded before, and that it was created after. If the former
/// cannot be written, the toggle is not created; if the latter cannot, the next attempt writes
/// it, and until then this is a failure.
pub(super) async fn prepare(
    parts: &Arc<Parts>,
    toggle: usize,
    target: usize,
) -> Result<Held, Failure> {
    let part = &parts.targets[target];
    let _permit = part.room.acquire().await;
    record(parts, move |record, parts| {
        let (target, toggle) = (&parts.targets[target], &parts.toggles[toggle].toggle);
        record.intend(&target.id, &toggle.key, &toggle.spec)
    })
    .await?;
    let prepared = part.target.prepare(&parts.toggles[toggle].toggle).await?;
    if prepared.created {
        record(parts, move |record, parts| {
            let (target, toggle) = (&parts.targets[target], &parts.toggles[toggle].toggle);
            record.create(&target.id, &toggle.key, &toggle.spec)
        })
        .await?;
    }
    Ok(prepared.held)
}

/// Writes the users of a toggle to a target.
///
/// If the target does not report whom it has and there is a limit on removals, the list is
/// recorded, so that the limit can be applied after a start. That it cannot be recorded makes
/// the write no failure: it would be repeated.
pub(super) async fn write(
    parts: &Arc<Parts>,
    toggle: usize,
    target: usize,
    users: &Users,
    can_be_read: bool,
) -> Result<(), Failure> {
    let part = &parts.targets[target];
    let _permit = part.room.acquire().await;
    part.target.write(&parts.toggles[toggle].toggle, users).await?;
    let is_kept = !can_be_read && parts.settings.max_removed.is_some();
    let last = is_kept.then(|| users.clone());
    let kept = record(parts, move |record, parts| {
        record.keep(&parts.targets[target].id, &parts.toggles[toggle].toggle.key, last)
    });
    if let Err(failure) = kept.await {
        let key = &parts.toggles[toggle].toggle.key;
        tracing::warn!(toggle = %key, target = %part.id, error = failure.line(), "cannot record the list");
    }
    Ok(())
}

/// Changes the record, if there is one. Its file is written where that blocks nobody.
async fn record(
    parts: &Arc<Parts>,
    change: impl FnOnce(&Record, &Parts) -> Result<(), RecordError> + Send + 'static,
) -> Result<(), Failure> {
    let Some(record) = parts.record.clone() else { return Ok(()) };
    let parts = parts.clone();
    let changed = spawn_blocking(move || change(&record, &parts)).await;
    changed.map_err(Failure::temporary)?.map_err(Failure::temporary)
}

/// Turns a panic into a failure. Sources and targets may be those of another program, and work
/// that never ends would block its toggle for good.
pub(super) async fn caught<T>(
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let mut work = pin!(work);
    poll_fn(|context| {
        // The work is not polled again after a panic, so nothing sees what it has left behind.
        catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))).unwrap_or_else(|_| {
            // The message may name users. The panic hook has written it already.
            Poll::Ready(Err(Failure::temporary(
                "the source or target panicked: see standard error for the message",
            )))
        })
    })
    .await
}
