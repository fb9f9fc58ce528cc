//! What tasks do at a target, and what is recorded before and after it.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::Poll,
};

use tokio::sync::{Semaphore, SemaphorePermit, watch};

use super::parts::Parts;
use crate::optoggles::{failure::Failure, target::Held, users::Users};

/// Waits for a permit; `None` if `stop` becomes true before.
pub(super) async fn permit(
    room: &Semaphore,
    mut stop: watch::Receiver<bool>,
) -> Option<SemaphorePermit<'_>> {
    tokio::select! {
        biased;
        _ = stop.wait_for(|stop| *stop) => None,
        permit = room.acquire() => permit.ok(),
    }
}

/// Prepares a toggle at a target.
///
/// The intent to create it is recorded before, and that it was created after. If the former
/// cannot be written, the toggle is not created; if the latter cannot, the next attempt writes
/// it, and until then this is a failure.
pub(super) async fn prepare(parts: &Parts, toggle: usize, target: usize) -> Result<Held, Failure> {
    let (part, toggle) = (&parts.targets[target], &parts.toggles[toggle].toggle);
    if let Some(record) = &parts.record {
        let intended = record.intend(&part.id, &toggle.key, &toggle.spec);
        intended.await.map_err(Failure::temporary)?;
    }
    let prepared = part.target.prepare(toggle).await?;
    if let Some(record) = parts.record.as_ref().filter(|_| prepared.created) {
        let created = record.create(&part.id, &toggle.key, &toggle.spec);
        created.await.map_err(Failure::temporary)?;
    }
    Ok(prepared.held)
}

/// Writes the users of a toggle to a target.
///
/// If the target does not report whom it has and there is a limit on removals, the list is
/// recorded, so that the limit can be applied after a start. That it cannot be recorded makes
/// the write no failure: it would be repeated.
pub(super) async fn write(
    parts: &Parts,
    toggle: usize,
    target: usize,
    users: &Users,
    can_be_read: bool,
) -> Result<(), Failure> {
    let (part, toggle) = (&parts.targets[target], &parts.toggles[toggle].toggle);
    part.target.write(toggle, users).await?;
    let Some(record) = &parts.record else { return Ok(()) };
    let is_kept = !can_be_read && parts.settings.max_removed.is_some();
    let kept = record.keep(&part.id, &toggle.key, is_kept.then(|| users.clone()));
    if let Err(failure) = kept.await.map_err(Failure::temporary) {
        tracing::warn!(toggle = %toggle.key, target = %part.id, error = failure.line(), "cannot record the list");
    }
    Ok(())
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
