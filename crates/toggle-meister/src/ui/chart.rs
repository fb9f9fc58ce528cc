//! The geometry of the pictures: the curve of a rollout, and requests a day. They are drawn by
//! attributes alone, since the pages allow no style in them.

use std::fmt::Write as _;

use super::text::{count, date};
use crate::{due::Use, rollout::CURVE};

/// The width of a step and the height of the curve, in units of the picture.
const STEP: usize = 14;
const HEIGHT: usize = 120;
/// The width of a day, and the height of the tallest one.
const DAY: i64 = 10;
const TALLEST: i64 = 48;

/// The curve of a rollout with its present step.
pub(super) struct Curve {
    /// The line through all steps.
    pub(super) line: String,
    /// The area of the steps up to now.
    pub(super) area: String,
    /// Where now is.
    pub(super) x: usize,
    /// How high it is.
    pub(super) y: usize,
    /// Where its label stands, and which end of it is there.
    pub(super) label: usize,
    pub(super) anchor: &'static str,
}

impl Curve {
    /// The curve, of which a step is the present one.
    pub(super) fn at(index: usize) -> Self {
        let index = index.min(CURVE.len() - 1);
        let line = steps(CURVE.len());
        let area = format!("{}V{HEIGHT}H0Z", steps(index + 1));
        let (x, y) = (index * STEP + STEP / 2, height(CURVE[index]));
        let is_left = index < CURVE.len() / 2;
        let (label, anchor) = if is_left { (x + 8, "start") } else { (x - 8, "end") };
        Self { line, area, x, y, label, anchor }
    }
}

/// The path along the first steps of the curve.
fn steps(count: usize) -> String {
    let mut path = String::new();
    for (index, percent) in CURVE.iter().take(count).enumerate() {
        let _ = write!(
            path,
            "{}{} {}",
            if index == 0 { "M" } else { "L" },
            index * STEP,
            height(*percent)
        );
        let _ = write!(path, "H{}", (index + 1) * STEP);
    }
    path
}

fn height(percent: u8) -> usize {
    HEIGHT - usize::from(percent) * HEIGHT / 100
}

/// The requests of an environment on each of the last days.
pub(super) struct Bars {
    /// The environment.
    pub(super) env: String,
    /// All of them, in words.
    pub(super) total: String,
    /// Where nobody asked for it: how that is called, and what it means.
    pub(super) unasked: Option<(&'static str, &'static str)>,
    /// A bar for each day with requests.
    pub(super) days: Vec<Bar>,
}

/// The requests of a day.
pub(super) struct Bar {
    pub(super) x: i64,
    pub(super) y: i64,
    pub(super) height: i64,
    /// The day and its requests, in words.
    pub(super) title: String,
}

impl Bars {
    /// The bars of the days from one on: each is a day with its number of requests.
    pub(super) fn of(env: String, used: Option<Use>, from: i64, days: &[(i64, i64)]) -> Self {
        let most = days.iter().map(|it| it.1).max().unwrap_or(0).max(1);
        let bars = days.iter().map(|&(day, hits)| {
            // A single request is seen too.
            let height = (hits.saturating_mul(TALLEST) / most).max(2);
            let title = format!("{}: {}", date(day), count(hits, "request"));
            Bar { x: (day - from) * DAY, y: TALLEST - height, height, title }
        });
        let sum = days.iter().map(|it| it.1).sum();
        let unasked = used.and_then(unasked);
        Self { env, total: count(sum, "request"), unasked, days: bars.collect() }
    }
}

/// What is said where a feature is not known to be in use.
fn unasked(used: Use) -> Option<(&'static str, &'static str)> {
    let meaning = match used {
        Use::Used => return None,
        Use::Unused => "no requests and no connected clients",
        Use::Unknown => "connected clients may use it, or it is too new to tell",
    };
    Some((used.name(), meaning))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_goes_from_1_to_100_percent_in_24_steps() {
        let curve = Curve::at(11);
        assert!(curve.line.starts_with("M0 119H14L14 118H28"), "{}", curve.line);
        assert!(curve.line.ends_with("L322 0H336"), "{}", curve.line);
        assert!(curve.area.ends_with("L154 84H168V120H0Z"), "{}", curve.area);
        assert_eq!((curve.x, curve.y, curve.label, curve.anchor), (161, 84, 169, "start"));
        assert_eq!((Curve::at(99).x, Curve::at(99).anchor), (329, "end"));
    }

    #[test]
    fn the_tallest_bar_fills_the_chart_and_the_least_is_seen() {
        let bars = Bars::of("stage".to_owned(), None, 10, &[(10, 1), (12, 4_000)]);
        let drawn: Vec<_> = bars.days.iter().map(|it| (it.x, it.y, it.height)).collect();
        assert_eq!(drawn, [(0, 46, 2), (20, 0, 48)]);
        assert_eq!(bars.total, "4,001 requests");
        assert_eq!(bars.days[0].title, "1970-01-11: 1 request");
    }
}
