//! A provider with a source of the program's own.

use crate::support::{
    provider::{
        assert_contains, changed, error, expect, expect_error, initialize, provider, swift, tasks,
        value,
    },
    wait::{bounded, eventually},
};
use flagstaff::{
    FlagdOptions, FlagdProvider, ProviderEvent, State, async_trait,
    flagd::Resolver,
    source::{Definition, FlagSource, SourceError},
};
use open_feature::OpenFeature;
use serde_json::{Map, json};
use tokio::sync::mpsc;

/// Returns what is sent to it.
struct Channel {
    received: mpsc::UnboundedReceiver<Result<Definition, SourceError>>,
}

type Sender = mpsc::UnboundedSender<Result<Definition, SourceError>>;

#[async_trait]
impl FlagSource for Channel {
    fn name(&self) -> &'static str {
        "the channel"
    }

    async fn next(&mut self) -> Result<Definition, SourceError> {
        match self.received.recv().await {
            Some(next) => next,
            None => std::future::pending().await,
        }
    }
}

fn switch(on: bool) -> Definition {
    let flag = json!({"variants": {"on": true, "off": false}, "defaultVariant": if on { "on" } else { "off" }});
    Definition::json(json!({"flags": {"switch": flag}}).to_string())
}

fn channel() -> (Sender, FlagdProvider) {
    let (sender, received) = mpsc::unbounded_channel();
    let options = swift().build_with_env(|_| None).unwrap();
    (sender, FlagdProvider::with_source(options, Channel { received }))
}

#[tokio::test]
async fn flags_come_from_the_source() {
    let (sender, provider) = channel();
    assert_eq!(provider.options().resolver(), Resolver::InProcess);
    sender.send(Ok(switch(true))).unwrap();
    let mut api = OpenFeature::default();
    bounded("set_provider", api.set_provider(provider.clone())).await;
    let client = api.create_client();
    assert_eq!(client.get_bool_value("switch", None, None).await.ok(), Some(true));
    let mut events = provider.events();
    sender.send(Ok(switch(false))).unwrap();
    expect(&mut events, [ProviderEvent::Ready, changed(&["switch"])]).await;
    assert_eq!(client.get_bool_value("switch", None, None).await.ok(), Some(false));
}

#[tokio::test]
async fn yaml_and_facts_are_taken_too() {
    let (sender, provider) = channel();
    let yaml = "flags:\n  switch:\n    variants: {'true': true, 'false': false}\n    \
                targeting: {var: beta}\n";
    let facts = Map::from_iter([("beta".to_owned(), json!(true))]);
    sender.send(Ok(Definition::yaml(yaml).with_context(facts))).unwrap();
    initialize(&provider).await;
    assert!(value(&provider, "switch").await.0);
}

#[tokio::test]
async fn an_error_is_a_loss_and_names_its_cause() {
    let (sender, provider) = channel();
    sender.send(Ok(switch(true))).unwrap();
    initialize(&provider).await;
    let mut events = provider.events();
    let cause = std::io::Error::other("the database is away");
    sender.send(Err(SourceError::new(cause))).unwrap();
    expect(&mut events, [ProviderEvent::Ready, ProviderEvent::Stale]).await;
    assert!(value(&provider, "switch").await.0);
    sender.send(Ok(switch(true))).unwrap();
    expect(&mut events, [ProviderEvent::Ready]).await;
    sender.send(Ok(Definition::json("{"))).unwrap();
    let (message, _) = expect_error(&mut events).await;
    assert_contains(&message, &["the channel: ", "line 1"]);
}

#[tokio::test]
async fn a_fatal_error_ends_a_provider_that_was_never_ready() {
    let (sender, provider) = channel();
    sender.send(Err(SourceError::fatal("no such table"))).unwrap();
    initialize(&provider).await;
    assert!(provider.is_fatal());
    let text = error(&provider, "switch").await.message.unwrap();
    assert_contains(&text, &["fatal: ", "no such table"]);

    let (sender, provider) = channel();
    sender.send(Ok(switch(true))).unwrap();
    initialize(&provider).await;
    sender.send(Err(SourceError::fatal("no such table"))).unwrap();
    let mut events = provider.events();
    expect(&mut events, [ProviderEvent::Ready, ProviderEvent::Stale]).await;
    assert!(!provider.is_fatal());
}

/// The source returns nothing twice and need not be called twice.
#[tokio::test]
async fn a_provider_that_is_initialized_again_goes_on_with_the_source() {
    let (sender, provider) = channel();
    sender.send(Ok(switch(true))).unwrap();
    initialize(&provider).await;
    assert!(value(&provider, "switch").await.0);
    bounded("shutdown", provider.shutdown()).await;
    assert_eq!(provider.state(), State::NotReady);
    initialize(&provider).await;
    assert_eq!(provider.state(), State::Ready);
    assert!(value(&provider, "switch").await.0);

    bounded("shutdown", provider.shutdown()).await;
    sender.send(Ok(switch(false))).unwrap();
    initialize(&provider).await;
    let mut events = provider.events();
    expect(&mut events, [ProviderEvent::Ready]).await;
    bounded("the change", async {
        while value(&provider, "switch").await.0 {
            tokio::task::yield_now().await;
        }
    })
    .await;

    sender.send(Ok(Definition::json("{"))).unwrap();
    eventually("the error", || provider.state() == State::Stale).await;
    bounded("shutdown", provider.shutdown()).await;
    initialize(&provider).await;
    assert_eq!(provider.state(), State::Error, "what is not valid is not forgotten");
    sender.send(Err(SourceError::new("away"))).unwrap();
    bounded("shutdown", provider.shutdown()).await;
}

#[tokio::test]
async fn the_source_is_dropped_with_the_last_handle() {
    let (sender, provider) = channel();
    sender.send(Ok(switch(true))).unwrap();
    initialize(&provider).await;
    drop(provider);
    bounded("the source to be dropped", sender.closed()).await;
    eventually("the tasks to end", || tasks() == 0).await;
}

/// A source that panics ends its task, which is an error event; the rules stay.
#[tokio::test]
async fn a_source_that_panics_is_an_error() {
    struct Panics(bool);

    #[async_trait]
    impl FlagSource for Panics {
        fn name(&self) -> &'static str {
            "it panics"
        }

        async fn next(&mut self) -> Result<Definition, SourceError> {
            assert!(std::mem::replace(&mut self.0, false), "on purpose");
            Ok(switch(true))
        }
    }

    let options = FlagdOptions::builder().build_with_env(|_| None).unwrap();
    let provider = FlagdProvider::with_source(options, Panics(true));
    initialize(&provider).await;
    eventually("the error", || provider.state() == State::Error).await;
    assert!(value(&provider, "switch").await.0);
}

#[tokio::test]
async fn options_alone_need_no_source() {
    let provider = provider(swift());
    assert_eq!(provider.options().resolver(), Resolver::Rpc);
}
