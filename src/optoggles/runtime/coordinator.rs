//! The task that owns the [`Machine`]: hands events to it, and performs its actions.
//!
//! One loop waits for whichever comes first: a reason to stop, events from tasks that
//! ended, commands from outside, or the next instant at which the machine has something
//! to do. After each it performs the machine's actions as tasks, which report their end
//! as an [`Event`]. All decisions are made in the loop and none in the tasks, so their
//! order does not matter.
//!
//! Tasks are of two kinds. Writes and preparations change the outside world, so a stop
//! waits for those that have begun, up to [`GRACE`]. Everything else (queries, waiting for changes,
//! removals) is dropped at once.
//!
//! The channel of events is unbounded, and yet bounded in effect: the machine has at
//! most one action under way for each question and each cell, and a source reports at
//! most one change per [`SETTLE`].

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep_until, timeout, timeout_at},
};

use super::{
    counters::Counters,
    parts::{Parts, Source},
    removal,
    status::{
        CellStatus, FailureStatus, HeldBack, PartStatus, RemovalStatus, Status, ToggleStatus,
        seconds,
    },
    work,
};
use crate::optoggles::{
    failure::Failure,
    machine::{Action, Cell, Machine, Retry, Toggle},
    source::Answer,
    target::Held,
    users::Users,
};

/// Changes that a source reports within this time of each other are merged. Every change waits
/// that long, so it is short: those that follow while the users are being queried are merged
/// into the next query anyway.
const SETTLE: Duration = Duration::from_millis(1);

/// The longest time for which changes are merged, so that a source that changes all the
/// time is still queried.
const SETTLED: Duration = Duration::from_millis(50);

/// How long a stop waits for the writes that are under way. With two seconds to clean up
/// and one to close the servers it makes ten, which is how long `docker stop` waits
/// before it kills the process.
const GRACE: Duration = Duration::from_secs(7);

/// What tasks report. The numbers are indexes into [`Parts`].
enum Event {
    /// The answers of a source may have changed, or changes cannot be noticed.
    Source(usize, Result<(), Failure>),
    /// The query for the users of a toggle has ended.
    Answered(usize, Result<Answer, Failure>),
    /// The preparation of a toggle (first) at a target (second) has ended.
    Prepared(usize, usize, Result<Held, Failure>),
    /// The write of a toggle (first) to a target (second) has ended, with the users
    /// that were written.
    Written(usize, usize, Users, Result<(), Failure>),
    /// An attempt to remove a toggle (second) from a target (first) has ended.
    Removed(usize, String, Result<(), Failure>),
}

/// A request to the engine from outside, with the channel for its reply.
pub(crate) enum Command {
    /// Report the status and the counters.
    Inspect(oneshot::Sender<(Status, Counters)>),
    /// Release the changes of a toggle that are held back. The reply is at how many
    /// targets there were some; `None` if there is no toggle with this key.
    Confirm(String, oneshot::Sender<Option<usize>>),
    /// Compare everything afresh.
    Resync,
}

/// The state of a running engine, for as long as its parts stay the same.
pub(crate) struct Coordinator {
    pub(crate) parts: Arc<Parts>,
    pub(crate) machine: Machine,
    pub(crate) counters: Counters,
    /// Whether everything was tried once since the start. Never goes back to `false`.
    pub(crate) started: bool,
    /// Why changes of each source are not noticed, by the index of the source.
    sources: Vec<Retry>,
    /// By the index of the source: when its present sync began, if there is one, and
    /// how many actions for its toggles are under way. The sync has ended when they are
    /// none.
    rounds: Vec<(Option<Instant>, usize)>,
    /// The toggles that could not be removed, by the index of the target and their keys.
    removals: BTreeMap<(usize, String), Retry>,
    /// Notified at each resync, for sources that fail for good.
    resynced: Arc<Notify>,
    /// Where tasks report their ends. The sender is kept to be cloned for them.
    events: (mpsc::UnboundedSender<Event>, mpsc::UnboundedReceiver<Event>),
    /// Tasks that change targets. A stop waits for them.
    writes: JoinSet<()>,
    /// All other tasks. A stop drops them.
    others: JoinSet<()>,
}

impl Coordinator {
    /// Creates a coordinator that has not begun. `machine` must be one of these parts.
    pub(crate) fn new(parts: Parts, machine: Machine) -> Self {
        Self {
            sources: parts.sources.iter().map(|_| Retry::default()).collect(),
            rounds: vec![(None, 0); parts.sources.len()],
            parts: Arc::new(parts),
            machine,
            counters: Counters::default(),
            started: false,
            removals: BTreeMap::new(),
            resynced: Arc::default(),
            events: mpsc::unbounded_channel(),
            writes: JoinSet::new(),
            others: JoinSet::new(),
        }
    }

    /// Runs until `stop` becomes true. Writes that are under way are then finished, and
    /// their results are noted, so that a successor knows them.
    ///
    /// Commands that arrive while it stops wait in their channel for the successor; they
    /// fail when there is none and the channel is closed. Until the successor runs, `last`
    /// has what this one knew.
    pub(crate) async fn run(
        &mut self,
        commands: &mut mpsc::Receiver<Command>,
        stop: &mut watch::Receiver<bool>,
        last: &watch::Sender<Option<(Status, Counters)>>,
    ) {
        let watching: Vec<_> =
            (0..self.parts.sources.len()).map(|index| self.watch(index)).collect();
        self.announce();
        self.remove();
        let begun = Instant::now();
        for (index, source) in self.parts.clone().sources.iter().enumerate() {
            // The source was kept when the configuration was read again. It reports changes only,
            // but there may be new toggles to query.
            if source.has_begun() {
                self.take(Event::Source(index, Ok(())), begun);
            }
        }
        let resync = self.parts.resync;
        // An interval beyond the range of instants never ends.
        let after = |now: Instant| now.checked_add(resync).filter(|_| !resync.is_zero());
        let mut resync_at = after(begun);
        last.send_replace(None);
        loop {
            let now = Instant::now();
            for action in self.machine.actions(now) {
                self.perform(action, stop);
            }
            self.observe(now);
            let due = self.machine.due().into_iter().chain(resync_at).min();
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                Some(event) = self.events.1.recv() => {
                    let now = Instant::now();
                    self.take(event, now);
                    while let Ok(event) = self.events.1.try_recv() {
                        self.take(event, now);
                    }
                }
                Some(command) = commands.recv() => self.answer(command),
                () = until(due) => {
                    let now = Instant::now();
                    if resync_at.is_some_and(|at| at <= now) {
                        self.resync(now);
                        resync_at = after(now);
                    }
                }
            }
            while self.writes.try_join_next().is_some() {}
            while self.others.try_join_next().is_some() {}
        }
        last.send_replace(Some((self.status(), self.counters.clone())));
        watching.iter().for_each(AbortHandle::abort);
        self.others.abort_all();
        let deadline = Instant::now() + GRACE;
        while let Ok(Some(_)) = timeout_at(deadline, self.writes.join_next()).await {}
        self.writes.abort_all();
        let now = Instant::now();
        while let Ok(event) = self.events.1.try_recv() {
            self.take(event, now);
        }
    }

    /// Compares everything afresh.
    fn resync(&mut self, now: Instant) {
        self.machine.resync(now);
        self.resynced.notify_waiters();
    }

    /// Spawns the task that reports whenever the answers of a source may have changed.
    /// After a failure it waits before it tries again; one that lasts, until the next resync
    /// at most.
    fn watch(&mut self, index: usize) -> AbortHandle {
        let (source, sender) = (self.parts.sources[index].clone(), self.events.0.clone());
        let resynced = self.resynced.clone();
        self.others.spawn(async move {
            let mut retry = Retry::default();
            loop {
                let changed = work::caught(changed(&source)).await;
                match &changed {
                    Ok(()) => retry.succeeded(),
                    Err(failure) => retry.failed(failure.clone(), Instant::now()),
                }
                if sender.send(Event::Source(index, changed)).is_err() {
                    return;
                }
                while let Some(pause) = retry.due().filter(|pause| *pause > Instant::now()) {
                    tokio::select! {
                        () = sleep_until(pause) => {}
                        () = resynced.notified() => retry.hasten(Instant::now()),
                    }
                }
            }
        })
    }

    /// Notes the intent to create every toggle, so that one write records them all.
    fn announce(&self) {
        let parts = &self.parts;
        let Some(record) = &parts.record else { return };
        record.announce(parts.cells().map(|(toggle, target)| {
            let toggle = &parts.toggles[toggle].toggle;
            (&*parts.targets[target].id, &*toggle.key, &toggle.spec)
        }));
    }

    /// Spawns a task for each toggle that is to be removed. The tasks retry until the target has
    /// removed it, and are dropped with the coordinator; the next one begins anew.
    fn remove(&mut self) {
        for leaving in removal::leaving(&self.parts) {
            let (parts, sender) = (self.parts.clone(), self.events.0.clone());
            self.others.spawn(async move {
                let (Some(removal), Some(record)) = (parts.removal, &parts.record) else { return };
                let target = &parts.targets[leaving.target];
                let mut retry = Retry::default();
                loop {
                    let removed = work::caught(leaving.remove(target, removal, record)).await;
                    let failure = removed.as_ref().err().cloned();
                    let key = leaving.toggle.key.clone();
                    let _ = sender.send(Event::Removed(leaving.target, key, removed));
                    let Some(failure) = failure else { return };
                    retry.failed(failure, Instant::now());
                    until(retry.due()).await;
                }
            });
        }
    }

    /// Spawns the task that performs an action.
    ///
    /// It waits for one of the permits of its source or target first, so that a thousand
    /// toggles do not mean a thousand connections. What still waits when `stop` becomes true
    /// does not begin; to a successor it counts as interrupted.
    fn perform(&mut self, action: Action, stop: &watch::Receiver<bool>) {
        let (parts, sender, stop) = (self.parts.clone(), self.events.0.clone(), stop.clone());
        match action {
            Action::Ask { toggle } => {
                let source = parts.toggles[toggle].source;
                self.begin(toggle);
                self.others.spawn(async move {
                    let Source { source, room, .. } = &parts.sources[source];
                    let _permit = room.acquire().await;
                    let rule = &parts.toggles[toggle].toggle.rule;
                    let answer = work::caught(source.users(rule)).await;
                    let _ = sender.send(Event::Answered(toggle, answer));
                });
            }
            Action::Prepare { toggle, target } => {
                self.begin(toggle);
                self.writes.spawn(async move {
                    let room = &parts.targets[target].room;
                    let Some(_permit) = work::permit(room, stop).await else { return };
                    let result = work::caught(work::prepare(&parts, toggle, target)).await;
                    let _ = sender.send(Event::Prepared(toggle, target, result));
                });
            }
            Action::Write { toggle, target, users } => {
                self.begin(toggle);
                let can_be_read = self.machine.can_be_read(toggle, target);
                self.writes.spawn(async move {
                    let room = &parts.targets[target].room;
                    let Some(_permit) = work::permit(room, stop).await else { return };
                    let write = work::write(&parts, toggle, target, &users, can_be_read);
                    let result = work::caught(write).await;
                    let _ = sender.send(Event::Written(toggle, target, users, result));
                });
            }
        }
    }

    /// Counts an action for a toggle as under way in the sync of its source.
    fn begin(&mut self, toggle: usize) {
        self.rounds[self.parts.toggles[toggle].source].1 += 1;
    }

    /// Counts an action for a toggle as ended.
    fn ended(&mut self, toggle: usize) {
        self.rounds[self.parts.toggles[toggle].source].1 -= 1;
    }

    /// Logs and counts an event, and hands it to the machine.
    fn take(&mut self, event: Event, now: Instant) {
        let parts = self.parts.clone();
        match event {
            Event::Source(index, Ok(())) => {
                self.sources[index].succeeded();
                parts.sources[index].begin();
                self.rounds[index].0.get_or_insert(now);
                self.machine.trigger(index, now);
            }
            Event::Source(index, Err(failure)) => {
                let source = &parts.sources[index].id;
                self.counters.failed("source", source, failure.kind());
                tracing::warn!(%source, error = failure.line(), "cannot notice changes of the policy");
                self.sources[index].failed(failure, now);
            }
            Event::Answered(toggle, answer) => {
                self.ended(toggle);
                let entry = &parts.toggles[toggle];
                let (key, rule) = (&entry.toggle.key, &entry.toggle.rule);
                match &answer {
                    Err(failure) => {
                        let source = &parts.sources[entry.source].id;
                        self.counters.failed("source", source, failure.kind());
                        let error = failure.line();
                        tracing::warn!(toggle = %key, %source, %rule, error, "cannot query the users");
                    }
                    Ok(Answer::Undefined) => {
                        tracing::warn!(toggle = %key, %rule, "the rule is undefined: nobody is revoked");
                    }
                    Ok(Answer::Users { users, .. }) => {
                        tracing::debug!(toggle = %key, users = ?names(users), "received the users from the policy");
                    }
                }
                self.machine.answered(toggle, answer, now);
            }
            Event::Prepared(toggle, target, result) => {
                self.ended(toggle);
                let key = &parts.toggles[toggle].toggle.key;
                self.note(key, target, result.as_ref().err(), "cannot prepare the toggle");
                self.machine.prepared(toggle, target, result, now);
            }
            Event::Written(toggle, target, users, result) => {
                self.ended(toggle);
                let key = &parts.toggles[toggle].toggle.key;
                self.note(key, target, result.as_ref().err(), "cannot write the toggle");
                if result.is_ok() {
                    let target = &parts.targets[target].id;
                    self.counters.wrote(target);
                    tracing::info!(toggle = %key, %target, users = users.len(), "wrote the toggle");
                }
                self.machine.written(toggle, target, result, now);
            }
            Event::Removed(target, key, result) => {
                self.note(&key, target, result.as_ref().err(), "cannot remove the toggle");
                match result {
                    Ok(()) => drop(self.removals.remove(&(target, key))),
                    Err(failure) => {
                        self.removals.entry((target, key)).or_default().failed(failure, now);
                    }
                }
            }
        }
    }

    /// Logs and counts the failure of a target.
    fn note(&mut self, toggle: &str, target: usize, failure: Option<&Failure>, what: &str) {
        let Some(failure) = failure else { return };
        let target = &self.parts.targets[target].id;
        self.counters.failed("target", target, failure.kind());
        tracing::warn!(%toggle, %target, error = failure.line(), "{what}");
    }

    /// Notes when a sync has ended, and when everything was tried once.
    ///
    /// Called after the actions were performed: a source with nothing under way then has
    /// nothing left to do at once.
    fn observe(&mut self, now: Instant) {
        for (index, (since, under_way)) in self.rounds.iter_mut().enumerate() {
            if *under_way == 0
                && let Some(since) = since.take()
            {
                self.counters.synced(&self.parts.sources[index].id, now - since);
            }
        }
        self.started = self.started || self.has_tried_everything();
    }

    /// Whether every source was queried and every toggle written, successfully or not.
    ///
    /// A toggle whose rule is undefined is tried once its targets are prepared: there is
    /// nothing to write. A source that cannot notice changes counts as tried, or else an
    /// unreachable OPAL client would keep the start from ending.
    fn has_tried_everything(&self) -> bool {
        let reports = |(index, source): (usize, &Source)| {
            source.has_begun() || self.sources[index].failure().is_some()
        };
        let cell_tried = |cell: &Cell| !cell.is_busy() && !cell.is_new();
        let toggle_tried = |toggle: &Toggle| {
            let fails = toggle.question.retry().failure().is_some();
            let source_fails = self.sources[toggle.source].failure().is_some();
            let is_asked = !toggle.question.is_open() || fails || source_fails;
            is_asked && toggle.cells.iter().all(|(_, cell)| cell_tried(cell))
        };
        self.parts.sources.iter().enumerate().all(reports)
            && self.machine.toggles().iter().all(toggle_tried)
    }

    /// Carries out a command. Nobody may be waiting for the reply any more, which is fine.
    fn answer(&mut self, command: Command) {
        match command {
            Command::Inspect(reply) => {
                let _ = reply.send((self.status(), self.counters.clone()));
            }
            Command::Confirm(key, reply) => {
                let toggle = self.parts.toggles.iter().position(|entry| entry.toggle.key == key);
                let confirmed = toggle.map(|toggle| self.machine.confirm(toggle));
                if confirmed.is_some_and(|changes| changes > 0) {
                    tracing::info!(toggle = %key, "confirmed the change that was held back");
                }
                let _ = reply.send(confirmed);
            }
            Command::Resync => self.resync(Instant::now()),
        }
    }

    /// A snapshot of how everything is doing.
    fn status(&self) -> Status {
        let now = Instant::now();
        let parts = &*self.parts;
        let toggles: Vec<_> = self
            .machine
            .toggles()
            .iter()
            .zip(&parts.toggles)
            .map(|(state, entry)| ToggleStatus {
                key: entry.toggle.key.clone(),
                source: parts.sources[state.source].id.clone(),
                users: state.question.policy().map(Users::len),
                failure: failure(state.question.retry(), now),
                empty_for: state.question.empty_since().map(|since| seconds(now - since)),
                targets: state
                    .cells
                    .iter()
                    .map(|(target, cell)| CellStatus {
                        target: parts.targets[*target].id.clone(),
                        in_step: cell.in_step().map(|at| seconds(now - at)),
                        failure: failure(cell.retry(), now),
                        held_back: cell.withheld().map(|withheld| HeldBack {
                            removed: withheld.removed,
                            of: withheld.of,
                        }),
                    })
                    .collect(),
            })
            .collect();
        let sources: Vec<_> = parts
            .sources
            .iter()
            .zip(&self.sources)
            .map(|(source, retry)| PartStatus {
                id: source.id.clone(),
                failure: failure(retry, now),
                failing: count(&toggles, |toggle| {
                    toggle.source == source.id && toggle.failure.is_some()
                }),
            })
            .collect();
        let removals: Vec<_> = self
            .removals
            .iter()
            .filter_map(|((target, key), retry)| {
                let (toggle, target) = (key.clone(), parts.targets[*target].id.clone());
                Some(RemovalStatus { toggle, target, failure: failure(retry, now)? })
            })
            .collect();
        let targets: Vec<_> = parts
            .targets
            .iter()
            .map(|target| PartStatus {
                id: target.id.clone(),
                failure: None,
                failing: count(&toggles, |toggle| {
                    let fails =
                        |cell: &CellStatus| cell.target == target.id && cell.failure.is_some();
                    toggle.targets.iter().any(fails)
                }) + removals.iter().filter(|removal| removal.target == target.id).count(),
            })
            .collect();
        let fails = |part: &PartStatus| part.failing > 0 || part.failure.is_some();
        let healthy = !sources.iter().chain(&targets).any(fails);
        Status { started: self.started, healthy, sources, targets, toggles, removals }
    }
}

/// The number of toggles for which `is` holds.
fn count(toggles: &[ToggleStatus], is: impl Fn(&ToggleStatus) -> bool) -> usize {
    toggles.iter().filter(|toggle| is(toggle)).count()
}

/// How a failure is reported, if there is one.
fn failure(retry: &Retry, now: Instant) -> Option<FailureStatus> {
    let failure = retry.failure()?;
    let since = retry.since().unwrap_or(now);
    Some(FailureStatus {
        kind: failure.kind().as_str(),
        error: failure.line(),
        seconds: seconds(now - since),
    })
}

/// The names of users, for a log at DEBUG.
fn names(users: &Users) -> Vec<&str> {
    users.iter().collect()
}

/// Waits until the answers of a source may have changed and have settled: changes within
/// [`SETTLE`] of each other are merged, for at most [`SETTLED`].
///
/// This drops calls of [`PolicySource::changed`] that have not returned, which is why
/// they must be cancel-safe. A failure while it settles is left to the next call.
///
/// [`PolicySource::changed`]: crate::optoggles::PolicySource::changed
async fn changed(source: &Source) -> Result<(), Failure> {
    source.source.changed().await?;
    let settled = timeout(SETTLED, async {
        while let Ok(Ok(())) = timeout(SETTLE, source.source.changed()).await {}
    });
    let _ = settled.await;
    Ok(())
}

/// Waits until an instant, or for ever without one.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}
