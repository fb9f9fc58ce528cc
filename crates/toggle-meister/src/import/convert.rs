//! Toggles of ours, made of the original's. It knows no clock and no database.
//!
//! The original counts the hours of a rollout. In the hour h of a rollout with steps of N hours
//! it shows `D[h / N - 1]`, so its first percentage lasts for two steps: here it has been under way
//! for h - N hours.

use serde_json::Value;

use super::original::Stored;
use crate::{
    rollout::{CURVE, HOUR, Pace},
    toggle::{Rollout, Toggle},
};

/// How many hours a pause lasts.
const PAUSE_HOURS: i64 = 48;

/// A toggle at the time of the import, which shows the percentage that it showed before. `number`
/// is that of a rollout; `created` is when the feature was.
///
/// # Errors
///
/// Why it cannot be one.
pub fn toggle(stored: &Stored, now: i64, number: i64, created: i64) -> Result<Toggle, String> {
    let schedule = &stored.schedule;
    match stored.state.as_str() {
        // Rows of the first versions have no time. None can be older than its feature.
        "ON" => Ok(Toggle::On { since: stored.date_on.unwrap_or(created) }),
        "ROLL" => rollout(schedule, now, number).map(Toggle::Roll),
        "PAUSE" => {
            let hours = whole(schedule, "hours_count").unwrap_or(0).clamp(0, PAUSE_HOURS);
            let at = now.saturating_sub(hours * HOUR);
            let rollout = rollout(&schedule["rolling_state"], at, number)?;
            Ok(Toggle::Pause { rollout, at })
        }
        other => Err(format!("there is no state {other:?}")),
    }
}

/// A rollout that has come as far as the schedule says at a time.
fn rollout(schedule: &Value, at: i64, number: i64) -> Result<Rollout, String> {
    let (Some(total), Some(hours)) =
        (whole(schedule, "total_hours"), whole(schedule, "hours_count"))
    else {
        return Err("a rollout without a schedule".to_owned());
    };
    // Less than a day made the original fail at the next step: the shortest that it could do.
    let hours_a_step = (total / 24).max(1);
    let pace = Pace::of_step(hours_a_step.saturating_mul(HOUR));
    let mut elapsed = hours.saturating_sub(hours_a_step).max(0).saturating_mul(HOUR);
    // What it shows counts, should the hours say something else.
    if let Some(shown) = whole(schedule, "current_percent") {
        let index = CURVE.iter().rposition(|it| i64::from(*it) <= shown).unwrap_or(0);
        if pace.index(elapsed) != index {
            elapsed = pace.step().saturating_mul(i64::try_from(index).unwrap_or(0));
        }
    }
    Ok(Rollout { number, start: at.saturating_sub(elapsed), pace })
}

/// A number, without its fraction.
fn whole(schedule: &Value, name: &str) -> Option<i64> {
    let value = &schedule[name];
    #[allow(clippy::cast_possible_truncation, reason = "hours; what is out of bounds is clamped")]
    value.as_i64().or_else(|| value.as_f64().map(|it| it as i64))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use serde_json::json;

    use super::*;
    use crate::{rollout::PAUSE, toggle::State};

    const NOW: i64 = 1_700_000_000_000;

    fn stored(state: &str, schedule: Value) -> Stored {
        let (feature, env) = ("f".to_owned(), "production".to_owned());
        Stored { feature, env, state: state.to_owned(), date_on: None, schedule }
    }

    fn roll(days: i64, hours: i64) -> Value {
        // What the original shows after so many hours.
        let step = usize::try_from(hours / days).unwrap();
        let percent = CURVE[step.max(1) - 1];
        json!({"increment": 1, "hours_count": hours, "total_hours": 24 * days,
            "current_percent": percent})
    }

    #[test]
    fn a_rollout_shows_its_percentage_and_steps_when_the_original_would() {
        for days in [1, 2, 3, 14, 50] {
            for hours in 0..24 * days {
                let schedule = roll(days, hours);
                let toggle = toggle(&stored("ROLL", schedule.clone()), NOW, 7, 0).unwrap();
                assert_eq!(
                    i64::from(toggle.percent(NOW)),
                    schedule["current_percent"].as_i64().unwrap()
                );
                // Each later hour, too, but for the first step, which lasts as long as any other.
                for later in (hours.max(days)..24 * days).step_by(7) {
                    let percent = toggle.percent(NOW + (later - hours.max(days)) * HOUR);
                    let expected = roll(days, later)["current_percent"].clone();
                    assert_eq!(json!(percent), expected, "{days} days, from {hours} to {later}");
                }
                let end = NOW + (24 * days - hours.max(days)) * HOUR;
                assert_eq!(toggle.at(end).state(), State::On);
                assert_eq!(toggle.at(end - 1).state(), State::Roll);
            }
        }
    }

    #[test]
    fn a_pause_lasts_for_the_hours_that_are_left() {
        let schedule = json!({"hours_count": 40, "total_hours": 48, "current_percent": 30,
            "rolling_state": roll(2, 25)});
        let toggle = toggle(&stored("PAUSE", schedule), NOW, 7, 0).unwrap();
        assert_eq!((toggle.at(NOW).state(), toggle.percent(NOW)), (State::Pause, 30));
        let end = NOW + 8 * HOUR;
        assert_eq!(toggle.next(NOW), Some(end));
        assert_eq!(toggle.at(end).state(), State::Roll);
        assert_eq!((toggle.percent(end + HOUR - 1), toggle.percent(end + HOUR)), (30, 35));
        assert_eq!(PAUSE, PAUSE_HOURS * HOUR);
    }

    #[test]
    fn d19_what_stopped_the_original_is_imported_all_the_same() {
        for total in [0, 12, -48] {
            let schedule = json!({"hours_count": 0, "total_hours": total, "current_percent": 1});
            let toggle = toggle(&stored("ROLL", schedule), NOW, 7, 0).unwrap();
            assert_eq!(toggle.percent(NOW), 1);
            assert_eq!(toggle.at(NOW + 23 * HOUR).state(), State::On);
        }
        assert!(toggle(&stored("ROLL", json!({})), NOW, 7, 0).is_err());
        assert!(toggle(&stored("ROLLING", json!(null)), NOW, 7, 0).is_err());
    }

    #[test]
    fn d32_a_toggle_without_a_time_is_as_old_as_its_feature() {
        assert_eq!(toggle(&stored("ON", json!(null)), NOW, 7, 5), Ok(Toggle::On { since: 5 }));
    }
}
