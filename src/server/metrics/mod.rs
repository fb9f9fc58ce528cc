//! Counters, and the page on which Prometheus reads them.
//!
//! The names are flagd's where flagd has such a metric; docs/server.md lists them
//! under "Metrics". Counting is on the path of every evaluation, so it takes no
//! lock and allocates only for the first evaluation of its kind.
//!
//! The number of time series is bounded, because each costs memory here and in
//! Prometheus: at most [`MOST_SERIES`] for evaluations, and a fixed number of
//! routes and statuses for requests. Names that clients make up are never
//! labels: only evaluations of existing flags are counted by key.
//!
//! Atomics are relaxed throughout: a page may show one counter before another,
//! as any page of counters may.

pub(crate) mod requests;
pub(crate) mod text;

use std::{
    hash::BuildHasher,
    sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed},
    time::SystemTime,
};

use self::{requests::Requests, text::Exposition};
use crate::{evaluator::ErrorCode, server::store::snapshot::Snapshot};

/// The largest number of evaluation counters. Beyond it, evaluations that would
/// need another one are not counted.
const MOST_SERIES: usize = 10_000;

/// All error codes of an evaluation, in the order of [`ErrorCode`], because
/// `failures` is indexed by it.
const ERRORS: [ErrorCode; 4] =
    [ErrorCode::FlagNotFound, ErrorCode::ParseError, ErrorCode::TypeMismatch, ErrorCode::General];

/// The counter of the evaluations of one flag with one result. An evaluation
/// without a variant has an empty one.
#[derive(Debug)]
struct Evaluations {
    key: Box<str>,
    variant: Box<str>,
    reason: &'static str,
    count: AtomicU64,
}

/// What the server counts.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    /// Makes the keys of `evaluations`. It is seeded at random, so that nobody can
    /// choose flags whose hashes collide.
    hasher: foldhash::quality::RandomState,
    /// By a hash of key, variant and reason, so that a lookup needs no owned key.
    evaluations: papaya::HashMap<u64, Evaluations, foldhash::fast::RandomState>,
    /// Failed evaluations by error code.
    failures: [AtomicU64; ERRORS.len()],
    pub(crate) requests: Requests,
    /// Open event streams, of every protocol.
    pub(crate) event_streams: Gauge,
    /// Open sync streams.
    pub(crate) sync_streams: Gauge,
    /// Open connections, of every port.
    pub(crate) connections: Gauge,
    /// By the place of the source in the store.
    sources: Vec<Source>,
}

/// The counters of one source.
#[derive(Debug, Default)]
pub(crate) struct Source {
    /// Definitions that were accepted.
    taken: AtomicU64,
    /// Definitions that were rejected, and failed attempts to load one.
    failed: AtomicU64,
    /// Whether the last attempt delivered a definition that was accepted.
    is_up: AtomicBool,
    /// When a definition was last accepted, as Unix time in seconds; 0 before the
    /// first.
    updated: AtomicU64,
}

impl Source {
    /// Counts a definition that was accepted.
    pub(crate) fn took(&self) {
        self.taken.fetch_add(1, Relaxed);
        self.is_up.store(true, Relaxed);
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        self.updated.store(now.as_secs(), Relaxed);
    }

    /// Counts a definition that was rejected, or a failed attempt to load one.
    pub(crate) fn failed(&self) {
        self.failed.fetch_add(1, Relaxed);
        self.is_up.store(false, Relaxed);
    }
}

/// How many of something there are now.
#[derive(Debug, Default)]
pub(crate) struct Gauge(AtomicI64);

/// A guard that counts one in a [`Gauge`] until it is dropped.
#[derive(Debug)]
pub(crate) struct Counted<'g>(&'g Gauge);

impl Gauge {
    /// Counts one more, until the guard is dropped.
    pub(crate) fn count(&self) -> Counted<'_> {
        self.enter();
        Counted(self)
    }

    /// Counts one more, until [`leave`](Self::leave). It is for owners that cannot
    /// hold a guard, because they own the gauge too.
    pub(crate) fn enter(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    /// Counts one less.
    pub(crate) fn leave(&self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Metrics {
    /// The metrics of a server with this number of sources, whose evaluation port
    /// is encrypted or not.
    pub(crate) fn new(sources: usize, encrypted: bool) -> Self {
        let sources = (0..sources).map(|_| Source::default()).collect();
        Self { sources, requests: Requests::new(encrypted), ..Self::default() }
    }

    /// The counters of the source at this place of the store.
    ///
    /// # Panics
    ///
    /// Panics if there is no such place. The program's flag sets have none; they
    /// count as `memory`.
    pub(crate) fn source(&self, index: usize) -> &Source {
        &self.sources[index]
    }

    /// Counts an evaluation, by variant and reason, or by the error.
    pub(crate) fn count(
        &self,
        key: &str,
        outcome: Result<(Option<&str>, &'static str), ErrorCode>,
    ) {
        match outcome {
            Ok((variant, reason)) => self.evaluated(key, variant.unwrap_or_default(), reason),
            Err(error) => {
                self.failures[error as usize].fetch_add(1, Relaxed);
            }
        }
    }

    /// Counts an evaluation that returned a result. A first evaluation may race
    /// with others past the limit, which is then exceeded by a few.
    fn evaluated(&self, key: &str, variant: &str, reason: &'static str) {
        let hash = self.hasher.hash_one((key, variant, reason));
        let evaluations = self.evaluations.pin();
        if let Some(known) = evaluations.get(&hash) {
            known.count.fetch_add(1, Relaxed);
        } else if evaluations.len() < MOST_SERIES {
            let new = || Evaluations {
                key: key.into(),
                variant: variant.into(),
                reason,
                count: 0.into(),
            };
            evaluations.get_or_insert_with(hash, new).count.fetch_add(1, Relaxed);
        }
    }

    /// The page for Prometheus. `flags` has the names of the sources.
    pub(crate) fn expose(&self, flags: &Snapshot) -> String {
        let mut text = Exposition::default();
        self.expose_evaluations(&mut text);
        self.requests.expose(&mut text);
        let gauge = |gauge: &Gauge| gauge.0.load(Relaxed).to_string();
        for (name, help, value) in [
            (
                "feature_flag_flagd_sync_active_streams",
                "Streams of the sync protocol.",
                gauge(&self.sync_streams),
            ),
            ("flagstaff_event_streams", "Streams of events.", gauge(&self.event_streams)),
            ("flagstaff_connections", "Connections of clients.", gauge(&self.connections)),
            ("flagstaff_flags", "Flags that are served.", flags.len().to_string()),
        ] {
            text.head(name, "gauge", help);
            text.sample(name, &[], &value);
        }
        self.expose_sources(flags, &mut text);
        text.0
    }

    /// The counters of each source, with the labels `source` and `index`.
    fn expose_sources(&self, flags: &Snapshot, text: &mut Exposition) {
        type Value = fn(&Source) -> u64;
        let values: [(_, _, _, Value); 4] = [
            (
                "flagstaff_source_updates_total",
                "counter",
                "Flag definitions that were accepted.",
                |source| source.taken.load(Relaxed),
            ),
            (
                "flagstaff_source_errors_total",
                "counter",
                "Flag definitions that were rejected, and failed attempts to load one.",
                |source| source.failed.load(Relaxed),
            ),
            (
                "flagstaff_source_up",
                "gauge",
                "Whether the last attempt to load a flag definition returned one that was accepted.",
                |source| source.is_up.load(Relaxed).into(),
            ),
            (
                "flagstaff_source_last_update_timestamp_seconds",
                "gauge",
                "Unix time of the last flag definition that was accepted; 0 before the first.",
                |source| source.updated.load(Relaxed),
            ),
        ];
        for (name, kind, help, value) in values {
            text.head(name, kind, help);
            for (index, (source, counts)) in flags.sources().iter().zip(&self.sources).enumerate() {
                let labels = [("source", &*source.name), ("index", &*index.to_string())];
                text.sample(name, &labels, &value(counts).to_string());
            }
        }
    }

    /// The counters of evaluations, sorted, so that pages can be compared. The
    /// second metric sums up the first over all variants.
    fn expose_evaluations(&self, text: &mut Exposition) {
        let provider = ("feature_flag_provider_name", "flagd");
        let evaluations = self.evaluations.pin();
        let mut known: Vec<_> = evaluations.values().collect();
        known.sort_unstable_by_key(|known| (&known.key, known.reason, &known.variant));

        let name = "feature_flag_flagd_impression_total";
        text.head(name, "counter", "Evaluations by flag, variant and reason.");
        for known in &known {
            let labels = [
                ("feature_flag_key", &*known.key),
                provider,
                ("feature_flag_reason", known.reason),
                ("feature_flag_result_variant", &*known.variant),
            ];
            text.sample(name, &labels, &known.count.load(Relaxed).to_string());
        }

        let name = "feature_flag_flagd_result_reason_total";
        text.head(name, "counter", "Evaluations by flag and reason, and failed ones by error.");
        for same in known.chunk_by(|a, b| (&a.key, a.reason) == (&b.key, b.reason)) {
            let labels = [
                ("feature_flag_key", &*same[0].key),
                provider,
                ("feature_flag_reason", same[0].reason),
            ];
            let count: u64 = same.iter().map(|known| known.count.load(Relaxed)).sum();
            text.sample(name, &labels, &count.to_string());
        }
        for error in ERRORS {
            let labels = [
                ("ExceptionTypeKeyName", error.as_str()),
                provider,
                ("feature_flag_reason", "ERROR"),
            ];
            let count = self.failures[error as usize].load(Relaxed);
            text.sample(name, &labels, &count.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::store::Store;

    fn exposed(metrics: &Metrics) -> String {
        metrics.expose(&Store::new(["a \"b\""; 3].map(Into::into)).snapshot())
    }

    #[test]
    fn evaluations_are_counted() {
        let metrics = Metrics::new(3, false);
        for index in [0, 1] {
            metrics.source(index).took();
        }
        for index in [0, 2] {
            metrics.source(index).failed();
        }
        for variant in ["on", "off", "on"] {
            metrics.count("f\"\n", Ok((Some(variant), "STATIC")));
        }
        metrics.count("f", Err(ErrorCode::General));
        let open = metrics.event_streams.count();
        let text = exposed(&metrics);
        for line in [
            r#"feature_flag_flagd_impression_total{feature_flag_key="f\"\n",feature_flag_provider_name="flagd",feature_flag_reason="STATIC",feature_flag_result_variant="on"} 2"#,
            r#"feature_flag_flagd_result_reason_total{feature_flag_key="f\"\n",feature_flag_provider_name="flagd",feature_flag_reason="STATIC"} 3"#,
            r#"feature_flag_flagd_result_reason_total{ExceptionTypeKeyName="GENERAL",feature_flag_provider_name="flagd",feature_flag_reason="ERROR"} 1"#,
            r#"flagstaff_source_updates_total{source="a \"b\"",index="0"} 1"#,
            r#"flagstaff_source_errors_total{source="a \"b\"",index="0"} 1"#,
            r#"flagstaff_source_up{source="a \"b\"",index="0"} 0"#,
            r#"flagstaff_source_up{source="a \"b\"",index="1"} 1"#,
            r#"flagstaff_source_last_update_timestamp_seconds{source="a \"b\"",index="2"} 0"#,
            "flagstaff_event_streams 1",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} is not in\n{text}");
        }
        drop(open);
        assert!(exposed(&metrics).contains("flagstaff_event_streams 0\n"));
    }

    #[test]
    fn the_number_of_series_is_bounded() {
        let metrics = Metrics::default();
        for key in 0..MOST_SERIES + 10 {
            metrics.count(&key.to_string(), Ok((None, "STATIC")));
        }
        assert_eq!(metrics.evaluations.pin().len(), MOST_SERIES);
    }
}
