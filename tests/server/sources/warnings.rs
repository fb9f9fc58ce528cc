//! What is logged about definitions that were loaded but can never work as intended.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::support::{
    provider::{near, next, swift, watched},
    sent::Sent,
    servers::sync_server::SyncServer,
    wait::{bounded, eventually},
};
use flagstaff::{
    FlagdProvider, async_trait,
    flagd::Resolver,
    server::Server,
    source::{Definition, FlagSource, SourceError},
};
use serde_json::{Map, Value as Json, json};
use tokio::sync::mpsc;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    subscriber::DefaultGuard,
};
use tracing_subscriber::{Layer, layer::Context, prelude::*};

/// The fields of each warning that this crate logged.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<BTreeMap<String, String>>>>);

struct Fields(BTreeMap<String, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }
}

impl<S: Subscriber> Layer<S> for Logged {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        if metadata.target().starts_with("flagstaff") && *metadata.level() <= Level::WARN {
            let mut fields = Fields(BTreeMap::new());
            event.record(&mut fields);
            self.0.lock().unwrap().push(fields.0);
        }
    }
}

impl Logged {
    /// Records the logs of the tasks on this thread.
    fn listen() -> (Self, DefaultGuard) {
        let logged = Self::default();
        let guard = tracing_subscriber::registry().with(logged.clone()).set_default();
        (logged, guard)
    }

    /// Waits for this many warnings, and takes them.
    async fn take(&self, count: usize) -> Vec<BTreeMap<String, String>> {
        eventually("the warnings", || self.0.lock().unwrap().len() >= count).await;
        let taken = std::mem::take(&mut *self.0.lock().unwrap());
        assert_eq!(taken.len(), count, "{taken:#?}");
        taken
    }
}

fn flag(rule: &Json) -> Json {
    json!({
        "state": "ENABLED",
        "variants": {"true": true, "false": false},
        "defaultVariant": "false",
        "targeting": rule,
    })
}

fn bad() -> Json {
    flag(&json!({"endswith": [{"var": "e"}, "x"]}))
}

fn good() -> Json {
    flag(&json!({"ends_with": [{"var": "e"}, "x"]}))
}

fn flags(flags: &[(&str, Json)]) -> Json {
    let flags = flags.iter().map(|(key, flag)| ((*key).to_owned(), flag.clone()));
    json!({"flags": flags.collect::<Map<_, _>>()})
}

fn many(count: usize) -> Json {
    let flags = (0..count).map(|n| (format!("f{n:02}"), bad()));
    json!({"flags": flags.collect::<Map<_, _>>()})
}

const UNKNOWN: &str = "`endswith` is not an operator: it fails (PARSE_ERROR) where it is evaluated; \
    did you mean `ends_with`?";

/// What every resolver and the server log for the definitions that `give` sends them.
async fn assert_each_warning_is_logged_once(logged: &Logged, source: &str, give: impl Fn(&Json)) {
    give(&flags(&[("a", bad()), ("b", good())]));
    let warnings = logged.take(1).await;
    assert_eq!(warnings[0]["message"], UNKNOWN);
    assert_eq!((&*warnings[0]["flag"], &*warnings[0]["line"]), ("a", "1"));
    assert!(warnings[0]["column"].parse::<usize>().unwrap() > 1, "{warnings:?}");
    assert!(warnings[0]["source"].contains(source), "{warnings:?}");

    // Twenty are logged, and the number of the rest; the flag that did not change is not.
    let mut definition = many(25);
    definition["flags"]["a"] = bad();
    give(&definition);
    let warnings = logged.take(21).await;
    assert!(warnings[..20].iter().all(|it| it["message"] == UNKNOWN && it["flag"] != "a"));
    assert_eq!(warnings[20]["more"], "5");

    // The same again, and with one more flag, which has a warning of its own.
    give(&definition);
    definition["flags"]["late"] = flag(&json!({"nope": []}));
    give(&definition);
    let warnings = logged.take(1).await;
    assert_eq!(warnings[0]["flag"], "late");

    // A flag that changed and is still wrong.
    definition["flags"]["f03"]["metadata"] = json!({"version": 2});
    give(&definition);
    assert_eq!(logged.take(1).await[0]["flag"], "f03");
}

#[tokio::test]
async fn the_server_logs_what_its_sources_give() {
    let (logged, _listening) = Logged::listen();
    let (sender, receiver) = mpsc::unbounded_channel();
    let server = Server::builder().source(Sent(receiver)).ephemeral().bind().await.unwrap();
    assert_each_warning_is_logged_once(&logged, "sent", |definition| {
        sender.send(Definition::json(definition.to_string())).unwrap();
    })
    .await;
    let yaml =
        "flags:\n  a:\n    state: ENABLED\n    variants: {x: 1}\n    targeting:\n      nope: []\n";
    sender.send(Definition::yaml(yaml)).unwrap();
    let warnings = logged.take(1).await;
    assert_eq!((&*warnings[0]["line"], &*warnings[0]["column"]), ("6", "7"));
    server.shutdown().await;
}

/// Each under its name in logs, metrics and selectors.
#[tokio::test]
async fn sources_with_the_same_name_are_distinguished() {
    let (logged, _listening) = Logged::listen();
    let mut server = Server::builder().ephemeral();
    for key in ["a", "b", "c"] {
        let (sender, receiver) = mpsc::unbounded_channel();
        sender.send(Definition::json(flags(&[(key, bad())]).to_string())).unwrap();
        server = server.source(Sent(receiver));
    }
    let server = server.bind().await.unwrap();
    let warnings = logged.take(3).await;
    let mut seen: Vec<_> =
        warnings.iter().map(|warning| (&*warning["flag"], &*warning["source"])).collect();
    seen.sort_unstable();
    assert_eq!(seen, [("a", "sent"), ("b", "sent#2"), ("c", "sent#3")]);
    server.shutdown().await;
}

#[tokio::test]
async fn the_server_logs_what_the_program_sets() {
    let (logged, _listening) = Logged::listen();
    let server = Server::builder().ephemeral().bind().await.unwrap();
    let memory = server.flags();
    assert_each_warning_is_logged_once(&logged, "memory", |definition| {
        memory.replace(&definition.to_string()).unwrap();
    })
    .await;
    memory.set("late", bad()).unwrap();
    assert_eq!(logged.take(1).await[0]["flag"], "late");
    // The same again, beside another; then removed, and added again.
    memory.set("b", good()).unwrap();
    memory.set("late", bad()).unwrap();
    memory.remove("late");
    memory.set("late", bad()).unwrap();
    assert_eq!(logged.take(1).await[0]["flag"], "late");
    memory.set_value("late", true).unwrap();
    memory.set("late", bad()).unwrap();
    assert_eq!(logged.take(1).await[0]["flag"], "late");
    // A second removal in a row, which looks like the first.
    memory.remove("b");
    memory.remove("late");
    memory.set("late", bad()).unwrap();
    assert_eq!(logged.take(1).await[0]["flag"], "late");
    memory.clear();
    memory.set("late", bad()).unwrap();
    assert_eq!(logged.take(1).await[0]["flag"], "late");
    // No quotation starts a line of its own.
    memory.set("x\ny", flag(&json!({"no\u{1b}[31m\npe": [1]}))).unwrap();
    for warning in logged.take(2).await {
        assert_eq!(warning["flag"], r"x\ny");
        assert!(!warning["message"].contains(char::is_control), "{warning:?}");
    }
    server.shutdown().await;
}

#[tokio::test]
async fn a_provider_in_process_logs_what_it_is_sent() {
    let (logged, _listening) = Logged::listen();
    let server = SyncServer::start(&flags(&[]));
    let options = near(server.port()).resolver(Resolver::InProcess);
    let (provider, _events) = watched(options).await;
    assert_each_warning_is_logged_once(&logged, "127.0.0.1", |definition| server.set(definition))
        .await;
    provider.shutdown().await;
}

/// A definition that comes again with a new connection is the same.
#[tokio::test]
async fn nothing_is_logged_again_after_a_reconnection() {
    let (logged, _listening) = Logged::listen();
    let server = SyncServer::start(&flags(&[("a", bad())]));
    let options = near(server.port()).resolver(Resolver::InProcess);
    let (provider, mut events) = watched(options).await;
    logged.take(1).await;
    server.end_streams(None);
    // Stale, then ready: what follows comes over the new stream.
    next(&mut events).await;
    next(&mut events).await;
    server.set(&flags(&[("a", bad()), ("b", bad())]));
    let warnings = logged.take(2).await;
    assert!(warnings[0]["message"].contains("out of date"), "{warnings:?}");
    assert_eq!(warnings[1]["flag"], "b");
    provider.shutdown().await;
}

#[tokio::test]
async fn a_provider_logs_what_its_file_holds() {
    let (logged, _listening) = Logged::listen();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flags.json");
    let write = |definition: &Json| std::fs::write(&path, definition.to_string()).unwrap();
    write(&flags(&[("a", bad())]));
    let options = swift()
        .resolver(Resolver::File)
        .offline_flag_source_path(&path)
        .offline_poll_interval(Duration::from_millis(20));
    let (provider, mut events) = watched(options).await;
    let warnings = logged.take(1).await;
    assert_eq!((&*warnings[0]["flag"], &*warnings[0]["message"]), ("a", UNKNOWN));
    // Rewritten, and with another flag.
    write(&flags(&[("a", bad())]));
    write(&flags(&[("a", bad()), ("b", good())]));
    bounded("the change", next(&mut events)).await;
    write(&many(25));
    logged.take(21).await;
    provider.shutdown().await;
}

#[tokio::test]
async fn a_provider_logs_what_its_source_gives() {
    let (logged, _listening) = Logged::listen();
    let (sender, receiver) = mpsc::unbounded_channel();
    let options = swift().build_with_env(|_| None).unwrap();
    let provider = FlagdProvider::with_source(options, Sent(receiver));
    sender.send(Definition::json(flags(&[]).to_string())).unwrap();
    crate::support::provider::initialize(&provider).await;
    assert_each_warning_is_logged_once(&logged, "sent", |definition| {
        sender.send(Definition::json(definition.to_string())).unwrap();
    })
    .await;
    // What was logged is not logged again when the provider starts again.
    provider.shutdown().await;
    crate::support::provider::initialize(&provider).await;
    sender.send(Definition::json(many(1).to_string())).unwrap();
    sender.send(Definition::json(flags(&[("z", bad())]).to_string())).unwrap();
    assert_eq!(logged.take(1).await[0]["flag"], "z");
}

/// Returns an invalid definition, then one with a warning, and then fails.
struct Long(String, u8);

#[async_trait]
impl FlagSource for Long {
    fn name(&self) -> &str {
        &self.0
    }

    async fn next(&mut self) -> Result<Definition, SourceError> {
        self.1 += 1;
        match self.1 {
            1 => Ok(Definition::json("{")),
            2 => Ok(Definition::json(flags(&[("a", bad())]).to_string())),
            3 => Err(SourceError::new("text")),
            _ => std::future::pending().await,
        }
    }
}

#[tokio::test]
async fn the_name_of_a_source_is_cut() {
    for character in ["x", "é"] {
        let (logged, _listening) = Logged::listen();
        let source = Long(character.repeat(5000), 0);
        let server = Server::builder().source(source).ephemeral().bind().await.unwrap();
        let warnings = logged.take(3).await;
        let cut = format!("{}…", character.repeat(200));
        assert!(warnings.iter().all(|warning| warning["source"] == cut), "{warnings:?}");
        server.shutdown().await;
    }
}

#[tokio::test]
async fn long_names_are_cut() {
    let (logged, _listening) = Logged::listen();
    let server = Server::builder().ephemeral().bind().await.unwrap();
    let name = "x".repeat(5000);
    server.flags().set(name.clone(), flag(&json!({name: []}))).unwrap();
    let warnings = logged.take(1).await;
    assert!(warnings[0].values().all(|value| value.chars().count() <= 201), "{warnings:?}");
    server.shutdown().await;
}
