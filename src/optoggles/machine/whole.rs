//! The whole of the engine's state: every toggle's question and cells.

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
    toggles: Vec<Toggle>,
    /// The toggles to look at: something has happened to them.
    touched: BTreeSet<usize>,
}

/// The state of one toggle.
#[derive(Debug)]
pub(crate) struct Toggle {
    /// The index of its source.
    pub(crate) source: usize,
    pub(crate) question: Question,
    /// The indexes of its targets, and its state at each.
    pub(crate) cells: Vec<(usize, Cell)>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Ask the source which users the toggle has.
    Ask {
        /// The index of the toggle.
        toggle: usize,
    },
    /// Create or read the toggle at a target.
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
        /// The users.
        users: Users,
    },
}

impl Machine {
    /// The state of toggles of which nothing is known yet, each with the index of its source and
    /// those of its targets.
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

    /// Takes over what another machine knows of a toggle: the answers, and what those targets hold
    /// of which `is_same` says that they are the same.
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

    /// The answers of a source may have changed.
    pub(crate) fn trigger(&mut self, source: usize, now: Instant) {
        for (index, toggle) in self.toggles.iter_mut().enumerate() {
            if toggle.source == source {
                toggle.question.want(now);
                self.touched.insert(index);
            }
        }
    }

    /// Looks at everything again: what sources answer, and what targets hold.
    pub(crate) fn resync(&mut self, now: Instant) {
        for (index, toggle) in self.toggles.iter_mut().enumerate() {
            // A source that was never asked is not ready.
            if toggle.question.policy().is_some() || toggle.question.retry().failure().is_some() {
                toggle.question.want(now);
            }
            for (_, cell) in &mut toggle.cells {
                cell.reread(now);
            }
            self.touched.insert(index);
        }
    }

    /// A source has answered for a toggle.
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

    /// A target was prepared for a toggle.
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

    /// The users of a toggle were written to a target.
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

    /// Lets the changes of a toggle that are held back be made. Returns how many there are.
    pub(crate) fn confirm(&mut self, toggle: usize) -> usize {
        let Toggle { question, cells, .. } = &mut self.toggles[toggle];
        self.touched.insert(toggle);
        cells
            .iter_mut()
            .filter_map(|(_, cell)| cell.confirm(question.policy()).then_some(()))
            .count()
    }

    /// What is to be done now. Each action counts as under way until its result is given.
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

    /// When to look again, if nothing happens before.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.toggles.iter().filter_map(Toggle::due).min()
    }

    /// The state of every toggle, by its index.
    pub(crate) fn toggles(&self) -> &[Toggle] {
        &self.toggles
    }

    fn cell(&mut self, toggle: usize, target: usize) -> Option<&mut Cell> {
        let mut cells = self.toggles[toggle].cells.iter_mut();
        cells.find_map(|(index, cell)| (*index == target).then_some(cell))
    }
}

impl Toggle {
    fn due(&self) -> Option<Instant> {
        let cells = self.cells.iter().filter_map(|(_, cell)| cell.due());
        cells.chain(self.question.due()).min()
    }
}

impl Action {
    fn of(toggle: usize, target: usize, work: Work) -> Option<Self> {
        match work {
            Work::None => None,
            Work::Prepare => Some(Self::Prepare { toggle, target }),
            Work::Write(users) => Some(Self::Write { toggle, target, users }),
        }
    }
}
