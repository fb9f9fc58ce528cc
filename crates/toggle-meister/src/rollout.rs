//! The mathematics of a gradual rollout. It knows no clock: the time that has passed is an
//! argument.
//!
//! A rollout over N days has 24 steps of N hours each. The percentage is a function of the time
//! since its start alone, so a restart, a missed hour or another replica changes nothing.

/// The percentage in each of the 24 steps. Half of the time reaches 30 %.
pub const CURVE: [u8; 24] =
    [1, 2, 3, 5, 8, 11, 14, 17, 20, 23, 26, 30, 35, 40, 45, 50, 55, 61, 67, 73, 79, 86, 93, 100];

/// How many milliseconds an hour has.
pub const HOUR: i64 = 3_600_000;

/// How long a rollout may take, in hours a step; so many days as well.
pub const MOST_DAYS: f64 = 365.0;

/// How long a pause lasts, in milliseconds.
pub const PAUSE: i64 = 48 * HOUR;

/// The pace of a rollout: how many milliseconds each of its steps takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace(i64);

impl Pace {
    /// The pace of a rollout over so many days, which may be a fraction of a day: at least a
    /// minute a step, and at most [`MOST_DAYS`]. `None` for anything else.
    #[must_use]
    pub fn over_days(days: f64) -> Option<Self> {
        // A step is a 24th of the days, so it takes as many hours as there are days.
        #[allow(clippy::cast_possible_truncation, reason = "the range is checked")]
        #[allow(clippy::cast_precision_loss, reason = "an hour is a small number")]
        let step = (days * HOUR as f64).round() as i64;
        (days <= MOST_DAYS && step >= 60_000).then_some(Self(step))
    }

    /// A pace that was stored.
    #[must_use]
    pub fn of_step(milliseconds: i64) -> Self {
        Self(milliseconds.max(1))
    }

    /// How many milliseconds a step takes.
    #[must_use]
    pub fn step(self) -> i64 {
        self.0
    }

    /// How many days the whole rollout takes.
    #[must_use]
    pub fn days(self) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "at most a year in milliseconds")]
        let days = self.0 as f64 / HOUR as f64;
        days
    }

    /// Which of the steps a rollout is in after so many milliseconds. A clock that was set back
    /// does not go before the first.
    #[must_use]
    pub fn index(self, elapsed: i64) -> usize {
        usize::try_from(elapsed.max(0) / self.0)
            .map_or(CURVE.len() - 1, |it| it.min(CURVE.len() - 1))
    }

    /// The percentage after so many milliseconds.
    #[must_use]
    pub fn percent(self, elapsed: i64) -> u8 {
        CURVE[self.index(elapsed)]
    }

    /// How long it takes until everybody has it, in milliseconds: the last step is the end.
    #[must_use]
    pub fn total(self) -> i64 {
        self.0.saturating_mul(23)
    }

    /// When the next step begins, in milliseconds since the start; `None` after the last.
    #[must_use]
    pub fn next(self, elapsed: i64) -> Option<i64> {
        let next = i64::try_from(self.index(elapsed)).ok()?.saturating_add(1);
        (next < 24).then(|| self.0.saturating_mul(next))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_curve_is_that_of_the_original() {
        let one = Pace::over_days(1.0).unwrap();
        assert_eq!(one.step(), HOUR);
        let hours: Vec<u8> = (0..26).map(|it| one.percent(it * HOUR)).collect();
        assert_eq!(hours[..24], CURVE);
        assert_eq!(hours[24..], [100, 100]);
        assert_eq!(one.percent(11 * HOUR), 30, "the twelfth step");
        assert_eq!(one.percent(23 * HOUR - 1), 93);
        assert_eq!(one.total(), 23 * HOUR);
    }

    #[test]
    fn d18_d19_a_rollout_takes_between_24_minutes_and_a_year() {
        for days in [0.0, -1.0, -0.0, 0.01, 365.5, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(Pace::over_days(days), None, "{days}");
        }
        assert_eq!(Pace::over_days(0.5).unwrap().step(), HOUR / 2);
        assert_eq!(Pace::over_days(365.0).unwrap().step(), 365 * HOUR);
    }

    proptest! {
        #[test]
        fn the_percentage_never_falls_and_stays_in_bounds(
            days in 0.02_f64..365.0,
            one in -HOUR..400 * 24 * HOUR,
            more in 0..400 * 24 * HOUR,
        ) {
            let pace = Pace::over_days(days).unwrap();
            let (before, after) = (pace.percent(one), pace.percent(one + more));
            prop_assert!((1..=100).contains(&before) && before <= after && after <= 100);
            prop_assert_eq!(pace.percent(one) == 100, one >= pace.total());
        }

        #[test]
        fn the_next_step_is_the_first_moment_with_another_percentage(
            days in 0.02_f64..365.0, elapsed in 0..400 * 24 * HOUR,
        ) {
            let pace = Pace::over_days(days).unwrap();
            if let Some(next) = pace.next(elapsed) {
                prop_assert!(next > elapsed);
                prop_assert_eq!(pace.percent(next - 1), pace.percent(elapsed));
                prop_assert!(pace.percent(next) > pace.percent(elapsed));
            } else {
                prop_assert_eq!(pace.percent(elapsed), 100);
            }
        }
    }
}
