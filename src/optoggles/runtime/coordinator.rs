//! The one task that owns the [`Machine`]: it hands events to it, and does what it says.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, oneshot, watch},
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep_until, timeout, timeout_at},
};

use super::{
    counters::Counters,
    parts::{Entry, Parts, Source},
    status::{CellStatus, FailureStatus, HeldBack, PartStatus, Status, ToggleStatus, seconds},
};
use crate::optoggles::{
    failure::Failure,
    machine::{Action, Cell, Machine, Retry, Toggle},
    source::Answer,
    target::Prepared,
    users::Users,
};

/// Triggers of a source that follow each other so closely are one.
const SETTLE: Duration = Duration::from_millis(5);

/// How long triggers may go on to follow each other.
const SETTLED: Duration = Duration::from_millis(50);

/// How long a shutdown waits for the writes that are under way.
const GRACE: Duration = Duration::from_secs(7);

/// What sources and targets report.
enum Event {
    /// The answers of a source may have changed, or it cannot be noticed.
    Source(usize, Result<(), Failure>),
    Answered(usize, Result<Answer, Failure>),
    Prepared(usize, usize, Result<Prepared, Failure>),
    Written(usize, usize, Users, Result<(), Failure>),
}

/// What the engine is asked for from outside.
pub(crate) enum Command {
    /// How it is doing.
    Inspect(oneshot::Sender<(Status, Counters)>),
    /// To let the changes of a toggle that are held back be made; answered with how many there are,
    /// or none for a toggle that does not exist.
    Confirm(String, oneshot::Sender<Option<usize>>),
    /// To look at everything again.
    Resync,
}

/// The state of an engine that runs.
pub(crate) struct Coordinator {
    pub(crate) parts: Arc<Parts>,
    pub(crate) machine: Machine,
    pub(crate) counters: Counters,
    pub(crate) started: bool,
    /// Why changes of each source are not noticed.
    sources: Vec<Retry>,
    /// Since when each source is being synced, and how much of it is under way.
    rounds: Vec<(Option<Instant>, usize)>,
    events: (mpsc::UnboundedSender<Event>, mpsc::UnboundedReceiver<Event>),
    /// Writes must end; questions may be dropped.
    writes: JoinSet<()>,
    others: JoinSet<()>,
}

impl Coordinator {
    pub(crate) fn new(parts: Parts, machine: Machine) -> Self {
        Self {
            sources: parts.sources.iter().map(|_| Retry::default()).collect(),
            rounds: vec![(None, 0); parts.sources.len()],
            parts: Arc::new(parts),
            machine,
            counters: Counters::default(),
            started: false,
            events: mpsc::unbounded_channel(),
            writes: JoinSet::new(),
            others: JoinSet::new(),
        }
    }

    /// Runs a task beside, which a shutdown drops.
    pub(crate) fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.others.spawn(task);
    }

    /// Works until `stop` says so; what is being written is then finished.
    pub(crate) async fn run(
        &mut self,
        commands: &mut mpsc::Receiver<Command>,
        stop: &mut watch::Receiver<bool>,
    ) {
        let watching: Vec<_> =
            (0..self.parts.sources.len()).map(|index| self.watch(index)).collect();
        let begun = Instant::now();
        for (index, source) in self.parts.clone().sources.iter().enumerate() {
            // One that was there before the configuration was read again.
            if source.has_begun() {
                self.take(Event::Source(index, Ok(())), begun);
            }
        }
        let resync = self.parts.resync;
        let mut resync_at = (!resync.is_zero()).then(|| begun + resync);
        loop {
            let now = Instant::now();
            for action in self.machine.actions(now) {
                self.perform(action);
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
                        self.machine.resync(now);
                        resync_at = Some(now + resync);
                    }
                }
            }
            while self.writes.try_join_next().is_some() {}
            while self.others.try_join_next().is_some() {}
        }
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

    /// Reports whenever the answers of a source may have changed.
    fn watch(&mut self, index: usize) -> AbortHandle {
        let (source, sender) = (self.parts.sources[index].clone(), self.events.0.clone());
        self.others.spawn(async move {
            let mut retry = Retry::default();
            loop {
                let changed = changed(&source).await;
                let pause = match &changed {
                    Ok(()) => {
                        retry.succeeded();
                        None
                    }
                    Err(failure) => {
                        retry.failed(failure.clone(), Instant::now());
                        retry.due()
                    }
                };
                if sender.send(Event::Source(index, changed)).is_err() {
                    return;
                }
                if let Some(pause) = pause {
                    sleep_until(pause).await;
                }
            }
        })
    }

    /// Begins what the machine wants to be done.
    fn perform(&mut self, action: Action) {
        let (parts, sender) = (self.parts.clone(), self.events.0.clone());
        match action {
            Action::Ask { toggle } => {
                let source = parts.toggles[toggle].source;
                self.begin(toggle);
                self.others.spawn(async move {
                    let Source { source, room, .. } = &parts.sources[source];
                    let _permit = room.acquire().await;
                    let answer = source.users(&parts.toggles[toggle].toggle.rule).await;
                    let _ = sender.send(Event::Answered(toggle, answer));
                });
            }
            Action::Prepare { toggle, target } => {
                self.begin(toggle);
                self.writes.spawn(async move {
                    let part = &parts.targets[target];
                    let _permit = part.room.acquire().await;
                    let result = part.target.prepare(&parts.toggles[toggle].toggle).await;
                    let _ = sender.send(Event::Prepared(toggle, target, result));
                });
            }
            Action::Write { toggle, target, users } => {
                self.begin(toggle);
                self.writes.spawn(async move {
                    let part = &parts.targets[target];
                    let _permit = part.room.acquire().await;
                    let result = part.target.write(&parts.toggles[toggle].toggle, &users).await;
                    let _ = sender.send(Event::Written(toggle, target, users, result));
                });
            }
        }
    }

    fn begin(&mut self, toggle: usize) {
        self.rounds[self.parts.toggles[toggle].source].1 += 1;
    }

    fn ended(&mut self, toggle: usize) {
        self.rounds[self.parts.toggles[toggle].source].1 -= 1;
    }

    /// Hands an event to the machine.
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
                        tracing::warn!(toggle = %key, %source, %rule, error, "cannot ask for the users");
                    }
                    Ok(Answer::Undefined) => {
                        tracing::warn!(toggle = %key, %rule, "the rule is undefined: nobody is revoked");
                    }
                    Ok(Answer::Users { users, .. }) => {
                        tracing::debug!(toggle = %key, users = ?names(users), "the policy has answered");
                    }
                }
                self.machine.answered(toggle, answer, now);
            }
            Event::Prepared(toggle, target, result) => {
                self.ended(toggle);
                let result = result.and_then(|prepared| {
                    if let Some(record) = parts.record.as_ref().filter(|_| prepared.created) {
                        let Entry { toggle, .. } = &parts.toggles[toggle];
                        let target = &parts.targets[target].id;
                        let created = record.create(target, &toggle.key, &toggle.spec);
                        created.map_err(Failure::temporary)?;
                    }
                    Ok(prepared.held)
                });
                self.note(toggle, target, result.as_ref().err(), "cannot prepare the toggle");
                self.machine.prepared(toggle, target, result, now);
            }
            Event::Written(toggle, target, users, result) => {
                self.ended(toggle);
                self.note(toggle, target, result.as_ref().err(), "cannot write the toggle");
                if result.is_ok() {
                    let (key, target) =
                        (&parts.toggles[toggle].toggle.key, &parts.targets[target].id);
                    self.counters.wrote(target);
                    tracing::info!(toggle = %key, %target, users = users.len(), "wrote the toggle");
                }
                self.machine.written(toggle, target, result, now);
            }
        }
    }

    /// Logs and counts the failure of a target.
    fn note(&mut self, toggle: usize, target: usize, failure: Option<&Failure>, what: &str) {
        let Some(failure) = failure else { return };
        let (key, target) =
            (&self.parts.toggles[toggle].toggle.key, &self.parts.targets[target].id);
        self.counters.failed("target", target, failure.kind());
        tracing::warn!(toggle = %key, %target, error = failure.line(), "{what}");
    }

    /// Notes the ends of syncs, and of the start.
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

    fn answer(&mut self, command: Command) {
        match command {
            Command::Inspect(reply) => {
                let _ = reply.send((self.status(), self.counters.clone()));
            }
            Command::Confirm(key, reply) => {
                let toggle = self.parts.toggles.iter().position(|entry| entry.toggle.key == key);
                let confirmed = toggle.map(|toggle| self.machine.confirm(toggle));
                if confirmed.is_some_and(|changes| changes > 0) {
                    tracing::info!(toggle = %key, "the change that was held back is confirmed");
                }
                let _ = reply.send(confirmed);
            }
            Command::Resync => self.machine.resync(Instant::now()),
        }
    }

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
                }),
            })
            .collect();
        let fails = |part: &PartStatus| part.failing > 0 || part.failure.is_some();
        let healthy = !sources.iter().chain(&targets).any(fails);
        Status { started: self.started, healthy, sources, targets, toggles }
    }
}

fn count(toggles: &[ToggleStatus], is: impl Fn(&ToggleStatus) -> bool) -> usize {
    toggles.iter().filter(|toggle| is(toggle)).count()
}

fn failure(retry: &Retry, now: Instant) -> Option<FailureStatus> {
    let failure = retry.failure()?;
    let since = retry.since().unwrap_or(now);
    Some(FailureStatus {
        kind: failure.kind().as_str(),
        error: failure.line(),
        seconds: seconds(now - since),
    })
}

fn names(users: &Users) -> Vec<&str> {
    users.iter().collect()
}

/// Returns once the answers of a source may have changed, and not more often than it settles.
async fn changed(source: &Source) -> Result<(), Failure> {
    source.source.changed().await?;
    let settled = timeout(SETTLED, async {
        while let Ok(Ok(())) = timeout(SETTLE, source.source.changed()).await {}
    });
    let _ = settled.await;
    Ok(())
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}
