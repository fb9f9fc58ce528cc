//! How long requests took, by route and status.
//!
//! One histogram, in Prometheus' sense: a class counts what is longer than the
//! bound before it and not longer than its own, and the page shows running sums.
//!
//! ```text
//! durations  70 us, 90 us, 7 s
//! classes    <= 50 us: 0    <= 100 us: 2    ...    longer: 1
//! page       le="0.00005" 0  le="0.0001" 2  ...    le="+Inf" 3
//! ```

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use http::StatusCode;

use super::text::Exposition;
use crate::server::protocol::procedure::Procedure;

/// The upper bounds of the classes of durations, in microseconds. A last class,
/// for what is longer than all of them, has no bound.
const BOUNDS: [u64; 8] = [50, 100, 250, 500, 1_000, 5_000, 25_000, 100_000];

/// The procedure that was called, and over which protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Route {
    Grpc(Procedure),
    Connect(Procedure),
    /// OFREP, one flag.
    OfrepFlag,
    /// OFREP, all flags.
    OfrepAll,
}

impl Route {
    /// The value of the label `protocol`.
    fn protocol(self) -> &'static str {
        match self {
            Self::Grpc(_) => "grpc",
            Self::Connect(_) => "connect",
            Self::OfrepFlag | Self::OfrepAll => "ofrep",
        }
    }

    /// The path, with a placeholder for the key of a flag, so that clients cannot
    /// make up routes.
    fn path(self) -> String {
        match self {
            Self::Grpc(procedure) | Self::Connect(procedure) => procedure.path(),
            Self::OfrepFlag => "/ofrep/v1/evaluate/flags/{key}".to_owned(),
            Self::OfrepAll => "/ofrep/v1/evaluate/flags".to_owned(),
        }
    }
}

/// How long requests took. The number of series is bounded, because the server
/// chooses routes and statuses.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    /// Whether evaluation is encrypted; OFREP never is.
    encrypted: bool,
    /// By route and HTTP status.
    durations: papaya::HashMap<(Route, u16), Durations, foldhash::fast::RandomState>,
}

/// The durations of the requests with one route and status.
#[derive(Debug, Default)]
struct Durations {
    /// How many were in each class, not summed up.
    classes: [AtomicU64; BOUNDS.len() + 1],
    /// All of them together.
    nanoseconds: AtomicU64,
}

impl Requests {
    /// No requests yet, on an evaluation port that is encrypted or not.
    pub(crate) fn new(encrypted: bool) -> Self {
        Self { encrypted, ..Self::default() }
    }

    /// Counts a request that was completed. For a call over gRPC, whose HTTP status
    /// is always 200, `status` is the one that Connect uses for its code.
    pub(crate) fn finished(&self, route: Route, status: StatusCode, duration: Duration) {
        let all = self.durations.pin();
        let durations = all.get_or_insert_with((route, status.as_u16()), Durations::default);
        let micros = duration.as_micros();
        let class = BOUNDS.iter().position(|bound| micros <= u128::from(*bound));
        durations.classes[class.unwrap_or(BOUNDS.len())].fetch_add(1, Relaxed);
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        durations.nanoseconds.fetch_add(nanoseconds, Relaxed);
    }

    /// Writes the histogram, sorted by route and status.
    pub(crate) fn expose(&self, text: &mut Exposition) {
        let name = "http_server_request_duration_seconds";
        let help = "How long POST requests for evaluations took; streams are left out.";
        text.head(name, "histogram", help);
        let all = self.durations.pin();
        let mut all: Vec<_> = all.iter().collect();
        all.sort_unstable_by_key(|(key, _)| **key);
        for ((route, status), durations) in all {
            let encrypted = self.encrypted && route.protocol() != "ofrep";
            let (path, status) = (route.path(), status.to_string());
            let labels = [
                ("http_request_method", "POST"),
                ("http_response_status_code", &*status),
                ("http_route", &*path),
                ("protocol", route.protocol()),
                ("service_name", "flagd"),
                ("url_scheme", if encrypted { "https" } else { "http" }),
            ];
            let mut sum = 0;
            for (class, count) in durations.classes.iter().enumerate() {
                sum += count.load(Relaxed);
                let bound =
                    BOUNDS.get(class).map_or("+Inf".to_owned(), |bound| seconds(bound * 1000));
                let labels = [&labels[..], &[("le", &*bound)]].concat();
                text.sample(&format!("{name}_bucket"), &labels, &sum.to_string());
            }
            let total = seconds(durations.nanoseconds.load(Relaxed));
            text.sample(&format!("{name}_sum"), &labels, &total);
            text.sample(&format!("{name}_count"), &labels, &sum.to_string());
        }
    }
}

/// A duration in seconds, as Prometheus' text format has it.
fn seconds(nanoseconds: u64) -> String {
    Duration::from_nanos(nanoseconds).as_secs_f64().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_by_route_and_status() {
        let requests = Requests::new(true);
        let micros = Duration::from_micros;
        requests.finished(Route::OfrepFlag, StatusCode::OK, micros(70));
        requests.finished(Route::OfrepFlag, StatusCode::OK, micros(7_000_000));
        requests.finished(Route::OfrepFlag, StatusCode::NOT_FOUND, micros(1));
        requests.finished(Route::Grpc(Procedure::ResolveAll), StatusCode::OK, micros(1));
        let mut text = Exposition::default();
        requests.expose(&mut text);
        let ofrep = |status| {
            format!(
                r#"http_request_method="POST",http_response_status_code="{status}",http_route="/ofrep/v1/evaluate/flags/{{key}}",protocol="ofrep",service_name="flagd",url_scheme="http""#
            )
        };
        for line in [
            format!("bucket{{{},le=\"0.00005\"}} 0", ofrep(200)),
            format!("bucket{{{},le=\"0.0001\"}} 1", ofrep(200)),
            format!("bucket{{{},le=\"+Inf\"}} 2", ofrep(200)),
            format!("sum{{{}}} 7.00007", ofrep(200)),
            format!("count{{{}}} 2", ofrep(200)),
            format!("count{{{}}} 1", ofrep(404)),
            r#"count{http_request_method="POST",http_response_status_code="200",http_route="/flagd.evaluation.v1.Service/ResolveAll",protocol="grpc",service_name="flagd",url_scheme="https"} 1"#.to_owned(),
        ] {
            let line = format!("http_server_request_duration_seconds_{line}");
            assert!(text.0.lines().any(|other| other == line), "{line} is not in\n{}", text.0);
        }
    }
}
