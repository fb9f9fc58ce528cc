//! What makes toggles short-lived: which of them should leave the code. It knows no clock and no
//! database.
//!
//! A feature that was ON in production for 14 days is *due* for removal. So is one that is unused
//! in production.
//!
//! Whether a feature is in use is known only where everybody asks over REST: clients of flagd's
//! protocols that cache, or evaluate in their own process, do not ask each time. So it is
//! *unused* in an environment only if REST saw no request for 30 days and no such client was
//! connected all that time; else, without a request, it is *unknown*.

use std::collections::BTreeMap;

use service::time;

use crate::{
    model::PRODUCTION,
    serve::DAY,
    toggle::Toggle,
    world::{Known, World},
};

/// For how many days a feature is ON in production before it is due for removal.
pub const DAYS_ON: i64 = 14;

/// For how many days nobody asks for a feature before it is unused.
pub const DAYS_UNUSED: i64 = 30;

/// How old something is, in whole days.
#[must_use]
pub fn age(created: i64, now: i64) -> i64 {
    now.saturating_sub(created).max(0) / DAY
}

/// The features that are unused in production, and since when.
pub type Unused = BTreeMap<String, i64>;

/// Why a feature is due for removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// It has been ON in production since a time.
    On(i64),
    /// It has not been asked for in production since a time.
    Unused(i64),
}

impl Due {
    /// Why a feature is due. `None`: it is not, as one that was deleted softly.
    #[must_use]
    pub fn of(known: &Known, unused: &Unused, now: i64) -> Option<Self> {
        if known.feature.deleted.is_some() {
            return None;
        }
        let toggle = known.toggles.get(PRODUCTION).map(|it| it.toggle);
        let on = toggle.and_then(|toggle| on_for_long(toggle, now)).map(Self::On);
        on.or_else(|| unused.get(&known.feature.name).copied().map(Self::Unused))
    }

    /// Why the feature with a name is due, if there is one.
    #[must_use]
    pub fn named(world: &World, unused: &Unused, name: &str, now: i64) -> Option<Self> {
        Self::of(world.features.get(name)?, unused, now)
    }

    /// How the reason is written in the API.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::On(_) => "on",
            Self::Unused(_) => "unused",
        }
    }

    /// Since when.
    #[must_use]
    pub fn since(self) -> i64 {
        match self {
            Self::On(since) | Self::Unused(since) => since,
        }
    }

    /// The day since which it is so.
    #[must_use]
    pub fn day(self) -> String {
        time::rfc3339(self.since()).chars().take(10).collect()
    }

    /// The same in words.
    #[must_use]
    pub fn said(self) -> String {
        match self {
            Self::On(_) => format!("on in production since {}", self.day()),
            Self::Unused(_) => format!("unused in production since {}", self.day()),
        }
    }
}

/// Since when a toggle has been ON, if that is long enough.
fn on_for_long(production: Toggle, now: i64) -> Option<i64> {
    production.on_since(now).filter(|since| now.saturating_sub(*since) >= DAYS_ON * DAY)
}

/// Whether a feature is in use in an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// REST saw a request for it.
    Used,
    /// Nobody can have asked for it.
    Unused,
    /// Nobody asked over REST, but others may use it.
    Unknown,
}

impl Use {
    /// Judges by days since 1970: the present one, that on which the feature was created, the
    /// last one with a request over REST, and the last one on which a client of flagd's
    /// protocols may have been connected, as far as known.
    #[must_use]
    pub fn of(today: i64, created: i64, asked: Option<i64>, client: Option<i64>) -> Self {
        let is_long_ago = |day: i64| today.saturating_sub(day) >= DAYS_UNUSED;
        match (asked, client) {
            (Some(day), _) if !is_long_ago(day) => Self::Used,
            (_, Some(day)) if is_long_ago(day) && is_long_ago(created) => Self::Unused,
            _ => Self::Unknown,
        }
    }

    /// How it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Used => "used",
            Self::Unused => "unused",
            Self::Unknown => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        rollout::{HOUR, Pace},
        toggle::Rollout,
    };

    #[test]
    fn a_feature_is_due_after_14_days_on() {
        let on = Toggle::On { since: 5 };
        assert_eq!(on_for_long(on, 5 + 14 * DAY - 1), None);
        assert_eq!(on_for_long(on, 5 + 14 * DAY), Some(5));
        assert_eq!(on_for_long(Toggle::Off, i64::MAX), None);
        let rollout = Rollout { number: 1, start: 0, pace: Pace::of_step(HOUR) };
        assert_eq!(on_for_long(Toggle::Roll(rollout), 14 * DAY + 22 * HOUR), None);
        // The days count from its end, whether anybody has stored that or not.
        assert_eq!(on_for_long(Toggle::Roll(rollout), 14 * DAY + 23 * HOUR), Some(23 * HOUR));
    }

    #[test]
    fn only_what_nobody_can_have_asked_for_is_unused() {
        let (today, old) = (1_000, 970);
        for (created, asked, client, expected) in [
            (0, Some(971), Some(0), Use::Used),
            (0, Some(1_000), None, Use::Used),
            (0, Some(old), Some(old), Use::Unused),
            (0, None, Some(old), Use::Unused),
            // A client was connected, or nobody knows.
            (0, None, Some(971), Use::Unknown),
            (0, Some(old), None, Use::Unknown),
            (0, None, None, Use::Unknown),
            // It is too new for that.
            (971, None, Some(old), Use::Unknown),
        ] {
            let found = Use::of(today, created, asked, client);
            assert_eq!(found, expected, "{created} {asked:?} {client:?}");
        }
    }

    #[test]
    fn an_age_is_in_whole_days() {
        assert_eq!(age(5, 4), 0);
        assert_eq!(age(5, 5 + DAY - 1), 0);
        assert_eq!(age(5, 5 + DAY), 1);
    }
}
