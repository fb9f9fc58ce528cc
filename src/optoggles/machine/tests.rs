//! Property tests: the state machine in a simulated world in which anything may happen. Sources answer,
//! fail and lose their data, targets fail and are edited by hand, time passes, and the program is killed
//! and started again.

use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::{Action, Machine, Settings};
use crate::optoggles::{
    failure::Failure,
    source::Answer,
    target::{Held, merge},
    users::Users,
};

const PAUSE: Duration = Duration::from_secs(30);

/// Something that may happen. Numbers are those of sources, targets and toggles; sets of users are some
/// of `a` to `e`, as bits.
#[derive(Clone, Debug)]
enum Happening {
    /// The policy of a source authorizes other users.
    Policy(usize, u8),
    /// OPA has lost its data (empty sets), its policy (undefined), or works.
    Opa(usize, Opa),
    /// A source notices a change.
    Notice(usize),
    /// A target works, fails, or fails for good.
    Target(usize, Works),
    /// Somebody edits the list of a toggle at a target by hand: makes it this one, or adds these to a
    /// list that is merged.
    Edit(usize, usize, u8),
    /// Somebody takes users off the list of a toggle that is merged.
    TakeOff(usize, u8),
    /// Somebody confirms the changes of a toggle that are held back.
    Confirm(usize),
    /// The periodic resync.
    Resync,
    /// The program is killed and starts again. The bits say how far each write came.
    Restart(u8),
    /// The configuration is read again; the writes that take too long end as the bits say.
    Reload(u8),
    /// Some of the work under way ends.
    End(u8),
    /// Time passes.
    Pass(u32),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Opa {
    Works,
    Empty,
    Undefined,
    Fails,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Works {
    Yes,
    NotNow,
    Never,
    /// The write takes effect, and its response is lost.
    Unheard,
}

fn happenings() -> impl Strategy<Value = Happening> {
    let opa =
        prop_oneof![Just(Opa::Works), Just(Opa::Empty), Just(Opa::Undefined), Just(Opa::Fails)];
    let works = prop_oneof![
        Just(Works::Yes),
        Just(Works::NotNow),
        Just(Works::Never),
        Just(Works::Unheard)
    ];
    prop_oneof![
        3 => (0..2_usize, 0..8_u8).prop_map(|(source, users)| Happening::Policy(source, users)),
        2 => (0..2_usize, opa).prop_map(|(source, opa)| Happening::Opa(source, opa)),
        4 => (0..2_usize).prop_map(Happening::Notice),
        3 => (0..3_usize, works).prop_map(|(target, works)| Happening::Target(target, works)),
        2 => (0..2_usize, 0..3_usize, any::<u8>())
            .prop_map(|(toggle, target, users)| Happening::Edit(toggle, target, users)),
        1 => (0..2_usize, any::<u8>()).prop_map(|(toggle, users)| Happening::TakeOff(toggle, users)),
        1 => (0..2_usize).prop_map(Happening::Confirm),
        1 => Just(Happening::Resync),
        2 => any::<u8>().prop_map(Happening::Restart),
        2 => any::<u8>().prop_map(Happening::Reload),
        10 => any::<u8>().prop_map(Happening::End),
        3 => (0..400_000_u32).prop_map(Happening::Pass),
    ]
}

fn users(bits: u8) -> Users {
    (0..5).filter(|bit| bits & (1 << bit) != 0).map(|bit| ["a", "b", "c", "d", "e"][bit]).collect()
}

/// The target that reports what it holds.
const READABLE: usize = 0;
/// The target that does not.
const BLIND: usize = 1;
/// The target whose lists are merged with what people add by hand.
const MERGED: usize = 2;

/// Two toggles, each of a source of its own, at three targets.
struct World {
    settings: Settings,
    machine: Machine,
    now: Instant,
    /// By the source, whose number is that of its toggle.
    policies: [Users; 2],
    opas: [Opa; 2],
    /// By the target.
    works: [Works; 3],
    /// By the toggle and the target.
    lists: [[Users; 3]; 2],
    under_way: Vec<Action>,
    /// All users that an answer for a toggle has ever named.
    named: [Users; 2],
    /// What is recorded of the merged lists: whom this program has added.
    added: [Users; 2],
    /// Who was added to the merged lists by hand, and is still there.
    by_hand: [Users; 2],
    /// What is recorded of the lists that cannot be read: what was written last.
    last: [Option<Users>; 2],
    /// How many lists were written.
    writes: usize,
}

impl World {
    fn new(max_removed: Option<f64>) -> Self {
        let settings = Settings { empty_confirmation: PAUSE, max_removed };
        let mut world = Self {
            settings,
            machine: machine(settings),
            now: Instant::now(),
            policies: Default::default(),
            opas: [Opa::Works; 2],
            works: [Works::Yes; 3],
            lists: Default::default(),
            under_way: Vec::new(),
            named: Default::default(),
            added: Default::default(),
            by_hand: Default::default(),
            last: Default::default(),
            writes: 0,
        };
        world.begin();
        world
    }

    /// The sources report for the first time.
    fn begin(&mut self) {
        for source in 0..2 {
            self.machine.trigger(source, self.now);
        }
    }

    fn happen(&mut self, happening: &Happening) {
        match *happening {
            Happening::Policy(source, bits) => self.policies[source] = users(bits),
            Happening::Opa(source, opa) => self.opas[source] = opa,
            Happening::Notice(source) => self.machine.trigger(source, self.now),
            Happening::Target(target, works) => self.works[target] = works,
            Happening::Edit(toggle, MERGED, bits) => {
                let list = &mut self.lists[toggle][MERGED];
                // Who is on the list or recorded already cannot be told from who is there for the
                // policy.
                let new = users(bits).without(list).without(&self.added[toggle]);
                self.by_hand[toggle] = self.by_hand[toggle].with(&new);
                *list = list.with(&users(bits));
            }
            Happening::Edit(toggle, target, bits) => self.lists[toggle][target] = users(bits),
            Happening::TakeOff(toggle, bits) => {
                for list in [&mut self.lists[toggle][MERGED], &mut self.by_hand[toggle]] {
                    *list = list.without(&users(bits));
                }
            }
            Happening::Confirm(toggle) => {
                self.machine.confirm(toggle);
            }
            Happening::Resync => self.machine.resync(self.now),
            Happening::Restart(bits) => {
                self.interrupt(bits);
                self.machine = machine(self.settings);
                for (toggle, last) in self.last.iter().enumerate() {
                    if let Some(last) = last {
                        self.machine.remember(toggle, BLIND, last.clone());
                    }
                }
                self.begin();
            }
            Happening::Reload(bits) => {
                self.interrupt(bits);
                let mut former = std::mem::replace(&mut self.machine, machine(self.settings));
                for toggle in 0..2 {
                    self.machine.adopt(toggle, &mut former, toggle, |old, new| old == new);
                }
                self.begin();
            }
            Happening::End(which) => {
                if !self.under_way.is_empty() {
                    let action = self.under_way.swap_remove(which as usize % self.under_way.len());
                    self.end(action);
                }
            }
            Happening::Pass(milliseconds) => self.now += Duration::from_millis(milliseconds.into()),
        }
        self.under_way.extend(self.machine.actions(self.now));
    }

    /// Drops the work under way. How far each write has come, nobody will know.
    fn interrupt(&mut self, bits: u8) {
        for (index, action) in std::mem::take(&mut self.under_way).into_iter().enumerate() {
            if let Action::Write { toggle, target, users } = action {
                match (usize::from(bits) + index) % 3 {
                    0 => {}
                    1 => self.write(toggle, target, &users, Works::NotNow),
                    _ => self.write(toggle, target, &users, Works::Unheard),
                }
            }
        }
    }

    /// Ends a piece of work with the result that the present world gives.
    fn end(&mut self, action: Action) {
        match action {
            Action::Ask { toggle } => {
                let answer = match self.opas[toggle] {
                    Opa::Works => Ok(Answer::users(self.policies[toggle].clone())),
                    Opa::Empty => Ok(Answer::users(Users::default())),
                    Opa::Undefined => Ok(Answer::Undefined),
                    Opa::Fails => Err(Failure::temporary("down")),
                };
                if let Ok(Answer::Users { users, .. }) = &answer {
                    self.named[toggle] = self.named[toggle].with(users);
                }
                self.machine.answered(toggle, answer, self.now);
            }
            Action::Prepare { toggle, target } => {
                let list = self.lists[toggle][target].clone();
                let held = match target {
                    READABLE => Held::users(list),
                    BLIND => Held::Unknown,
                    _ => {
                        let anywhere = self.added[toggle].clone();
                        Held::Users { everywhere: list, anywhere, in_force: true }
                    }
                };
                let result = outcome(self.works[target]).map(|()| held);
                self.machine.prepared(toggle, target, result, self.now);
            }
            Action::Write { toggle, target, users } => {
                self.writes += 1;
                let works = self.works[target];
                self.write(toggle, target, &users, works);
                self.machine.written(toggle, target, outcome(works), self.now);
            }
        }
    }

    /// Writes a list, with what is recorded of it before and after.
    fn write(&mut self, toggle: usize, target: usize, users: &Users, works: Works) {
        let stranger = users.without(&self.named[toggle]);
        assert_eq!(stranger, Users::default(), "nobody named them");
        let has_effect = matches!(works, Works::Yes | Works::Unheard);
        let list = &mut self.lists[toggle][target];
        if target == MERGED {
            let added = &mut self.added[toggle];
            let merged = merge(users, list, added, &Users::default());
            *added = if works == Works::Yes { merged.added } else { added.with(&merged.added) };
            if has_effect {
                *list = merged.list;
            }
            return;
        }
        if has_effect {
            *list = users.clone();
        }
        if target == BLIND && works == Works::Yes && self.settings.max_removed.is_some() {
            self.last[toggle] = Some(users.clone());
        }
    }

    /// Lets everything work from now on, and time pass until there is nothing left to do.
    fn settle(&mut self) {
        self.opas = [Opa::Works; 2];
        self.works = [Works::Yes; 3];
        self.machine.resync(self.now);
        for source in 0..2 {
            self.happen(&Happening::Notice(source));
        }
        for _ in 0..400 {
            while let Some(action) = self.under_way.pop() {
                self.end(action);
                self.under_way.extend(self.machine.actions(self.now));
            }
            if self.machine.confirm(0) + self.machine.confirm(1) > 0 {
                self.under_way.extend(self.machine.actions(self.now));
                continue;
            }
            match self.machine.due() {
                Some(due) => self.now = self.now.max(due),
                None => return,
            }
            self.under_way.extend(self.machine.actions(self.now));
        }
        panic!("there is always something left to do");
    }
}

/// A machine that knows nothing.
fn machine(settings: Settings) -> Machine {
    let targets = || vec![READABLE, BLIND, MERGED];
    Machine::new(settings, [(0, targets()), (1, targets())])
}

fn outcome(works: Works) -> Result<(), Failure> {
    match works {
        Works::Yes => Ok(()),
        Works::NotNow | Works::Unheard => Err(Failure::temporary("lost")),
        Works::Never => Err(Failure::permanent("no")),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happened: once everything works, each target has what the policy says, and a merged
    /// list also who was added by hand.
    #[test]
    fn in_the_end_the_targets_have_what_the_policy_says(
        happenings in prop::collection::vec(happenings(), 0..60),
        limit in prop_oneof![Just(None), Just(Some(0.5)), Just(Some(0.0))],
    ) {
        let mut world = World::new(limit);
        // Nobody can know what was edited by hand at a target that cannot be read.
        let is_blind = |toggle: usize| {
            let edits = |happening: &Happening| {
                matches!(happening, Happening::Edit(edited, BLIND, _) if *edited == toggle)
            };
            happenings.iter().any(edits)
        };
        for happening in &happenings {
            world.happen(happening);
        }
        world.settle();
        for (toggle, (lists, policy)) in world.lists.iter().zip(&world.policies).enumerate() {
            prop_assert_eq!(&lists[READABLE], policy);
            prop_assert!(is_blind(toggle) || lists[BLIND] == *policy);
            prop_assert_eq!(&lists[MERGED], &policy.with(&world.by_hand[toggle]));
        }
        // Nothing is written when nothing changed.
        let writes = world.writes;
        world.settle();
        prop_assert_eq!(world.writes, writes);
    }

    /// Where no answer was shorter than the one before, nobody loses a toggle, whatever else happens.
    #[test]
    fn what_is_undefined_revokes_nobody(
        happenings in prop::collection::vec(happenings(), 0..60),
        first in 1..32_u8,
    ) {
        let mut world = World::new(None);
        world.policies = [users(first), users(first)];
        world.settle();
        for happening in happenings {
            match happening {
                // The data is lost for less than the pause at a time.
                Happening::Policy(..)
                | Happening::Edit(..)
                | Happening::TakeOff(..)
                | Happening::Opa(_, Opa::Empty) => {}
                other => world.happen(&other),
            }
            for held in world.lists.iter().flatten() {
                prop_assert_eq!(held, &users(first));
            }
        }
    }

    /// An OPA that has lost its data for less than the pause revokes nobody.
    #[test]
    fn what_is_empty_for_less_than_the_pause_revokes_nobody(
        happenings in prop::collection::vec(happenings(), 0..40),
        first in 1..32_u8,
    ) {
        let mut world = World::new(None);
        world.policies = [users(first), users(first)];
        world.settle();
        let mut passed = Duration::ZERO;
        world.opas = [Opa::Empty; 2];
        for happening in happenings {
            match happening {
                Happening::Policy(..)
                | Happening::Edit(..)
                | Happening::TakeOff(..)
                | Happening::Opa(_, Opa::Empty | Opa::Works) => continue,
                Happening::Pass(milliseconds) => {
                    passed += Duration::from_millis(milliseconds.into());
                    if passed >= PAUSE {
                        break;
                    }
                    world.happen(&Happening::Pass(milliseconds));
                }
                other => world.happen(&other),
            }
            for held in world.lists.iter().flatten() {
                prop_assert_eq!(held, &users(first));
            }
        }
    }
}

/// Ends all work that is under way, with the results that the present world gives.
fn end_all(world: &mut World) {
    world.under_way.extend(world.machine.actions(world.now));
    while let Some(action) = world.under_way.pop() {
        world.end(action);
        world.under_way.extend(world.machine.actions(world.now));
    }
}

#[test]
fn a_write_that_a_reload_has_interrupted_may_have_taken_effect() {
    let mut world = World::new(None);
    world.policies[0] = users(1);
    world.settle();
    world.policies[0] = users(2);
    world.happen(&Happening::Notice(0));
    world.happen(&Happening::End(0));
    assert_eq!(world.under_way.len(), 3, "three writes");
    // The policy takes it back while they are under way.
    world.policies[0] = users(1);
    world.happen(&Happening::Notice(0));
    world.happen(&Happening::End(3));
    assert_eq!(world.under_way.len(), 3, "the same writes");
    world.happen(&Happening::Reload(1));
    assert_eq!(world.lists[0][BLIND], users(2));
    world.settle();
    assert_eq!(world.lists[0][BLIND], users(1));
}

#[test]
fn an_outage_of_ten_minutes_with_fifty_changes_is_one_write_at_its_end() {
    let mut world = World::new(None);
    world.policies[0] = users(1);
    world.settle();
    let writes = world.writes;
    world.works[1] = Works::NotNow;
    let mut failed = 0;
    for change in 0..50_u8 {
        world.policies[0] = users(2 + change % 30);
        world.now += Duration::from_secs(12);
        world.happen(&Happening::Notice(0));
        end_all(&mut world);
        failed = world.writes;
    }
    world.works[1] = Works::Yes;
    world.now += Duration::from_secs(16);
    end_all(&mut world);
    assert_eq!(world.writes - failed, 1);
    assert_eq!(world.lists[0][1], world.policies[0]);
    assert!(writes < failed, "the outage was noticed");
}

#[test]
fn a_set_that_stays_empty_is_written_after_the_pause_and_not_before() {
    let mut world = World::new(None);
    world.policies[0] = users(3);
    world.settle();
    world.opas[0] = Opa::Empty;
    world.happen(&Happening::Notice(0));
    end_all(&mut world);
    assert_eq!(world.machine.due(), Some(world.now + PAUSE));
    assert!(world.machine.toggles()[0].question.empty_since().is_some());
    world.now += Duration::from_millis(29_999);
    world.happen(&Happening::Notice(0));
    end_all(&mut world);
    assert_eq!(world.lists[0][0], users(3));
    world.now += Duration::from_millis(1);
    end_all(&mut world);
    assert_eq!(world.lists[0].each_ref().map(Users::len), [0; 3]);
    assert_eq!(world.machine.due(), None);
}

#[test]
fn an_empty_set_that_is_vouched_for_is_written_at_once() {
    let mut world = World::new(None);
    world.policies[0] = users(3);
    world.settle();
    world.machine.trigger(0, world.now);
    let asks = world.machine.actions(world.now);
    assert_eq!(asks, [Action::Ask { toggle: 0 }]);
    let empty = Answer::Users { users: Users::default(), vouched: true };
    world.machine.answered(0, Ok(empty), world.now);
    assert_eq!(world.machine.actions(world.now).len(), 3);
}

#[test]
fn a_change_beyond_the_limit_waits_for_a_confirmation_or_for_the_policy_to_take_it_back() {
    let mut world = World::new(Some(0.5));
    world.policies[0] = users(0b1111);
    world.settle();
    world.policies[0] = users(0b0001);
    world.happen(&Happening::Notice(0));
    end_all(&mut world);
    assert_eq!(world.lists[0][0], users(0b1111));
    let withheld = world.machine.toggles()[0].cells[0].1.withheld().unwrap();
    assert_eq!((withheld.removed, withheld.of), (3, 4));
    assert!(world.machine.toggles()[0].cells[0].1.retry().failure().is_none(), "no failure");

    world.policies[0] = users(0b0111);
    world.happen(&Happening::Notice(0));
    end_all(&mut world);
    assert_eq!(world.lists[0][0], users(0b0111));
    assert_eq!(world.machine.confirm(0), 0, "nothing is held back");

    world.policies[0] = users(0b1000);
    world.happen(&Happening::Notice(0));
    end_all(&mut world);
    assert_eq!(world.machine.confirm(0), 3);
    end_all(&mut world);
    assert_eq!(world.lists[0][1], users(0b1000));
}

#[test]
fn a_confirmation_is_for_the_change_that_it_was_given_for() {
    let mut world = World::new(Some(0.5));
    world.policies[0] = users(0b1111);
    world.settle();
    world.works = [Works::NotNow; 3];
    world.policies[0] = users(0b0001);
    world.happen(&Happening::Notice(0));
    end_all(&mut world);
    assert_eq!(world.machine.confirm(0), 3);
    world.policies[0] = users(0b0010);
    world.happen(&Happening::Notice(0));
    end_all(&mut world);
    world.now += PAUSE;
    world.works = [Works::Yes; 3];
    end_all(&mut world);
    world.now += PAUSE;
    end_all(&mut world);
    assert_eq!(world.lists[0][0], users(0b1111));
}

#[test]
fn toggles_do_not_wait_for_each_other() {
    let mut machine = Machine::new(Settings::default(), [(0, vec![0]), (0, vec![0])]);
    let now = Instant::now();
    machine.trigger(0, now);
    assert_eq!(machine.actions(now).len(), 4, "two questions, two preparations");
    machine.answered(0, Err(Failure::permanent("no")), now);
    machine.prepared(0, 0, Err(Failure::permanent("no")), now);
    machine.answered(1, Ok(Answer::users(users(1))), now);
    machine.prepared(1, 0, Ok(Held::Unknown), now);
    let write = Action::Write { toggle: 1, target: 0, users: users(1) };
    assert_eq!(machine.actions(now), [write]);
    assert_eq!(machine.due(), Some(now + Duration::from_secs(300)));
}
