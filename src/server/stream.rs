//! Streams that notify clients of changes: event streams and sync streams.
//!
//! What differs between the two is a trait, [`Messages`]; when something is sent
//! is decided here, once for both:
//!
//! ```text
//! flags loaded ------ first
//! a new snapshot ---- change, if it concerns this client: flags are other ones, or,
//!                     for event streams, evaluate differently
//! silence ----------- keep_alive
//! shutdown ---------- last, then UNAVAILABLE
//! deadline ---------- DEADLINE_EXCEEDED
//! disconnected ------ nothing
//! ```
//!
//! # Slow clients
//!
//! Each stream is a task with a channel of one message. The task looks at the
//! flags only when the channel has room, so a client that reads slowly receives
//! fewer messages, each with more changes, and at most one message waits for it.
//! Nothing is buffered, and nothing is lost: what is new is computed from the
//! version that was sent last, not from a queue.

use std::{pin::pin, sync::Arc, time::Duration};

use hyper::body::Bytes;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until},
};
use tonic::Status;

use super::core::Core;
use crate::server::store::{selector::Selector, sent_version::SentVersion, snapshot::Snapshot};

/// The messages of one kind of stream. They are complete, with their envelope.
pub(crate) trait Messages: Send + Sync + 'static {
    /// Notifies when [`change`](Self::change) may have something to say.
    fn watch(&self, core: &Core) -> watch::Receiver<u64>;

    /// The first message, once the flags are loaded.
    fn first(&self, core: &Core, flags: &Snapshot, selector: &Selector) -> Bytes;

    /// The message about what has changed since the version in `sent`; none if
    /// nothing has changed for this selector.
    ///
    /// # Errors
    ///
    /// Returns the status with which the stream ends, if it cannot say what has
    /// changed.
    fn change(
        &self,
        core: &Core,
        sent: SentVersion,
        flags: &Snapshot,
        selector: &Selector,
    ) -> Result<Option<Bytes>, Status>;

    /// The message to send after a time without any other, and that time; none if
    /// the protocol has no such message.
    fn keep_alive(&self) -> Option<(Duration, Bytes)>;

    /// The last message before the server shuts down, if the protocol has one.
    fn last(&self) -> Option<Bytes>;

    /// Counts a stream for as long as it is open.
    fn count<'c>(&self, core: &'c Core) -> super::metrics::Counted<'c>;
}

/// The task's end of the channel: messages, and at last the status of the end.
type Sender = mpsc::Sender<Result<Bytes, Status>>;

/// Opens a stream, as a task of its own.
///
/// It ends at its deadline, which is the server's, or `timeout`, the client's own,
/// if that is shorter. It also ends when the client closes it, when the server
/// shuts down, and with its connection, which limits how long a client may read
/// nothing.
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

/// Sends messages until one of the reasons to end, and then the status.
async fn run(
    core: &Arc<Core>,
    selector: &Selector,
    deadline: Option<Duration>,
    messages: &impl Messages,
    sender: &Sender,
) {
    let _open = messages.count(core);
    let _subscribed = core.subscribed(selector);
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
                // Waits for a slow client. If it has disconnected, nothing needs to be sent.
                let _ = sender.send(Ok(message)).await;
            }
            Status::unavailable("the server is shutting down")
        }
        // flagd's message, for either deadline: flagd does not distinguish them.
        () = deadline => Status::deadline_exceeded("stream closed due to server-side timeout"),
        () = sender.closed() => return,
        ended = send_changes(core, selector, messages, sender) => match ended {
            Some(status) => status,
            None => return,
        },
    };
    let _ = sender.send(Err(last)).await;
}

/// Sends the first message and every change. Returns none when the client has
/// disconnected, or the status that makes it open another stream.
///
/// The order of two lines matters: the version is marked as seen before the
/// snapshot is taken, so that an update in between is looked at again, and never
/// missed.
async fn send_changes(
    core: &Core,
    selector: &Selector,
    messages: &impl Messages,
    sender: &Sender,
) -> Option<Status> {
    let mut versions = messages.watch(core);
    core.flags_loaded().await;
    let room = sender.reserve().await.ok()?;
    versions.mark_unchanged();
    let flags = core.store.snapshot().clone();
    let mut sent = flags.sent_version();
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
                match messages.change(core, sent, &flags, selector) {
                    Ok(None) => {}
                    Ok(Some(message)) => {
                        room.send(Ok(message));
                        quiet.as_mut().reset(next());
                    }
                    Err(status) => return Some(status),
                }
                sent = flags.sent_version();
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

/// Stands for "never", for streams without a `keep_alive`.
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
