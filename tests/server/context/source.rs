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
    ContextChange, ContextSource, FieldVersions, FlagdProvider, ProviderEvent, State, Subject,
    async_trait,
    flagd::{CacheType, ChangedFlags},
    server::{Server, testing::TestServer},
};
use open_feature::{
    EvaluationContext, EvaluationErrorCode,
    provider::{FeatureProvider, ResolutionDetails},
};
use serde_json::{Map, Value, json};
use tonic::Code;

use crate::client::{Answer, post, v1, v2, with_header};
use crate::support::{
    clock::Clock,
    json::to_struct,
    proto::{v1 as proto_v1, v2 as proto_v2},
    provider::{changed, expect},
    wait::{bounded, eventually},
};

/// What the double returns.
#[derive(Clone, Debug)]
pub enum Script {
    Fields(Value),
    Fails,
    Hangs,
}

/// A source that follows a script and counts its calls.
#[derive(Clone)]
pub struct Double {
    script: Arc<Mutex<Script>>,
    asked: Arc<AtomicUsize>,
    keys: Arc<Mutex<Vec<Option<String>>>>,
    /// The subject as the source has seen it last.
    seen: Arc<Mutex<Value>>,
    pub versions: Arc<FieldVersions>,
}

impl Double {
    pub fn new(fields: Value) -> Self {
        Self {
            script: Arc::new(Mutex::new(Script::Fields(fields))),
            asked: Arc::default(),
            keys: Arc::default(),
            seen: Arc::default(),
            versions: Arc::default(),
        }
    }

    pub fn set(&self, script: Script) {
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
        let (key, tenant) = (subject.string("targetingKey"), subject.string("tenant"));
        let has = ["targetingKey", "tenant", "region", "seats"].map(|name| subject.contains(name));
        *self.seen.lock().unwrap() = json!([key, tenant, subject.string("seats"), has]);
        let script = self.script.lock().unwrap().clone();
        match script {
            Script::Fields(fields) => Ok(Arc::new(fields.as_object().unwrap().clone())),
            Script::Fails => Err("the store is down".into()),
            Script::Hangs => std::future::pending().await,
        }
    }

    async fn changed(&self, seen: u64) -> ContextChange {
        self.versions.since(seen).await
    }
}

/// A flag whose value is the field of the context of this name.
pub fn echo(field: &str) -> Value {
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

/// docs/resolvers.md: the sync context of flagd overrides the fields of the source.
#[tokio::test]
async fn the_sync_context_hides_fields() {
    let server = Server::builder().ephemeral().context_value("tier", "silver");
    let server = server.bind().await.unwrap();
    server.flags().set("tier", echo("tier")).unwrap();
    server.flags().set("owner", echo("owner")).unwrap();
    let source = Double::new(json!({"tier": "gold", "owner": "gold"}));
    for (address, resolver) in [
        (server.sync_addr(), flagstaff::flagd::Resolver::InProcess),
        (server.evaluation_addr(), flagstaff::flagd::Resolver::Rpc),
    ] {
        let options = flagstaff::FlagdOptions::builder().host("127.0.0.1").resolver(resolver);
        let options = options.port(address.unwrap().port()).without_env().build().unwrap();
        let provider = FlagdProvider::new(options).with_context_source(source.clone());
        provider.start().await;
        bounded("READY", provider.wait_ready(Duration::from_secs(20))).await.unwrap();
        assert_eq!(text(&provider, "tier").await, Ok("silver".to_owned()));
        assert_eq!(text(&provider, "owner").await, Ok("gold".to_owned()));
    }
}

/// Who knows the rules names the flags that read the fields.
#[tokio::test]
async fn a_change_of_fields_is_an_event() {
    let server = flags().await;
    server.define("any", json!({"targeting": {"missing": {"var": "names"}}}));
    let source = Double::new(json!({"tier": "silver"}));
    let [rpc, in_process] = providers(&server, &source).await;
    let mut rpc_events = rpc.events();
    let mut events = in_process.events();
    expect(&mut rpc_events, [ProviderEvent::Ready]).await;
    expect(&mut events, [ProviderEvent::Ready]).await;
    let before = rpc.stats().cache_invalidations;

    source.versions.changed(["nobody reads it"]);
    expect(&mut events, [changed(&["any"])]).await;
    expect(&mut rpc_events, [ProviderEvent::ConfigurationChanged(ChangedFlags::All)]).await;
    source.versions.changed(["tier"]);
    expect(&mut events, [changed(&["any", "tier"])]).await;
    server.remove("any");
    expect(&mut events, [changed(&["any"])]).await;
    source.versions.changed(["targetingKey", "nobody reads it"]);
    source.versions.all_changed();
    expect(&mut events, [changed(&["tier"])]).await;
    assert_eq!(rpc.stats().cache_invalidations, before);
}

/// In process, flags are evaluated in ERROR too, and READY later says nothing about fields.
#[tokio::test]
async fn a_change_while_the_flags_have_no_source_is_an_event() {
    let server = flags().await;
    let source = Double::new(json!({"tier": "silver"}));
    let options = server.in_process_options().retry_grace_period(Duration::ZERO);
    let provider = FlagdProvider::new(options.build().unwrap()).with_context_source(source.clone());
    source.versions.changed(["tier"]);
    bounded("the start", provider.start()).await;
    let mut events = provider.events();
    expect(&mut events, [ProviderEvent::Ready]).await;
    drop(server);
    let lost = bounded("the loss", events.next()).await;
    assert!(matches!(lost, Some(ProviderEvent::Error { fatal: false, .. })), "{lost:?}");
    assert_eq!(text(&provider, "tier").await, Ok("silver".to_owned()));
    source.set(Script::Fields(json!({"tier": "gold"})));
    source.versions.changed(["tier"]);
    expect(&mut events, [changed(&["tier"])]).await;
    assert_eq!(text(&provider, "tier").await, Ok("gold".to_owned()));
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
}

/// A request with this body over each protocol, and whether it was rejected as unavailable.
async fn unavailable(server: &Server, context: &Value) -> [bool; 4] {
    let request = || {
        let message = proto_v2::ResolveStringRequest {
            flag_key: "tier".to_owned(),
            context: Some(to_struct(context)),
        };
        with_header(message, "grpc-timeout", "1H")
    };
    let grpc = v2(server).await.resolve_string(request()).await.map_err(|status| {
        assert!(!status.message().contains("store"), "{status:?}");
        status.code()
    });
    let body = json!({"flagKey": "tier", "context": context});
    let connect = ask(server.evaluation_addr(), RESOLVE, &body).await;
    let mut ofrep = Vec::new();
    for path in ["/ofrep/v1/evaluate/flags", "/ofrep/v1/evaluate/flags/tier"] {
        let answer = ask(server.ofrep_addr(), path, &json!({"context": context})).await;
        assert!(!answer.text().contains("store"), "{answer:?}");
        ofrep.push(answer.status == 503 && answer.header("retry-after") == Some("1"));
    }
    let connect = connect.status == 503 && connect.json()["code"] == "unavailable";
    [grpc.err() == Some(Code::Unavailable), connect, ofrep[0], ofrep[1]]
}

const RESOLVE: &str = "/flagd.evaluation.v1.Service/ResolveString";

/// `ServerBuilder::context_source`: without its fields, a rule might choose another variant.
#[tokio::test]
async fn a_source_that_fails_fails_requests_to_the_server() {
    let source = Double::new(json!({"tier": "gold"}));
    let server = Server::builder().ephemeral().context_source(source.clone()).bind().await.unwrap();
    server.flags().set("tier", echo("tier")).unwrap();
    let context = json!({"targetingKey": "user-1"});
    assert_eq!(unavailable(&server, &context).await, [false; 4]);
    source.set(Script::Fails);
    assert_eq!(unavailable(&server, &context).await, [true; 4]);
    source.set(Script::Fields(json!({})));
    assert_eq!(unavailable(&server, &context).await, [false; 4]);
}

/// docs/server.md: the server waits 5 s for a source.
#[tokio::test]
async fn a_source_that_hangs_costs_requests_to_the_server_5_s() {
    let source = Double::new(json!({}));
    let server = Server::builder().ephemeral().context_source(source.clone()).bind().await.unwrap();
    server.flags().set("tier", echo("tier")).unwrap();
    source.set(Script::Hangs);
    let mut client = v1(&server).await;
    let request = proto_v1::ResolveStringRequest { flag_key: "tier".to_owned(), context: None };
    let (rpc, ofrep) = (server.evaluation_addr(), server.ofrep_addr());
    let answers = tokio::spawn(async move {
        tokio::join!(
            async { client.resolve_string(request).await.unwrap_err().code() },
            async { ask(rpc, RESOLVE, &json!({"flagKey": "tier"})).await.status.as_u16() },
            async { ask(ofrep, "/ofrep/v1/evaluate/flags", &json!({})).await.status.as_u16() },
        )
    });
    eventually("three requests", || source.asked() == 3).await;
    tokio::time::pause();
    let clock = Clock::stopped();
    clock.pass(Duration::from_millis(4_990)).await;
    assert!(!answers.is_finished());
    clock.pass(Duration::from_millis(20)).await;
    let answers = clock.still("the answers", answers).await.unwrap();
    assert_eq!(answers, (Code::Unavailable, 503, 503));
}

/// docs/server.md, "Context": the source sees what the operator adds, and the targeting key of a
/// verified header is the one that counts.
#[tokio::test]
async fn the_source_sees_the_whole_context() {
    let source = Double::new(json!({"tier": "gold", "region": "gold", "tenant": "gold"}));
    let server = Server::builder()
        .ephemeral()
        .context_source(source.clone())
        .context_from_header("x-user", "targetingKey")
        .context_from_header("x-tenant", "tenant")
        .context_value("region", "silver");
    let server = server.bind().await.unwrap();
    for field in ["tier", "region", "tenant", "targetingKey"] {
        server.flags().set(field, echo(field)).unwrap();
    }
    let context = json!({"targetingKey": "forged", "tenant": "forged", "seats": 3});
    let headers = [("content-type", "application/json"), ("x-user", "user-1"), ("x-tenant", "own")];
    let seen = json!(["user-1", "own", null, [true, true, true, true]]);
    for (key, expected) in
        [("tier", "gold"), ("region", "silver"), ("tenant", "own"), ("targetingKey", "user-1")]
    {
        let body = json!({"flagKey": key, "context": context}).to_string();
        let answer = post(server.evaluation_addr(), RESOLVE, &headers, body).await;
        assert_eq!(answer.json()["value"], expected, "{answer:?}");
        assert_eq!(source.seen.lock().unwrap().take(), seen, "over Connect");

        let body = json!({"context": context}).to_string();
        let path = format!("/ofrep/v1/evaluate/flags/{key}");
        let answer = post(server.ofrep_addr(), &path, &headers, body).await;
        assert_eq!(answer.json()["value"], expected, "{answer:?}");
        assert_eq!(source.seen.lock().unwrap().take(), seen, "over OFREP");

        let message = proto_v2::ResolveStringRequest {
            flag_key: key.to_owned(),
            context: Some(to_struct(&context)),
        };
        let mut request = with_header(message, "x-user", "user-1");
        request.metadata_mut().insert("x-tenant", "own".parse().unwrap());
        let value = v2(&server).await.resolve_string(request).await.unwrap().into_inner().value;
        assert_eq!(value.as_deref(), Some(expected));
        assert_eq!(source.seen.lock().unwrap().take(), seen, "over gRPC");
    }
    let answer =
        ask(server.ofrep_addr(), "/ofrep/v1/evaluate/flags", &json!({"context": context})).await;
    assert_eq!(answer.status, 200);
    let without_headers = json!(["forged", "forged", null, [true, true, true, true]]);
    assert_eq!(source.seen.lock().unwrap().take(), without_headers);
}

/// A source sees the same of a request to the server as of an evaluation through the SDK.
#[tokio::test]
async fn the_targeting_key_is_a_field_for_every_caller() {
    let sdk = Double::new(json!({}));
    let server_side = Double::new(json!({}));
    let server = Server::builder().ephemeral().context_source(server_side.clone());
    let server = server.bind().await.unwrap();
    server.flags().set("tier", echo("tier")).unwrap();
    let options = flagstaff::FlagdOptions::builder().host("127.0.0.1").cache(CacheType::Disabled);
    let options = options.port(server.evaluation_addr().unwrap().port()).without_env();
    let provider = FlagdProvider::new(options.build().unwrap()).with_context_source(sdk.clone());
    provider.start().await;
    let with_key = EvaluationContext::default().with_targeting_key("user-1");
    let field = |name: &str| EvaluationContext::default().with_custom_field(name, "other");
    for (context, expected) in [
        (EvaluationContext::default(), json!([null, null, null, [false, false, false, false]])),
        (with_key.clone(), json!(["user-1", null, null, [true, false, false, false]])),
        (
            with_key.with_custom_field("targetingKey", "other"),
            json!(["user-1", null, null, [true, false, false, false]]),
        ),
        (field("targetingKey"), json!(["other", null, null, [true, false, false, false]])),
        (field("tenant"), json!([null, "other", null, [false, true, false, false]])),
    ] {
        let _ = bounded("an evaluation", provider.resolve_string_value("tier", &context)).await;
        for (source, place) in [(&sdk, "SDK"), (&server_side, "server")] {
            let key = source.keys.lock().unwrap().last().cloned().unwrap();
            assert_eq!(json!(key), expected[0], "{place}");
            assert_eq!(source.seen.lock().unwrap().take(), expected, "{place}");
        }
    }
}
