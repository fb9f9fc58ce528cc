//! Metrics of the server beside those of requests: whether it follows the database, and what has
//! failed.

use std::fmt;

use prometheus_client::{
    collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::ConstGauge,
    },
};
use service::metrics::Metrics;

use crate::{jobs, live::Live, usage::Usage};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    job: &'static str,
}

/// How often each job has failed. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Failures(Family<Labels, Counter>);

impl Default for Failures {
    /// Every job is there from the start, so that its first failure is seen as an increase.
    fn default() -> Self {
        let failures = Family::default();
        for job in jobs::NAMES {
            drop(failures.get_or_create(&Labels { job }));
        }
        Self(failures)
    }
}

impl Failures {
    /// Counts a failure.
    pub fn count(&self, job: &'static str) {
        self.0.get_or_create(&Labels { job }).inc();
    }
}

/// The metrics of a server.
#[must_use]
pub fn of(live: &Live, usage: &Usage, failures: &Failures) -> Metrics {
    Metrics::new(|registry| {
        registry.register("job_failures", "Failures of a job", failures.0.clone());
        let (live, usage) = (live.clone(), usage.clone());
        registry.register_collector(Box::new(Collector { live, usage }));
    })
}

/// What is known when somebody asks.
struct Collector {
    live: Live,
    usage: Usage,
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector").finish_non_exhaustive()
    }
}

impl collector::Collector for Collector {
    #[allow(clippy::cast_precision_loss, reason = "no server is that old")]
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut metric = |name: &str, help: &str, metric: &dyn EncodeMetric| {
            let kind = metric.metric_type();
            metric.encode(encoder.encode_descriptor(name, help, None, kind)?)
        };
        let is_available = ConstGauge::new(i64::from(self.live.is_available()));
        metric("database_available", "Whether the database answered the last time", &is_available)?;
        let age = ConstGauge::new(self.live.age() as f64 / 1e3);
        metric("changes_age_seconds", "Time since changes of the database were last read", &age)?;
        let failed = ConstCounter::new(self.usage.failed_flushes());
        let help = "Failures to write the numbers of requests to the database";
        metric("metrics_flush_failures", help, &failed)
    }
}
