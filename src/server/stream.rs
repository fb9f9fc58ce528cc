//! Streams that tell clients of changes, each a task of its own.

use std::{pin::pin, sync::Arc, time::Duration};

use hyper::body::Bytes;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};
use tonic::Status;

use super::core::Core;
use crate::server::store::{history::Told, selector::Selector, snapshot::Snapshot};

/// What a stream of a protocol says.
pub(crate) trait Messages: Send + Sync + 'static {
    /// The first message, once sources had their time to give flags.
    fn first(&self, core: &Core, flags: &Snapshot, selector: &Selector) -> Bytes;

    /// What to say of a change since the message before, if anything; or why the stream ends.
    fn change(
        &self,
        core: &Core,
        told: Told,
        flags: &Snapshot,
        selector: &Selector,
    ) -> Result<Option<Bytes>, Status>;

    /// A message for a time without any other, and after how long.
    fn keep_alive(&self) -> Option<(Duration, Bytes)>;

    /// The last message, before the server goes.
    fn last(&self) -> Option<Bytes>;

    /// Counts a stream as long as it is open.
    fn count<'c>(&self, core: &'c Core) -> super::metrics::Counted<'c>;
}

type Sender = mpsc::Sender<Result<Bytes, Status>>;

/// Opens a stream.
///
/// A client that reads slowly is told less often, and of more changes at once: no more than one
/// message waits for it. The stream ends when the client goes, or its connection, which bounds how
/// long a client may read nothing; and at its deadline: the server's, or the client's own if that is
/// sooner.
pub(crate) fn open(
    core: &Arc<Core>,
    selector: Selector,
    timeout: Option<Duration>,
    messages: impl Messages,
) -> mpsc::Receiver<Result<Bytes, Status>> {
    let (sender, receiver) = mpsc::channel(1);
    let core = core.clone();
    let deadline = [core.stream_deadline, timeout].into_iter().flatten().min();
    tokio::spawn(async move { run(&core, &selector, deadline, &messages, &sender).await });
    receiver
}

async fn run(
    core: &Arc<Core>,
    selector: &Selector,
    deadline: Option<Duration>,
    messages: &impl Messages,
    sender: &Sender,
) {
    let _open = messages.count(core);
    let deadline = async {
        match deadline {
            Some(deadline) => sleep(deadline).await,
            None => std::future::pending().await,
        }
    };
    let last = tokio::select! {
        biased;
        () = core.stopped() => {
            if let Some(message) = messages.last() {
                // Waits for a client that is slow; a client that is gone does not matter.
                let _ = sender.send(Ok(message)).await;
            }
            Status::unavailable("the server is shutting down")
        }
        // flagd's text, whosesoever deadline it was: it too tells them not apart.
        () = deadline => Status::deadline_exceeded("stream closed due to server-side timeout"),
        () = sender.closed() => return,
        ended = tell(core, selector, messages, sender) => match ended {
            Some(status) => status,
            None => return,
        },
    };
    let _ = sender.send(Err(last)).await;
}

/// Tells the client all that it must know; ends when it is gone, or with why it must come again.
async fn tell(
    core: &Core,
    selector: &Selector,
    messages: &impl Messages,
    sender: &Sender,
) -> Option<Status> {
    let mut versions = core.store.watch();
    core.flags_loaded().await;
    let room = sender.reserve().await.ok()?;
    versions.mark_unchanged();
    let flags = core.store.snapshot().clone();
    let mut told = Told::new(&flags);
    room.send(Ok(messages.first(core, &flags, selector)));
    drop(flags);

    let keep_alive = messages.keep_alive();
    let period = keep_alive.as_ref().map_or(Duration::MAX, |(period, _)| *period);
    let next = || Instant::now().checked_add(period).unwrap_or_else(|| Instant::now() + YEAR);
    let mut quiet = pin!(sleep_until(next()));
    loop {
        tokio::select! {
            _ = versions.changed() => {
                // Looks at the flags when there is room for a message, not before.
                let room = sender.reserve().await.ok()?;
                versions.mark_unchanged();
                let flags = core.store.snapshot().clone();
                match messages.change(core, told, &flags, selector) {
                    Ok(None) => {}
                    Ok(Some(message)) => {
                        room.send(Ok(message));
                        quiet.as_mut().reset(next());
                    }
                    Err(status) => return Some(status),
                }
                told = Told::new(&flags);
            }
            () = &mut quiet => {
                if let Some((_, message)) = &keep_alive {
                    sender.reserve().await.ok()?.send(Ok(message.clone()));
                }
                quiet.as_mut().reset(next());
            }
        }
    }
}

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
