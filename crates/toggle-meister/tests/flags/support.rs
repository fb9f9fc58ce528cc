//! A server of the test, and what tests do with it.

use std::{collections::HashMap, future::Future, time::Duration};

use flagstaff::{FlagdOptions, FlagdProvider, flagd::Resolver};
use serde_json::{Value, json};
use service::{settings::Values, time};
use tempfile::TempDir;
use toggle_meister::{
    model::{change, toggle},
    rollout::Pace,
    serve::{self, Running},
    settings::{OPTIONS, Settings},
    toggle::{Rollout, Toggle},
};

/// Only a failing test takes this long.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// A server with an empty database, to which everybody is an administrator.
pub(crate) struct Meister {
    pub(crate) running: Running,
    pub(crate) http: reqwest::Client,
    _folder: TempDir,
}

impl Meister {
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// With these options besides those of a test.
    pub(crate) async fn with(options: &[(&'static str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("db").display().to_string();
        let free = "127.0.0.1:0";
        let mut values = HashMap::from([
            ("database", database),
            ("listen", free.to_owned()),
            ("dev", "true".to_owned()),
            ("flags-evaluation", free.to_owned()),
            ("flags-sync", free.to_owned()),
            ("flags-ofrep", free.to_owned()),
            ("metrics-flush-seconds", "3600".to_owned()),
        ]);
        values.extend(options.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let values = Values::read(OPTIONS, &values, None, |_| None).unwrap();
        let running = serve::start(&Settings::from_values(&values).unwrap()).await.unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { running, http: reqwest::Client::new(), _folder: folder }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.running.address())
    }

    /// The body of a response that must be a success.
    async fn sent(request: reqwest::RequestBuilder) -> Value {
        let response = request.send().await.unwrap();
        let (status, text) = (response.status(), response.text().await.unwrap());
        assert!(status.is_success(), "{status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        Self::sent(self.http.get(self.url(path))).await
    }

    pub(crate) async fn create_feature(&self, name: &str) {
        Self::sent(
            self.http.post(self.url("/api/features")).body(json!({"name": name}).to_string()),
        )
        .await;
    }

    pub(crate) async fn create_environment(&self, name: &str) {
        Self::sent(self.http.post(self.url("/api/envs")).body(json!({"name": name}).to_string()))
            .await;
    }

    pub(crate) async fn delete_environment(&self, name: &str) {
        Self::sent(self.http.delete(self.url(&format!("/api/envs/{name}")))).await;
    }

    pub(crate) async fn switch(&self, env: &str, feature: &str, state: &str) {
        let body = json!({"toggle": {"env": env, "feature": feature, "state": state}});
        Self::sent(self.http.patch(self.url("/api/toggles")).body(body.to_string())).await;
    }

    /// Stores toggles of production without asking whether they may follow those before.
    pub(crate) async fn put(&self, toggles: Vec<(String, Toggle)>) {
        let put = self.running.store().write(move |sql| {
            for (feature, toggle) in toggles {
                toggle::put(sql, &feature, "production", toggle)?;
                change::note(sql, &change::Changed::Feature(feature))?;
            }
            Ok(())
        });
        assert!(put.await.is_ok(), "the toggles cannot be stored");
    }

    /// Where flagd's evaluation protocol is served.
    pub(crate) fn evaluation(&self) -> u16 {
        self.running.flag_server().evaluation_addr().unwrap().port()
    }

    /// A response of OFREP, with its status.
    pub(crate) async fn ofrep(&self, key: &str, selector: Option<&str>, id: Option<&str>) -> Value {
        let address = self.running.flag_server().ofrep_addr().unwrap();
        let url = format!("http://{address}/ofrep/v1/evaluate/flags{key}");
        let context = id.map_or_else(|| json!({}), |id| json!({"targetingKey": id}));
        let mut request = self.http.post(url).body(json!({"context": context}).to_string());
        if let Some(selector) = selector {
            request = request.header("flagd-selector", selector);
        }
        request.send().await.unwrap().json().await.unwrap()
    }

    /// A provider of this library that is ready.
    pub(crate) async fn provider(
        &self,
        resolver: Resolver,
        selector: Option<&str>,
    ) -> FlagdProvider {
        let server = self.running.flag_server();
        let address = match resolver {
            Resolver::Rpc => server.evaluation_addr(),
            _ => server.sync_addr(),
        };
        let options = FlagdOptions::builder().without_env().host("127.0.0.1").deadline(LONG);
        let mut options = options.port(address.unwrap().port()).resolver(resolver);
        if let Some(selector) = selector {
            options = options.selector(selector);
        }
        let provider = FlagdProvider::new(options.build().unwrap());
        bounded("the start of a provider", provider.start()).await;
        provider.wait_ready(LONG).await.unwrap();
        provider
    }
}

/// A rollout over a year: it is in this one of its 24 steps for days.
pub(crate) fn rollout(number: i64, step: usize) -> Rollout {
    let pace = Pace::over_days(365.0).unwrap();
    let steps = i64::try_from(step).unwrap();
    Rollout { number, start: time::now() - steps * pace.step() - pace.step() / 2, pace }
}

pub(crate) async fn bounded<F: Future>(what: &str, future: F) -> F::Output {
    let waited = tokio::time::timeout(LONG, future).await;
    waited.unwrap_or_else(|_| panic!("waited {LONG:?} for {what}"))
}

/// Waits until a condition holds.
pub(crate) async fn becomes_true(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    bounded(what, async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}
