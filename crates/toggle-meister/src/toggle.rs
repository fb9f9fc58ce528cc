//! The states of a toggle, and which may follow which. It knows no clock and no database.
//!
//! | now \ requested | OFF | ON | ROLL | PAUSE |
//! |---|---|---|---|---|
//! | OFF | stays | ON | ROLL | rejected |
//! | ON | OFF | stays | rejected | rejected |
//! | ROLL | OFF | ON | rejected | PAUSE |
//! | PAUSE | OFF | ON | rejected | rejected |
//!
//! ROLL becomes ON when its time is over, and PAUSE becomes ROLL again after 48 hours. Nobody
//! has to do that: [`Toggle::at`] says what a stored toggle is at any time.

use crate::rollout::{PAUSE, Pace};

/// The longest number of days as it is written, in bytes: the audit trail keeps it so.
const LONGEST_DAYS: usize = 32;

/// A toggle as it is stored: what it was set to, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Toggle {
    /// Nobody has the feature.
    Off,
    /// Everybody has the feature.
    On {
        /// Since when, in milliseconds since 1970.
        since: i64,
    },
    /// More and more users have it.
    Roll(Rollout),
    /// As many users have it as when the rollout was paused.
    Pause {
        /// What was paused.
        rollout: Rollout,
        /// When.
        at: i64,
    },
}

/// A rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rollout {
    /// Its number. Each has another, so that each begins with other users.
    pub number: i64,
    /// When it began, in milliseconds since 1970; later by as long as it was paused.
    pub start: i64,
    /// How fast it is.
    pub pace: Pace,
}

/// The four states as they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// `OFF`
    Off,
    /// `ON`
    On,
    /// `ROLL`
    Roll,
    /// `PAUSE`
    Pause,
}

impl State {
    /// How it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "OFF",
            Self::On => "ON",
            Self::Roll => "ROLL",
            Self::Pause => "PAUSE",
        }
    }
}

/// What somebody wants a toggle to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wanted {
    /// `OFF`
    Off,
    /// `ON`
    On,
    /// `ROLL:days`
    Roll(Pace),
    /// `PAUSE`
    Pause,
}

/// Why a state cannot be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// There is no such state.
    #[error("No valid state provided")]
    State,
    /// A rollout without days.
    #[error("Rollouts must include number of days, such as 'ROLL:2' for 2 days.")]
    NoDays,
    /// Days that are no number, or too few or too many.
    #[error("Rollouts take a number of days from 0.02 to 365, such as 'ROLL:2' for 2 days.")]
    Days,
    /// Only what is off can be rolled out.
    #[error("You can only roll a feature that is currently off")]
    Roll,
    /// Only a rollout can be paused.
    #[error("You can only pause a feature currently in rollout")]
    Pause,
}

impl Wanted {
    /// Reads a state as clients write it. What follows a second colon is ignored, as in the
    /// original.
    ///
    /// # Errors
    ///
    /// There is no such state, or the days of a rollout are missing or invalid.
    pub fn parse(text: &str) -> Result<Self, Rejected> {
        match text {
            "OFF" => Ok(Self::Off),
            "ON" => Ok(Self::On),
            "PAUSE" => Ok(Self::Pause),
            _ => {
                let mut parts = text.split(':');
                let (state, days) = (parts.next().unwrap_or_default(), parts.next());
                if !state.starts_with("ROLL") {
                    return Err(Rejected::State);
                }
                let days = days.ok_or(Rejected::NoDays)?.trim();
                if state != "ROLL" {
                    return Err(Rejected::State);
                }
                let pace =
                    Some(days).filter(|it| it.len() <= LONGEST_DAYS).and_then(|it| it.parse().ok());
                let pace = pace.and_then(Pace::over_days);
                pace.map(Self::Roll).ok_or(Rejected::Days)
            }
        }
    }

    /// Which state that is.
    #[must_use]
    pub fn state(self) -> State {
        match self {
            Self::Off => State::Off,
            Self::On => State::On,
            Self::Roll(_) => State::Roll,
            Self::Pause => State::Pause,
        }
    }
}

impl Toggle {
    /// What the toggle is at a time, after the transitions that nobody has to ask for.
    #[must_use]
    pub fn at(self, now: i64) -> Self {
        match self {
            Self::Pause { rollout, at } if now >= at.saturating_add(PAUSE) => {
                let start = rollout.start.saturating_add(PAUSE);
                Self::Roll(Rollout { start, ..rollout }).at(now)
            }
            Self::Roll(rollout) if now.saturating_sub(rollout.start) >= rollout.pace.total() => {
                Self::On { since: rollout.start.saturating_add(rollout.pace.total()) }
            }
            other => other,
        }
    }

    /// The toggle after a change at a time, or `None` if it stays as it is. `number` is that of
    /// a rollout that begins.
    ///
    /// # Errors
    ///
    /// The change is not one of the table.
    pub fn change(self, wanted: Wanted, now: i64, number: i64) -> Result<Option<Self>, Rejected> {
        match (self.at(now), wanted) {
            (Self::Off, Wanted::Off) | (Self::On { .. }, Wanted::On) => Ok(None),
            (_, Wanted::Off) => Ok(Some(Self::Off)),
            (_, Wanted::On) => Ok(Some(Self::On { since: now })),
            (Self::Off, Wanted::Roll(pace)) => {
                Ok(Some(Self::Roll(Rollout { number, start: now, pace })))
            }
            (_, Wanted::Roll(_)) => Err(Rejected::Roll),
            (Self::Roll(rollout), Wanted::Pause) => Ok(Some(Self::Pause { rollout, at: now })),
            (_, Wanted::Pause) => Err(Rejected::Pause),
        }
    }

    /// Its state.
    #[must_use]
    pub fn state(self) -> State {
        match self {
            Self::Off => State::Off,
            Self::On { .. } => State::On,
            Self::Roll(_) => State::Roll,
            Self::Pause { .. } => State::Pause,
        }
    }

    /// The rollout that is under way, paused or not.
    #[must_use]
    pub fn rollout(self) -> Option<Rollout> {
        match self {
            Self::Off | Self::On { .. } => None,
            Self::Roll(rollout) | Self::Pause { rollout, .. } => Some(rollout),
        }
    }

    /// How many of a hundred users have the feature at a time.
    #[must_use]
    pub fn percent(self, now: i64) -> u8 {
        match self.at(now) {
            Self::Off => 0,
            Self::On { .. } => 100,
            Self::Roll(rollout) => rollout.pace.percent(now.saturating_sub(rollout.start)),
            Self::Pause { rollout, at } => rollout.pace.percent(at.saturating_sub(rollout.start)),
        }
    }

    /// When it next becomes something else by itself, in milliseconds since 1970.
    #[must_use]
    pub fn next(self, now: i64) -> Option<i64> {
        match self.at(now) {
            Self::Off | Self::On { .. } => None,
            Self::Roll(rollout) => {
                let elapsed = now.saturating_sub(rollout.start);
                rollout.pace.next(elapsed).map(|it| rollout.start.saturating_add(it))
            }
            Self::Pause { at, .. } => Some(at.saturating_add(PAUSE)),
        }
    }

    /// Since when it is on, if it is.
    #[must_use]
    pub fn on_since(self, now: i64) -> Option<i64> {
        match self.at(now) {
            Self::On { since } => Some(since),
            _ => None,
        }
    }
}

/// What a change in production does to the toggle of the same feature in another environment:
/// what is on or rolls out in production is on everywhere else.
#[must_use]
pub fn cascade(wanted: Wanted) -> Option<Wanted> {
    match wanted {
        Wanted::On | Wanted::Roll(_) => Some(Wanted::On),
        Wanted::Off | Wanted::Pause => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use proptest::prelude::*;

    use super::*;
    use crate::rollout::{CURVE, HOUR};

    fn roll(start: i64) -> Toggle {
        let pace = Pace::over_days(2.0).unwrap();
        Toggle::Roll(Rollout { number: 7, start, pace })
    }

    #[test]
    fn each_transition_of_the_table_is_as_it_says() {
        let pace = Pace::over_days(2.0).unwrap();
        let Toggle::Roll(rollout) = roll(0) else { unreachable!() };
        let now = [Toggle::Off, Toggle::On { since: 0 }, roll(0), Toggle::Pause { rollout, at: 5 }];
        let wanted = [Wanted::Off, Wanted::On, Wanted::Roll(pace), Wanted::Pause];
        let on = Ok(Some(Toggle::On { since: 9 }));
        let off = Ok(Some(Toggle::Off));
        let expected = [
            [
                Ok(None),
                on,
                Ok(Some(Toggle::Roll(Rollout { number: 8, start: 9, pace }))),
                Err(Rejected::Pause),
            ],
            [off, Ok(None), Err(Rejected::Roll), Err(Rejected::Pause)],
            [off, on, Err(Rejected::Roll), Ok(Some(Toggle::Pause { rollout, at: 9 }))],
            [off, on, Err(Rejected::Roll), Err(Rejected::Pause)],
        ];
        for (now, row) in now.into_iter().zip(expected) {
            for (wanted, expected) in wanted.into_iter().zip(row) {
                assert_eq!(now.change(wanted, 9, 8), expected, "{now:?} {wanted:?}");
            }
        }
    }

    #[test]
    fn states_are_read_as_the_original_does() {
        assert_eq!(Wanted::parse("ON"), Ok(Wanted::On));
        assert_eq!(Wanted::parse("ROLL:3:9"), Ok(Wanted::Roll(Pace::over_days(3.0).unwrap())));
        assert_eq!(Wanted::parse("ROLL:0.5"), Ok(Wanted::Roll(Pace::over_days(0.5).unwrap())));
        for state in ["ROLL", "ROLLING"] {
            assert_eq!(Wanted::parse(state), Err(Rejected::NoDays));
        }
        for days in ["ROLL:", "ROLL:abc", "ROLL:-1", "ROLL:0", "ROLL:NaN", "ROLL:1e9"] {
            assert_eq!(Wanted::parse(days), Err(Rejected::Days), "{days}");
        }
        for other in ["on", "", "OFF ", "PAUSED", "ROLLING:2"] {
            assert_eq!(Wanted::parse(other), Err(Rejected::State), "{other}");
        }
    }

    #[test]
    fn a_pause_holds_the_percentage_for_48_hours_and_then_goes_on() {
        let rolling = roll(0);
        let at = 24 * HOUR + 5;
        let paused = rolling.change(Wanted::Pause, at, 0).unwrap().unwrap();
        assert_eq!(rolling.percent(at), 35);
        assert_eq!(paused.percent(at + PAUSE - 1), 35);
        assert_eq!(paused.next(at), Some(at + PAUSE));
        let after = paused.at(at + PAUSE);
        assert_eq!(after.state(), State::Roll);
        for elapsed in [0, HOUR, 10 * HOUR, 60 * HOUR] {
            let paused = paused.percent(at + PAUSE + elapsed);
            assert_eq!(paused, rolling.percent(at + elapsed), "it goes on where it stopped");
        }
        assert_eq!(paused.at(46 * HOUR + PAUSE), Toggle::On { since: 46 * HOUR + PAUSE });
    }

    #[test]
    fn d40_a_toggle_that_is_off_is_at_0_percent() {
        assert_eq!(Toggle::Off.percent(0), 0);
    }

    proptest! {
        #[test]
        fn the_percentage_never_falls_through_pauses_and_any_clock(
            times in proptest::collection::vec(0..100 * HOUR, 1..40),
            pauses in proptest::collection::vec(any::<bool>(), 40),
        ) {
            let mut times = times;
            times.sort_unstable();
            let (mut toggle, mut last) = (roll(0), 0);
            for (now, pause) in times.into_iter().zip(pauses) {
                if pause && let Ok(Some(paused)) = toggle.change(Wanted::Pause, now, 0) {
                    prop_assert_eq!(paused.percent(now), toggle.percent(now));
                    toggle = paused;
                }
                let percent = toggle.percent(now);
                prop_assert!(percent >= last && CURVE.contains(&percent));
                prop_assert_eq!(toggle.at(now).percent(now), percent, "materialised or not");
                if let Some(next) = toggle.next(now) {
                    prop_assert!(next > now);
                    prop_assert_eq!(toggle.percent(next - 1), percent);
                }
                last = percent;
            }
        }
    }
}
