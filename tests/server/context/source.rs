//! Fields of the evaluation context from a source: in a provider that calls a server, in one that
//! evaluates in process, and in the server itself.

use std::{
    error::Error,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use flagstaff::{
    ContextSource, FlagdProvider, ProviderEvent, State, Subject, async_trait,
    flagd::{CacheType, ChangedFlags},
    server::{Server, testing::TestServer},
};
use open_feature::{
    EvaluationContext, EvaluationErrorCode,
    provider::{FeatureProvider, ResolutionDetails},
};
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use crate::client::{Answer, post};
use crate::support::wait::bounded;

/// What the double returns.
#[derive(Clone, Debug)]
enum Script {
    Fields(Value),
    Fails,
    Hangs,
}

/// A source that follows a script and counts its calls.
#[derive(Clone)]
struct Double {
    script: Arc<Mutex<Script>>,
    asked: Arc<AtomicUsize>,
    keys: Arc<Mutex<Vec<Option<String>>>>,
    version: watch::Sender<u64>,
}

impl Double {
    fn new(fields: Value) -> Self {
        Self {
            script: Arc::new(Mutex::new(Script::Fields(fields))),
            asked: Arc::default(),
            keys: Arc::default(),
            version: watch::Sender::new(0),
        }
    }

    fn set(&self, script: Script) {
        *self.script.lock().unwrap() = script;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl ContextSource for Double {
    fn name(&self) -> &'static str {
        "double"
    }

    async fn fields(
        &self,
        subject: Subject<'_>,
    ) -> Result<Arc<Map<String, Value>>, Box<dyn Error + Send + Sync>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let key = subject.targeting_key().map(std::borrow::Cow::into_owned);
        self.keys.lock().unwrap().push(key);
        let script = self.script.lock().unwrap().clone();
        match script {
            Script::Fields(fields) => Ok(Arc::new(fields.as_object().unwrap().clone())),
            Script::Fails => Err("the store is down".into()),
            Script::Hangs => std::future::pending().await,
        }
    }

    async fn changed(&self, seen: u64) -> u64 {
        *self.version.subscribe().wait_for(|version| *version > seen).await.unwrap()
    }
}

/// A flag whose value is the field of the context of this name.
fn echo(field: &str) -> Value {
    let variants = ["gold", "silver", "own", "user-1"].map(|name| (name.to_owned(), json!(name)));
    let variants: Map<_, _> = variants.into_iter().collect();
    json!({"variants": variants, "targeting": {"var": field}})
}

async fn flags() -> TestServer {
    let server = TestServer::start().await;
    server.define("tier", echo("tier")).define("key", echo("targetingKey")).set("plain", true);
    server
}

fn user() -> EvaluationContext {
    EvaluationContext::default()
        .with_targeting_key("user-1")
        .with_custom_field("tier", "own")
        .with_custom_field("other", 1)
}

async fn text(
    provider: &FlagdProvider,
    key: &str,
) -> Result<String, (EvaluationErrorCode, String)> {
    let context = user();
    let evaluation = bounded("an evaluation", provider.resolve_string_value(key, &context)).await;
    evaluation
        .map(|ResolutionDetails { value, .. }| value)
        .map_err(|error| (error.code, error.message.unwrap_or_default()))
}

/// Started providers with this source: one that calls the server, and one that evaluates in
/// process.
async fn providers(server: &TestServer, source: &Double) -> [FlagdProvider; 2] {
    let options = [server.options().cache(CacheType::Disabled), server.in_process_options()];
    let mut providers = options.map(|options| {
        FlagdProvider::new(options.build().unwrap()).with_context_source(source.clone())
    });
    for provider in &mut providers {
        bounded("the start", provider.start()).await;
        assert_eq!(provider.state(), State::Ready);
    }
    providers
}

#[tokio::test]
async fn fields_hide_those_of_the_caller_but_not_the_targeting_key() {
    let server = flags().await;
    let source = Double::new(json!({"tier": "gold", "targetingKey": "gold"}));
    for provider in providers(&server, &source).await {
        assert_eq!(text(&provider, "tier").await, Ok("gold".to_owned()));
        assert_eq!(text(&provider, "key").await, Ok("user-1".to_owned()));
        source.set(Script::Fields(json!({})));
        assert_eq!(text(&provider, "tier").await, Ok("own".to_owned()));
        source.set(Script::Fields(json!({"tier": "gold", "targetingKey": "gold"})));
    }
    assert!(source.keys.lock().unwrap().iter().all(|key| key.as_deref() == Some("user-1")));
}

#[tokio::test]
async fn cache_hits_do_not_read_the_context_source() {
    let server = flags().await;
    let source = Double::new(json!({}));
    let options = server.options().build().unwrap();
    let provider = FlagdProvider::new(options).with_context_source(source.clone());
    provider.start().await;
    for _ in 0..3 {
        assert!(provider.resolve_bool_value("plain", &user()).await.unwrap().value);
    }
    assert_eq!((source.asked(), provider.stats().cache_hits), (1, 2));
}

#[tokio::test]
async fn a_source_that_fails_fails_the_evaluation() {
    let server = flags().await;
    let source = Double::new(json!({}));
    for provider in providers(&server, &source).await {
        source.set(Script::Fails);
        let (code, message) = text(&provider, "tier").await.unwrap_err();
        assert_eq!(code, EvaluationErrorCode::General("GENERAL".to_owned()));
        assert_eq!(message, "the context source `double` failed: the store is down");
    }
}

#[tokio::test]
async fn a_source_that_hangs_costs_the_deadline_and_no_more() {
    let server = flags().await;
    let source = Double::new(json!({}));
    for options in [server.options(), server.in_process_options()] {
        let options = options.deadline(Duration::from_millis(200)).build().unwrap();
        let provider = FlagdProvider::new(options).with_context_source(source.clone());
        provider.start().await;
        bounded("READY", provider.wait_ready(Duration::from_secs(20))).await.unwrap();
        source.set(Script::Hangs);
        let (code, message) = text(&provider, "tier").await.unwrap_err();
        assert_eq!(code, EvaluationErrorCode::General("GENERAL".to_owned()));
        assert!(message.contains("`double`") && message.contains("200ms"), "{message}");
        source.set(Script::Fields(json!({})));
    }
}

#[tokio::test]
async fn a_change_of_the_fields_is_an_event() {
    let server = flags().await;
    let source = Double::new(json!({"tier": "silver"}));
    for (version, provider) in (1..).zip(providers(&server, &source).await) {
        let mut events = provider.events();
        assert_eq!(bounded("READY", events.next()).await, Some(ProviderEvent::Ready));
        let before = provider.stats().cache_invalidations;
        source.version.send_replace(version);
        let changed = ProviderEvent::ConfigurationChanged(ChangedFlags::All);
        assert_eq!(bounded("the change", events.next()).await, Some(changed));
        assert_eq!(provider.stats().cache_invalidations, before);
        provider.shutdown().await;
    }
}

/// Posts JSON.
async fn ask(address: Option<SocketAddr>, path: &str, body: &Value) -> Answer {
    let json = [("content-type", "application/json")];
    post(address, path, &json, body.to_string()).await
}

#[tokio::test]
async fn the_server_adds_fields_over_every_protocol() {
    let source = Double::new(json!({"tier": "gold", "targetingKey": "gold"}));
    let server = Server::builder().ephemeral().context_source(source.clone()).bind().await.unwrap();
    server.flags().set("tier", echo("tier")).unwrap();
    server.flags().set("key", echo("targetingKey")).unwrap();
    let (rpc, ofrep) = (server.evaluation_addr(), server.ofrep_addr());

    let context = json!({"targetingKey": "user-1", "tier": "own"});
    for (key, expected) in [("tier", "gold"), ("key", "user-1")] {
        let body = json!({"flagKey": key, "context": context});
        let path = "/flagd.evaluation.v1.Service/ResolveString";
        let answer = ask(rpc, path, &body).await;
        assert_eq!(answer.json()["value"], json!(expected), "{answer:?}");
        let path = format!("/ofrep/v1/evaluate/flags/{key}");
        let answer = ask(ofrep, &path, &json!({"context": context})).await;
        assert_eq!(answer.json()["value"], json!(expected), "{answer:?}");
    }
    let path = "/ofrep/v1/evaluate/flags";
    let all = ask(ofrep, path, &json!({"context": context})).await;
    assert_eq!(all.json()["flags"][1]["value"], json!("gold"), "{all:?}");

    // Over gRPC, with a provider.
    let options = flagstaff::FlagdOptions::builder().host("127.0.0.1").port(rpc.unwrap().port());
    let provider = FlagdProvider::new(options.without_env().build().unwrap());
    provider.start().await;
    assert_eq!(text(&provider, "tier").await, Ok("gold".to_owned()));
    assert!(source.keys.lock().unwrap().iter().all(|key| key.as_deref() == Some("user-1")));

    source.set(Script::Fails);
    let (code, message) = text(&provider, "tier").await.unwrap_err();
    assert_eq!(code, EvaluationErrorCode::ProviderNotReady, "{message}");
    assert!(message.contains("unavailable") && !message.contains("store"), "{message}");
    let answer = ask(ofrep, path, &json!({"context": context})).await;
    assert_eq!(answer.status, 503, "{answer:?}");

    source.set(Script::Hangs);
    let answer =
        bounded("the end of its time", ask(ofrep, path, &json!({"context": context}))).await;
    assert_eq!(answer.status, 503, "{answer:?}");
}
