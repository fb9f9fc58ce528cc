//! Property tests: the state machine in a simulated world in which anything may happen. Sources answer,
//! fail and lose their data, targets fail and are edited by hand, and the clock jumps.

use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::{Action, Machine, Settings};
use crate::optoggles::{failure::Failure, source::Answer, target::Held, users::Users};

const PAUSE: Duration = Duration::from_secs(30);

/// Something that may happen.
#[derive(Clone, Debug)]
enum Happening {
    /// The policy authorizes other users: some of `a` to `e`, as bits.
    Policy(u8),
    /// OPA has lost its data (empty sets), its policy (undefined), or works.
    Opa(Opa),
    /// The source notices a change.
    Notice,
    /// A target works, fails, or fails for good.
    Target(usize, Works),
    /// Somebody edits a list by hand.
    Edit(usize, u8),
    /// Somebody confirms the changes that are held back.
    Confirm,
    /// The periodic resync.
    Resync,
    /// The program is killed and starts again, and knows nothing; or the configuration is read again,
    /// and a successor takes over. What was under way takes effect, or not.
    Restart(bool, u8),
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
        3 => any::<u8>().prop_map(Happening::Policy),
        2 => opa.prop_map(Happening::Opa),
        4 => Just(Happening::Notice),
        2 => (0..2_usize, works).prop_map(|(target, works)| Happening::Target(target, works)),
        1 => (0..2_usize, any::<u8>()).prop_map(|(target, users)| Happening::Edit(target, users)),
        1 => Just(Happening::Confirm),
        1 => Just(Happening::Resync),
        1 => any::<(bool, u8)>().prop_map(|(reloads, bits)| Happening::Restart(reloads, bits)),
        8 => any::<u8>().prop_map(Happening::End),
        3 => (0..400_000_u32).prop_map(Happening::Pass),
    ]
}

fn users(bits: u8) -> Users {
    (0..5).filter(|bit| bits & (1 << bit) != 0).map(|bit| ["a", "b", "c", "d", "e"][bit]).collect()
}

fn machine(settings: Settings) -> Machine {
    Machine::new(settings, [(0, vec![0, 1])])
}

/// One toggle at two targets, of which the second does not report what it holds.
struct World {
    settings: Settings,
    machine: Machine,
    now: Instant,
    policy: Users,
    opa: Opa,
    targets: [(Users, Works); 2],
    under_way: Vec<Action>,
    /// All users that an answer has ever named, or that were added by hand.
    named: Users,
    /// How many lists were written.
    writes: usize,
}

impl World {
    fn new(max_removed: Option<f64>) -> Self {
        let settings = Settings { empty_confirmation: PAUSE, max_removed };
        let mut machine = machine(settings);
        let now = Instant::now();
        machine.trigger(0, now);
        Self {
            settings,
            machine,
            now,
            policy: Users::default(),
            opa: Opa::Works,
            targets: [(Users::default(), Works::Yes), (Users::default(), Works::Yes)],
            under_way: Vec::new(),
            named: Users::default(),
            writes: 0,
        }
    }

    fn happen(&mut self, happening: &Happening) {
        match *happening {
            Happening::Policy(bits) => self.policy = users(bits),
            Happening::Opa(opa) => self.opa = opa,
            Happening::Notice => self.machine.trigger(0, self.now),
            Happening::Target(target, works) => self.targets[target].1 = works,
            Happening::Edit(target, bits) => {
                self.targets[target].0 = users(bits);
                self.named = self.named.with(&users(bits));
            }
            Happening::Confirm => {
                self.machine.confirm(0);
            }
            Happening::Resync => self.machine.resync(self.now),
            Happening::Restart(reloads, bits) => self.restart(reloads, bits),
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

    /// Goes on with another machine; `bits` says which of the work under way still takes effect.
    fn restart(&mut self, reloads: bool, bits: u8) {
        for (index, action) in std::mem::take(&mut self.under_way).into_iter().enumerate() {
            if let Action::Write { target, users, .. } = action
                && bits & (1 << index) != 0
                && matches!(self.targets[target].1, Works::Yes | Works::Unheard)
            {
                self.targets[target].0 = users;
            }
        }
        let mut former = std::mem::replace(&mut self.machine, machine(self.settings));
        if reloads {
            self.machine.adopt(0, &mut former, 0, |old, new| old == new);
        }
        self.machine.trigger(0, self.now);
    }

    /// Ends a piece of work with the result that the present world gives.
    fn end(&mut self, action: Action) {
        match action {
            Action::Ask { toggle } => {
                let answer = match self.opa {
                    Opa::Works => Ok(Answer::users(self.policy.clone())),
                    Opa::Empty => Ok(Answer::users(Users::default())),
                    Opa::Undefined => Ok(Answer::Undefined),
                    Opa::Fails => Err(Failure::temporary("down")),
                };
                if let Ok(Answer::Users { users, .. }) = &answer {
                    self.named = self.named.with(users);
                }
                self.machine.answered(toggle, answer, self.now);
            }
            Action::Prepare { toggle, target } => {
                let (held, works) = &self.targets[target];
                let held = if target == 0 { Held::users(held.clone()) } else { Held::Unknown };
                let result = outcome(*works).map(|()| held);
                self.machine.prepared(toggle, target, result, self.now);
            }
            Action::Write { toggle, target, users } => {
                self.writes += 1;
                assert_eq!(users.without(&self.named), Users::default(), "nobody named them");
                let works = self.targets[target].1;
                if matches!(works, Works::Yes | Works::Unheard) {
                    self.targets[target].0 = users;
                }
                self.machine.written(toggle, target, outcome(works), self.now);
            }
        }
    }

    /// Lets everything work from now on, and time pass until there is nothing left to do.
    fn settle(&mut self) {
        self.opa = Opa::Works;
        self.targets.iter_mut().for_each(|(_, works)| *works = Works::Yes);
        self.machine.resync(self.now);
        self.happen(&Happening::Notice);
        for _ in 0..200 {
            while let Some(action) = self.under_way.pop() {
                self.end(action);
                self.under_way.extend(self.machine.actions(self.now));
            }
            if self.machine.confirm(0) > 0 {
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

fn outcome(works: Works) -> Result<(), Failure> {
    match works {
        Works::Yes => Ok(()),
        Works::NotNow | Works::Unheard => Err(Failure::temporary("lost")),
        Works::Never => Err(Failure::permanent("no")),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happened: once everything works, each target has what the policy says.
    #[test]
    fn in_the_end_the_targets_have_what_the_policy_says(
        happenings in prop::collection::vec(happenings(), 0..60),
        limit in prop_oneof![Just(None), Just(Some(0.5)), Just(Some(0.0))],
    ) {
        let mut world = World::new(limit);
        // Nobody can know what was edited by hand at a target that cannot be read.
        let blind = happenings.iter().any(|happening| matches!(happening, Happening::Edit(1, _)));
        for happening in &happenings {
            world.happen(happening);
        }
        world.settle();
        prop_assert_eq!(&world.targets[0].0, &world.policy);
        prop_assert!(blind || world.targets[1].0 == world.policy);
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
        world.policy = users(first);
        world.settle();
        for happening in happenings {
            match happening {
                // The data is lost for less than the pause at a time.
                Happening::Policy(_) | Happening::Edit(..) | Happening::Opa(Opa::Empty) => {}
                other => world.happen(&other),
            }
            for (held, _) in &world.targets {
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
        world.policy = users(first);
        world.settle();
        let mut passed = Duration::ZERO;
        world.opa = Opa::Empty;
        for happening in happenings {
            match happening {
                Happening::Policy(_)
                | Happening::Edit(..)
                | Happening::Opa(Opa::Empty | Opa::Works) => continue,
                Happening::Pass(milliseconds) => {
                    passed += Duration::from_millis(milliseconds.into());
                    if passed >= PAUSE {
                        break;
                    }
                    world.happen(&Happening::Pass(milliseconds));
                }
                other => world.happen(&other),
            }
            for (held, _) in &world.targets {
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
fn an_outage_of_ten_minutes_with_fifty_changes_is_one_write_at_its_end() {
    let mut world = World::new(None);
    world.policy = users(1);
    world.settle();
    let writes = world.writes;
    world.targets[1].1 = Works::NotNow;
    let mut failed = 0;
    for change in 0..50_u8 {
        world.policy = users(2 + change % 30);
        world.now += Duration::from_secs(12);
        world.happen(&Happening::Notice);
        end_all(&mut world);
        failed = world.writes;
    }
    world.targets[1].1 = Works::Yes;
    world.now += Duration::from_secs(16);
    end_all(&mut world);
    assert_eq!(world.writes - failed, 1);
    assert_eq!(world.targets[1].0, world.policy);
    assert!(writes < failed, "the outage was noticed");
}

#[test]
fn a_set_that_stays_empty_is_written_after_the_pause_and_not_before() {
    let mut world = World::new(None);
    world.policy = users(3);
    world.settle();
    world.opa = Opa::Empty;
    world.happen(&Happening::Notice);
    end_all(&mut world);
    assert_eq!(world.machine.due(), Some(world.now + PAUSE));
    assert!(world.machine.toggles()[0].question.empty_since().is_some());
    world.now += Duration::from_millis(29_999);
    world.happen(&Happening::Notice);
    end_all(&mut world);
    assert_eq!(world.targets[0].0, users(3));
    world.now += Duration::from_millis(1);
    end_all(&mut world);
    assert_eq!(world.targets.each_ref().map(|(held, _)| held.len()), [0, 0]);
    assert_eq!(world.machine.due(), None);
}

#[test]
fn an_empty_set_that_is_vouched_for_is_written_at_once() {
    let mut world = World::new(None);
    world.policy = users(3);
    world.settle();
    world.machine.trigger(0, world.now);
    let asks = world.machine.actions(world.now);
    assert_eq!(asks, [Action::Ask { toggle: 0 }]);
    let empty = Answer::Users { users: Users::default(), vouched: true };
    world.machine.answered(0, Ok(empty), world.now);
    assert_eq!(world.machine.actions(world.now).len(), 2);
}

#[test]
fn a_change_beyond_the_limit_waits_for_a_confirmation_or_for_the_policy_to_take_it_back() {
    let mut world = World::new(Some(0.5));
    world.policy = users(0b1111);
    world.settle();
    world.policy = users(0b0001);
    world.happen(&Happening::Notice);
    end_all(&mut world);
    assert_eq!(world.targets[0].0, users(0b1111));
    let withheld = world.machine.toggles()[0].cells[0].1.withheld().unwrap();
    assert_eq!((withheld.removed, withheld.of), (3, 4));
    assert!(world.machine.toggles()[0].cells[0].1.retry().failure().is_none(), "no failure");

    world.policy = users(0b0111);
    world.happen(&Happening::Notice);
    end_all(&mut world);
    assert_eq!(world.targets[0].0, users(0b0111));
    assert_eq!(world.machine.confirm(0), 0, "nothing is held back");

    world.policy = users(0b1000);
    world.happen(&Happening::Notice);
    end_all(&mut world);
    assert_eq!(world.machine.confirm(0), 2);
    end_all(&mut world);
    assert_eq!(world.targets[1].0, users(0b1000));
}

#[test]
fn a_confirmation_is_for_the_change_that_it_was_given_for() {
    let mut world = World::new(Some(0.5));
    world.policy = users(0b1111);
    world.settle();
    world.targets.iter_mut().for_each(|(_, works)| *works = Works::NotNow);
    world.policy = users(0b0001);
    world.happen(&Happening::Notice);
    end_all(&mut world);
    assert_eq!(world.machine.confirm(0), 2);
    world.policy = users(0b0010);
    world.happen(&Happening::Notice);
    end_all(&mut world);
    world.now += PAUSE;
    world.targets.iter_mut().for_each(|(_, works)| *works = Works::Yes);
    end_all(&mut world);
    world.now += PAUSE;
    end_all(&mut world);
    assert_eq!(world.targets[0].0, users(0b1111));
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
