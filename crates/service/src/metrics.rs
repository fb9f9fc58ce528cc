//! Metrics of HTTP requests in Prometheus' text format.
//!
//! The names are those of the data store of FlagOps, whose dashboards should go on working. Its
//! summaries of sizes are histograms here, with the same `_sum` and `_count`.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::{Body, HttpBody as _},
    extract::{MatchedPath, Request, State},
    http::Method,
    middleware::Next,
    response::Response,
};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

/// The media type of the format.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What a request is counted under. The endpoint is the pattern of the route, so that names in
/// paths make no new series.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    status: u16,
    endpoint: String,
    method: &'static str,
}

type Histograms = Family<Labels, Histogram, fn() -> Histogram>;

/// The metrics of a service. Cloning is cheap.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    started: Instant,
    uptime: Gauge,
    requests: Family<Labels, Counter>,
    durations: Histograms,
    request_sizes: Histograms,
    response_sizes: Histograms,
}

impl Metrics {
    /// The metrics of HTTP requests, and what `more` adds.
    #[must_use]
    pub fn new(more: impl FnOnce(&mut Registry)) -> Self {
        let seconds: fn() -> Histogram =
            || Histogram::new([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]);
        let bytes: fn() -> Histogram =
            || Histogram::new([100.0, 1_000.0, 10_000.0, 100_000.0, 1_000_000.0]);
        let mut registry = Registry::with_prefix("service");
        let uptime = Gauge::default();
        let requests = Family::default();
        let durations = Family::new_with_constructor(seconds);
        let request_sizes = Family::new_with_constructor(bytes);
        let response_sizes = Family::new_with_constructor(bytes);
        registry.register("uptime", "Seconds since the start", uptime.clone());
        registry.register("http_request_count", "Requests", requests.clone());
        registry.register(
            "http_request_duration_seconds",
            "Time until the head of the response",
            durations.clone(),
        );
        registry.register("http_request_size_bytes", "Bodies of requests", request_sizes.clone());
        registry.register(
            "http_response_size_bytes",
            "Bodies of responses whose length is known",
            response_sizes.clone(),
        );
        more(&mut registry);
        Self(Arc::new(Inner {
            registry,
            started: Instant::now(),
            uptime,
            requests,
            durations,
            request_sizes,
            response_sizes,
        }))
    }

    /// All metrics.
    ///
    /// # Errors
    ///
    /// Never: a string takes everything.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let uptime = self.0.started.elapsed().as_secs();
        self.0.uptime.set(i64::try_from(uptime).unwrap_or(i64::MAX));
        let mut text = String::new();
        encode(&mut text, &self.0.registry)?;
        Ok(text)
    }

    fn count(&self, labels: &Labels, took: Duration, request: Option<f64>, response: Option<f64>) {
        self.0.requests.get_or_create(labels).inc();
        self.0.durations.get_or_create(labels).observe(took.as_secs_f64());
        self.0.request_sizes.get_or_create(labels).observe(request.unwrap_or_default());
        if let Some(response) = response {
            self.0.response_sizes.get_or_create(labels).observe(response);
        }
    }
}

/// Middleware that counts each request.
pub async fn count(State(metrics): State<Metrics>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let endpoint = request.extensions().get::<MatchedPath>().map(|it| it.as_str().to_owned());
    let method = label(request.method());
    let request_size = length(request.body());
    let response = next.run(request).await;
    let labels = Labels {
        status: response.status().as_u16(),
        endpoint: endpoint.unwrap_or_default(),
        method,
    };
    metrics.count(&labels, started.elapsed(), request_size, length(response.body()));
    response
}

/// The method as a label. Any word is a method, and each label is kept for good.
fn label(method: &Method) -> &'static str {
    const KNOWN: [Method; 9] = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
        Method::CONNECT,
        Method::TRACE,
    ];
    KNOWN.iter().find(|it| *it == method).map_or("other", Method::as_str)
}

/// The length of a body, where it is known.
#[allow(clippy::cast_precision_loss, reason = "a body is shorter than what a float is exact for")]
fn length(body: &Body) -> Option<f64> {
    body.size_hint().exact().map(|it| it as f64)
}
