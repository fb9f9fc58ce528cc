//! Callbacks, and what they set off.

use std::{sync::Arc, time::Duration};

use axum::http::Request;
use flagstaff::{
    http::Client,
    optoggles::{Config, Engine, OpalSource, Running},
};
use serde_json::json;
use tracing::Level;

use super::{Opal, config, post};
use crate::{
    engine::{in_step, toggle},
    logs::Logs,
    rest::{Does, Service},
    support::wait::{becomes_true, bounded, eventually},
};

fn target(service: &Service) -> String {
    format!("{{targetType: restapi, targetSpec: {{endpointUrl: '{}'}}}}", service.url)
}

fn source(id: &str, opal: &Opal) -> String {
    format!("{{id: {id}, url: '{}'}}", opal.url)
}

async fn run(text: &str) -> Running {
    Engine::from(Config::parse(text).unwrap()).start().await.unwrap()
}

#[tokio::test]
async fn the_token_of_a_source_that_does_not_exist_is_answered_with_400() {
    let (opal, service) = (Opal::start(&["bob"]).await, Service::start().await);
    let [first, second] = ["opal", "other"].map(|id| {
        let text = config(&source(id, &opal), &target(&service), "callbackSecret: hush");
        text.replace("source: opal", &format!("source: {id}"))
    });
    let first = run(&first).await;
    in_step(&first, "us").await;
    let callback = opal.callbacks().pop().unwrap();
    first.shutdown().await;
    let second = run(&second).await;
    let url = format!("http://{}/opa_update", second.address().unwrap());
    let token = callback["config"]["headers"]["Authorization"].as_str().unwrap();
    assert_eq!(post(&url, token, Vec::new()).await, 400);
    second.shutdown().await;
}

#[tokio::test]
async fn a_long_body_is_drained_and_not_logged_and_one_without_an_end_is_not() {
    let (logs, _guard) = Logs::listen();
    let (opal, service) = (Opal::start(&["bob"]).await, Service::start().await);
    let running = run(&config(&source("opal", &opal), &target(&service), "")).await;
    in_step(&running, "us").await;
    let callback = opal.callbacks().pop().unwrap();
    let token = callback["config"]["headers"]["Authorization"].as_str().unwrap();
    let url = format!("http://{}/opa_update", running.address().unwrap());
    opal.answers(&["al"]);
    assert_eq!(post(&url, token, b"hush-body ".repeat(400_000)).await, 200);
    eventually("the change", || service.users("us") == Some(json!(["al"]))).await;
    // It is answered, or the connection ends: either way nobody waits for the rest.
    let client = Client::builder().without_proxy().build().unwrap();
    let request = Request::post(&url).header("authorization", token);
    let endless = request.body(vec![b' '; 65 << 20]).unwrap();
    let _ = bounded("the end of the request", client.send(endless)).await;
    opal.answers(&["eve"]);
    opal.call_back().await;
    eventually("the next change", || service.users("us") == Some(json!(["eve"]))).await;
    running.shutdown().await;
    assert_eq!(logs.with("hush-body", Level::TRACE), [""; 0]);
}

#[tokio::test]
async fn those_that_arrive_together_are_one_round_of_questions() {
    let (opal, service) = (Opal::start(&["bob"]).await, Service::start().await);
    let source = OpalSource::builder(&opal.url).build("key", "http://127.0.0.1:1", "t").unwrap();
    let source = Arc::new(source);
    let engine = Engine::builder()
        .shared_source("opal", source.clone())
        .target("rest", service.target().build().unwrap())
        .resync_interval(Duration::ZERO)
        .toggle("opal", toggle("us"))
        .toggle("opal", toggle("eu"));
    let running = engine.build().unwrap().start().await.unwrap();
    for key in ["us", "eu"] {
        in_step(&running, key).await;
    }
    let before = opal.questions();
    opal.answers(&["al"]);
    for _ in 0..100 {
        source.pulse();
    }
    for key in ["us", "eu"] {
        eventually("the change", || service.users(key) == Some(json!(["al"]))).await;
    }
    running.shutdown().await;
    assert_eq!(opal.questions() - before, 2, "one for each toggle");
    assert_eq!(service.sent("PATCH").len(), 4);
}

#[tokio::test]
async fn health_is_503_until_everything_was_tried() {
    let opal = Opal::start(&["bob"]).await;
    let service = Service::start().await;
    service.does(|_| Does::Never);
    let running = run(&config(&source("opal", &opal), &target(&service), "")).await;
    let base = format!("http://{}/health", running.address().unwrap());
    eventually("the target to be asked", || !service.sent("").is_empty()).await;
    for (path, status) in [("/live", 200), ("/started", 503), ("", 503)] {
        assert_eq!(get(&format!("{base}{path}")).await, status, "{path}");
    }
    service.does(|_| Does::Status(200));
    // The request without an answer is given up.
    let shutdown = tokio::spawn(running.shutdown());
    tokio::time::pause();
    bounded("the shutdown", shutdown).await.unwrap();
    tokio::time::resume();

    let running = run(&config(&source("opal", &opal), &target(&service), "")).await;
    let base = format!("http://{}/health", running.address().unwrap());
    for path in ["/started", ""] {
        becomes_true("it to have started", async || get(&format!("{base}{path}")).await == 200)
            .await;
    }
    running.shutdown().await;
}

async fn get(url: &str) -> u16 {
    let client = Client::builder().without_proxy().build().unwrap();
    let request = Request::get(url).body(Vec::new()).unwrap();
    client.send(request).await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_registration_that_is_refused_is_tried_again_at_the_resync() {
    let (opal, service) = (Opal::start(&["bob"]).await, Service::start().await);
    opal.refuses(true);
    let running = run(&config(&source("opal", &opal), &target(&service), "")).await;
    becomes_true("the registration to be refused", async || {
        let status = running.status().await.unwrap();
        status.sources[0].failure.as_ref().is_some_and(|failure| failure.kind == "permanent")
    })
    .await;
    opal.refuses(false);
    running.resync().await;
    in_step(&running, "us").await;
    assert_eq!(opal.callbacks().len(), 1);
    running.shutdown().await;
}
