//! The state of the whole engine: the question and the cells of every toggle.
//!
//! [`Machine`] routes events to the question or the cell that they are about, and
//! remembers which toggles were touched. [`Machine::actions`] then compares those
//! alone, and those with a retry or a confirmation that is due. With a thousand
//! toggles and one change, the sets of one toggle are compared and not of a thousand;
//! only the search for due instants goes through all.
//!
//! The caller's loop, in essence:
//!
//! ```text
//! loop {
//!     for action in machine.actions(now) { spawn(action) }
//!     wait for a result, a trigger, or machine.due()
//!     hand it to machine.answered, prepared, written, trigger, ...
//! }
//! ```

use std::collections::BTreeSet;

use tokio::time::Instant;

use super::{
    cell::{Cell, Work},
    question::Question,
    settings::Settings,
};
use crate::optoggles::{failure::Failure, source::Answer, target::Held, users::Users};

/// The state of all toggles.
#[derive(Debug)]
pub(crate) struct Machine {
    settings: Settings,
    /// By the index of the toggle.
    toggles: Vec<Toggle>,
    /// The indexes of the toggles to which something has happened since
    /// [`actions`](Self::actions) last looked. Ordered, so that actions come in the
    /// order of the configuration.
    touched: BTreeSet<usize>,
}

/// The state of one toggle.
#[derive(Debug)]
pub(crate) struct Toggle {
    /// The index of its source.
    pub(crate) source: usize,
    /// Which users the policy authorizes.
    pub(crate) question: Question,
    /// The index of each of its targets, and the toggle's state there. No target comes
    /// twice, since results are routed by that index.
    pub(crate) cells: Vec<(usize, Cell)>,
}

/// Work for the coordinator to perform.
///
/// Each action is answered by one call: `Ask` by [`Machine::answered`], `Prepare` by
/// [`Machine::prepared`], and `Write` by [`Machine::written`]. Until then nothing else
/// begins for that question or that cell. An answer that never comes would block it
/// for good, which is why every task sends one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Query the source of the toggle for its users.
    Ask {
        /// The index of the toggle.
        toggle: usize,
    },
    /// Create the toggle at a target if it does not exist, and read what it holds.
    Prepare {
        /// The index of the toggle.
        toggle: usize,
        /// The index of the target.
        target: usize,
    },
    /// Write the users of the toggle to a target.
    Write {
        /// The index of the toggle.
        toggle: usize,
        /// The index of the target.
        target: usize,
        /// All users that the toggle must have, not only those that change.
        users: Users,
    },
}

impl Machine {
    /// Creates the state of toggles of which nothing is known yet, each with the index
    /// of its source and those of its targets.
    pub(crate) fn new(
        settings: Settings,
        toggles: impl IntoIterator<Item = (usize, Vec<usize>)>,
    ) -> Self {
        let toggle = |(source, targets): (usize, Vec<usize>)| Toggle {
            source,
            question: Question::default(),
            cells: targets.into_iter().map(|target| (target, Cell::default())).collect(),
        };
        let toggles: Vec<_> = toggles.into_iter().map(toggle).collect();
        Self { settings, touched: (0..toggles.len()).collect(), toggles }
    }

    /// Notes the users that a target had when it was last written, before this program started.
    pub(crate) fn remember(&mut self, toggle: usize, target: usize, users: Users) {
        if let Some(cell) = self.cell(toggle, target) {
            cell.remember(users);
        }
    }

    /// Whether a target reports whom a toggle has.
    pub(crate) fn can_be_read(&self, toggle: usize, target: usize) -> bool {
        let mut cells = self.toggles[toggle].cells.iter();
        cells.any(|(index, cell)| *index == target && cell.can_be_read())
    }

    /// Takes over what another machine knows of a toggle, when the configuration was
    /// read again: the answers, and what the targets hold.
    ///
    /// `index` is the toggle's index in `former`, and `is_same(old, new)` says whether
    /// the target with the index `old` there is the one with the index `new` here.
    /// Cells of other targets start anew. Work that was under way at `former` counts as
    /// interrupted, since its result never comes here.
    pub(crate) fn adopt(
        &mut self,
        toggle: usize,
        former: &mut Self,
        index: usize,
        is_same: impl Fn(usize, usize) -> bool,
    ) {
        let (new, old) = (&mut self.toggles[toggle], &mut former.toggles[index]);
        new.question = std::mem::take(&mut old.question);
        new.question.interrupted();
        for (target, cell) in &mut new.cells {
            let found = old.cells.iter_mut().find(|(former, _)| is_same(*former, *target));
            if let Some((_, former)) = found {
                *cell = std::mem::take(former);
                cell.interrupted();
            }
        }
    }

    /// Notes that the answers of a source may have changed: every toggle of it is
    /// queried.
    pub(crate) fn trigger(&mut self, source: usize, now: Instant) {
        for (index, toggle) in self.toggles.iter_mut().enumerate() {
            if toggle.source == source {
                toggle.question.want(now);
                self.touched.insert(index);
            }
        }
    }

    /// Compares everything afresh: queries every toggle that was queried before, and
    /// reads every target that reports what it holds. Permanent failures are retried.
    pub(crate) fn resync(&mut self, now: Instant) {
        for (index, toggle) in self.toggles.iter_mut().enumerate() {
            // A toggle that was never queried has a source that is not ready: its first trigger
            // will query it.
            if toggle.question.policy().is_some() || toggle.question.retry().failure().is_some() {
                toggle.question.want(now);
            }
            for (_, cell) in &mut toggle.cells {
                cell.reread(now);
            }
            self.touched.insert(index);
        }
    }

    /// Takes the result of [`Action::Ask`].
    pub(crate) fn answered(
        &mut self,
        toggle: usize,
        answer: Result<Answer, Failure>,
        now: Instant,
    ) {
        let Toggle { question, cells, .. } = &mut self.toggles[toggle];
        if question.answered(answer, self.settings.empty_confirmation, now) {
            for (_, cell) in cells {
                cell.hasten(now);
            }
        }
        self.touched.insert(toggle);
    }

    /// Takes the result of [`Action::Prepare`].
    pub(crate) fn prepared(
        &mut self,
        toggle: usize,
        target: usize,
        result: Result<Held, Failure>,
        now: Instant,
    ) {
        if let Some(cell) = self.cell(toggle, target) {
            cell.prepared(result, now);
        }
        self.touched.insert(toggle);
    }

    /// Takes the result of [`Action::Write`].
    pub(crate) fn written(
        &mut self,
        toggle: usize,
        target: usize,
        result: Result<(), Failure>,
        now: Instant,
    ) {
        if let Some(cell) = self.cell(toggle, target) {
            cell.written(result, now);
        }
        self.touched.insert(toggle);
    }

    /// Releases the changes of a toggle that are held back for removing too many users.
    /// Returns at how many targets there were some.
    pub(crate) fn confirm(&mut self, toggle: usize) -> usize {
        let Toggle { question, cells, .. } = &mut self.toggles[toggle];
        self.touched.insert(toggle);
        cells
            .iter_mut()
            .filter_map(|(_, cell)| cell.confirm(question.policy()).then_some(()))
            .count()
    }

    /// Returns what must begin now. Each action counts as under way until its result is
    /// reported.
    pub(crate) fn actions(&mut self, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        let is_due = |toggle: &Toggle| toggle.due().is_some_and(|due| due <= now);
        let due = self.toggles.iter().enumerate().filter(|(_, toggle)| is_due(toggle));
        self.touched.extend(due.map(|(index, _)| index));
        for index in std::mem::take(&mut self.touched) {
            let Toggle { question, cells, .. } = &mut self.toggles[index];
            if question.ask(now) {
                actions.push(Action::Ask { toggle: index });
            }
            for (target, cell) in cells {
                let work = cell.next(question.policy(), &self.settings, now);
                actions.extend(work.and_then(|work| Action::of(index, *target, work)));
            }
        }
        actions
    }

    /// Returns when [`actions`](Self::actions) must be called again if nothing else
    /// happens; `None` if there is nothing to wait for.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.toggles.iter().filter_map(Toggle::due).min()
    }

    /// The state of every toggle, by its index.
    pub(crate) fn toggles(&self) -> &[Toggle] {
        &self.toggles
    }

    /// The cell of a toggle at a target, if it goes there.
    fn cell(&mut self, toggle: usize, target: usize) -> Option<&mut Cell> {
        let mut cells = self.toggles[toggle].cells.iter_mut();
        cells.find_map(|(index, cell)| (*index == target).then_some(cell))
    }
}

impl Toggle {
    /// When the toggle must be looked at again if nothing happens to it.
    fn due(&self) -> Option<Instant> {
        let cells = self.cells.iter().filter_map(|(_, cell)| cell.due());
        cells.chain(self.question.due()).min()
    }
}

impl Action {
    /// The action that does this work of a cell.
    fn of(toggle: usize, target: usize, work: Work) -> Option<Self> {
        match work {
            Work::None => None,
            Work::Prepare => Some(Self::Prepare { toggle, target }),
            Work::Write(users) => Some(Self::Write { toggle, target, users }),
        }
    }
}
