//! A toggle as a flag of flagd.
//!
//! Every way to ask for a toggle evaluates this flag: REST, flagd's protocols, and a provider
//! that evaluates in its own process. So they give the same answer.
//!
//! ```json
//! {"if": [{"var": "targetingKey"},
//!         {"fractional": [{"cat": ["production/checkout/7/", {"var": "targetingKey"}]},
//!                         ["on", 30], ["off", 70]]},
//!         "off"]}
//! ```
//!
//! `on` comes first and the weights sum to 100, so whoever is on at one percentage is on at each
//! greater one. The number of the rollout is part of what is hashed, so the next rollout begins
//! with other users. Nothing is stored for a user.

use serde_json::{Value, json};

use crate::toggle::Toggle;

/// The flag of a toggle at a time. `enrolled` are the ids that have the feature whatever their
/// hash says, as long as the rollout lasts.
#[must_use]
pub fn flag(env: &str, feature: &str, toggle: Toggle, enrolled: &[String], now: i64) -> Value {
    let toggle = toggle.at(now);
    let variant = if matches!(toggle, Toggle::On { .. }) { "on" } else { "off" };
    let mut flag = json!({
        "state": "ENABLED",
        "variants": {"on": true, "off": false},
        "defaultVariant": variant,
    });
    if let Some(rollout) = toggle.rollout() {
        let percent = toggle.percent(now);
        let salt = format!("{env}/{feature}/{}/", rollout.number);
        let id = json!({"var": "targetingKey"});
        let mut decided = json!({"fractional": [
            {"cat": [salt, id]}, ["on", percent], ["off", 100 - percent],
        ]});
        if !enrolled.is_empty() {
            decided = json!({"if": [{"in": [id, enrolled]}, "on", decided]});
        }
        flag["targeting"] = json!({"if": [id, decided, "off"]});
    }
    flag
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use flagstaff::evaluator::FlagSet;
    use serde_json::Map;

    use super::*;
    use crate::{
        rollout::{CURVE, HOUR, Pace},
        toggle::Rollout,
    };

    fn toggle(number: i64) -> Toggle {
        let pace = Pace::over_days(1.0).unwrap();
        Toggle::Roll(Rollout { number, start: 0, pace })
    }

    fn set(toggle: Toggle, enrolled: &[String], now: i64) -> FlagSet {
        let flag = flag("production", "checkout", toggle, enrolled, now);
        FlagSet::parse(&json!({"flags": {"checkout": flag}}).to_string()).unwrap()
    }

    fn is_on(flags: &FlagSet, id: &str) -> bool {
        let context = Map::from_iter([("targetingKey".to_owned(), json!(id))]);
        flags.evaluate("checkout", &context).boolean() == Ok(Some(true))
    }

    #[test]
    fn d22_the_share_is_the_percentage_and_nobody_loses_the_feature() {
        let ids: Vec<String> = (0..100_000).map(|it| format!("user-{it}")).collect();
        let mut had = vec![false; ids.len()];
        for (hour, percent) in (0..).zip(CURVE) {
            let flags = set(toggle(7), &[], hour * HOUR);
            let mut count = 0_u32;
            for (id, had) in ids.iter().zip(&mut had) {
                let has = is_on(&flags, id);
                assert!(has || !*had, "{id} lost the feature at {percent} %");
                (*had, count) = (has, count + u32::from(has));
            }
            let share = f64::from(count) / 1_000.0;
            assert!((share - f64::from(percent)).abs() < 1.0, "{share} % at {percent} %");
        }
    }

    #[test]
    fn d26_the_next_rollout_begins_with_other_users() {
        let (one, two) = (set(toggle(7), &[], 11 * HOUR), set(toggle(8), &[], 11 * HOUR));
        let ids: Vec<String> = (0..10_000).map(|it| format!("user-{it}")).collect();
        let both = ids.iter().filter(|id| is_on(&one, id) && is_on(&two, id)).count();
        assert!((800..1_000).contains(&both), "30 % of 30 %, got {both} of 10,000");
    }

    #[test]
    fn without_an_id_a_rollout_is_off() {
        let flags = set(toggle(7), &[], 22 * HOUR);
        assert_eq!(flags.evaluate("checkout", &Map::new()).boolean(), Ok(Some(false)));
        assert!(!is_on(&flags, ""));
    }

    #[test]
    fn an_enrolled_id_is_on_from_the_start_until_the_end() {
        let enrolled: Vec<String> = (0..20).map(|it| format!("früh-{it}")).collect();
        let flags = set(toggle(7), &enrolled, 0);
        assert!(enrolled.iter().all(|id| is_on(&flags, id)));
        assert!(
            set(toggle(7), &enrolled, 23 * HOUR).definition("checkout").is_some_and(|it| !it
                .contains("targeting")
                && it.contains(r#""defaultVariant":"on""#))
        );
    }
}
