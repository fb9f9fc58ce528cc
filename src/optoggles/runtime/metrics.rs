//! The metrics of an engine in Prometheus' [text format].
//!
//! Gauges are computed from the [`Status`] at each scrape, counters come from
//! [`Counters`]. A gauge without a value has no sample: `empty_seconds`, for example,
//! exists for a toggle only while its empty set waits.
//!
//! [text format]: https://prometheus.io/docs/instrumenting/exposition_formats/

use super::{
    counters::{BOUNDS, Counters},
    status::Status,
};
use crate::server::metrics::text::Exposition;

/// Writes the metrics of an engine.
pub(super) fn expose(status: &Status, counters: &Counters) -> String {
    let mut text = Exposition::default();
    gauges(&mut text, status);
    let name = "flagstaff_optoggles_failures_total";
    text.head(name, "counter", "Failed queries of sources and failed writes to targets.");
    for ((part, id, kind), count) in &counters.failures {
        let labels = [("part", *part), ("id", id), ("kind", kind)];
        text.sample(name, &labels, &count.to_string());
    }
    let name = "flagstaff_optoggles_writes_total";
    text.head(name, "counter", "Lists of users written to a target.");
    for (target, count) in &counters.writes {
        text.sample(name, &[("target", target)], &count.to_string());
    }
    let name = "flagstaff_optoggles_sync_duration_seconds";
    let help = "Time from the notice of a change to the end of the writes it caused, by source.";
    text.head(name, "histogram", help);
    for (source, durations) in &counters.syncs {
        let mut sum = 0;
        for (class, count) in durations.classes.iter().enumerate() {
            sum += count;
            let bound = BOUNDS.get(class).map_or("+Inf".to_owned(), ToString::to_string);
            let labels = [("source", &**source), ("le", &*bound)];
            text.sample(&format!("{name}_bucket"), &labels, &sum.to_string());
        }
        let total = durations.sum.as_secs_f64().to_string();
        text.sample(&format!("{name}_sum"), &[("source", source)], &total);
        text.sample(&format!("{name}_count"), &[("source", source)], &sum.to_string());
    }
    text.0
}

/// Writes what is computed from the status.
fn gauges(text: &mut Exposition, status: &Status) {
    let up = |healthy: bool| if healthy { "1" } else { "0" };
    let name = "flagstaff_optoggles_healthy";
    text.head(name, "gauge", "Whether nothing fails.");
    text.sample(name, &[], up(status.healthy));
    let name = "flagstaff_optoggles_source_up";
    text.head(name, "gauge", "Whether changes of a source are noticed and its rules have values.");
    for source in &status.sources {
        let is_up = source.failure.is_none() && source.failing == 0;
        text.sample(name, &[("source", &source.id)], up(is_up));
    }
    let name = "flagstaff_optoggles_target_up";
    text.head(name, "gauge", "Whether a target accepts all its toggles.");
    for target in &status.targets {
        text.sample(name, &[("target", &target.id)], up(target.failing == 0));
    }
    let name = "flagstaff_optoggles_users";
    text.head(name, "gauge", "Number of users whom the policy authorizes.");
    for toggle in &status.toggles {
        if let Some(users) = toggle.users {
            text.sample(name, &[("toggle", &toggle.key)], &users.to_string());
        }
    }
    let name = "flagstaff_optoggles_empty_seconds";
    let help = "Seconds for which an empty set of users has been waiting for its confirmation.";
    text.head(name, "gauge", help);
    for toggle in &status.toggles {
        if let Some(empty) = toggle.empty_for {
            text.sample(name, &[("toggle", &toggle.key)], &empty.to_string());
        }
    }
    let cells = || {
        status.toggles.iter().flat_map(|toggle| {
            toggle
                .targets
                .iter()
                .map(move |cell| (cell, [("toggle", &*toggle.key), ("target", &*cell.target)]))
        })
    };
    let name = "flagstaff_optoggles_last_sync_age_seconds";
    let help =
        "Seconds since a target was last known to have the users that the policy authorizes.";
    text.head(name, "gauge", help);
    for (cell, labels) in cells() {
        if let Some(age) = cell.in_step {
            text.sample(name, &labels, &age.to_string());
        }
    }
    let name = "flagstaff_optoggles_held_back_users";
    let help = "Number of users whom a change that is held back would remove.";
    text.head(name, "gauge", help);
    for (cell, labels) in cells() {
        if let Some(held_back) = cell.held_back {
            text.sample(name, &labels, &held_back.removed.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::optoggles::{
        failure::FailureKind,
        runtime::status::{CellStatus, HeldBack, PartStatus, ToggleStatus},
    };

    fn status() -> Status {
        let part = |id: &str, failing| PartStatus { id: id.to_owned(), failure: None, failing };
        let cell = |target: &str, in_step, held_back| CellStatus {
            target: target.to_owned(),
            in_step,
            failure: None,
            held_back,
        };
        let held_back = Some(HeldBack { removed: 3, of: 4 });
        let toggle = ToggleStatus {
            key: "us".to_owned(),
            source: "opa".to_owned(),
            users: Some(4),
            failure: None,
            empty_for: Some(2.5),
            targets: vec![cell("ld", Some(12.5), None), cell("rest", None, held_back)],
        };
        Status {
            removals: Vec::new(),
            started: true,
            healthy: false,
            sources: vec![part("opa", 0)],
            targets: vec![part("ld", 0), part("rest", 1)],
            toggles: vec![toggle],
        }
    }

    #[test]
    fn all_metrics() {
        let mut counters = Counters::default();
        counters.failed("target", "rest", FailureKind::Permanent);
        counters.failed("target", "rest", FailureKind::Permanent);
        counters.failed("source", "opa", FailureKind::Undefined);
        counters.wrote("ld");
        for milliseconds in [4, 20, 40_000] {
            counters.synced("opa", Duration::from_millis(milliseconds));
        }
        let text = expose(&status(), &counters);
        let samples: Vec<_> =
            text.lines().filter_map(|line| line.strip_prefix("flagstaff_optoggles_")).collect();
        assert_eq!(
            samples,
            [
                "healthy 0",
                "source_up{source=\"opa\"} 1",
                "target_up{target=\"ld\"} 1",
                "target_up{target=\"rest\"} 0",
                "users{toggle=\"us\"} 4",
                "empty_seconds{toggle=\"us\"} 2.5",
                // A target that was never in step has no age.
                "last_sync_age_seconds{toggle=\"us\",target=\"ld\"} 12.5",
                "held_back_users{toggle=\"us\",target=\"rest\"} 3",
                "failures_total{part=\"source\",id=\"opa\",kind=\"undefined\"} 1",
                "failures_total{part=\"target\",id=\"rest\",kind=\"permanent\"} 2",
                "writes_total{target=\"ld\"} 1",
                "sync_duration_seconds_bucket{source=\"opa\",le=\"0.005\"} 1",
                "sync_duration_seconds_bucket{source=\"opa\",le=\"0.01\"} 1",
                "sync_duration_seconds_bucket{source=\"opa\",le=\"0.025\"} 2",
                "sync_duration_seconds_bucket{source=\"opa\",le=\"0.05\"} 2",
                "sync_duration_seconds_bucket{source=\"opa\",le=\"0.1\"} 2",
                "sync_duration_seconds_bucket{source=\"opa\",le=\"0.5\"} 2",
                "sync_duration_seconds_bucket{source=\"opa\",le=\"1\"} 2",
                "sync_duration_seconds_bucket{source=\"opa\",le=\"5\"} 2",
                "sync_duration_seconds_bucket{source=\"opa\",le=\"30\"} 2",
                "sync_duration_seconds_bucket{source=\"opa\",le=\"+Inf\"} 3",
                "sync_duration_seconds_sum{source=\"opa\"} 40.024",
                "sync_duration_seconds_count{source=\"opa\"} 3",
            ]
        );
    }
}
