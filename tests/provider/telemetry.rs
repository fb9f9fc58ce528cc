//! What the provider writes to tracing: OpenTelemetry's names, sensible levels, no secrets.

use std::{
    fmt::{Debug, Write},
    sync::{Arc, Mutex},
};

use flagstaff::{FlagdOptions, FlagdProvider};
use open_feature::{EvaluationContext, provider::FeatureProvider};
use serde_json::json;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id},
};
use tracing_subscriber::{Layer, layer::Context, prelude::*};

use crate::support::{
    provider::{assert_contains, boolean, error, initialize, near, next, provider, watched},
    scripted::{Flag, ScriptedServer},
    servers::raw::closed_port,
};
use tonic::Status;

const SECRET: &str = "the-token-that-nobody-may-see";
const PERSONAL: &str = "somebody@example.com";

/// Everything that was written, by any crate.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<Line>>>);

#[derive(Clone, Debug)]
struct Line {
    level: Level,
    ours: bool,
    text: String,
}

impl Written {
    fn push(&self, metadata: &Metadata<'_>, record: impl FnOnce(&mut Text)) {
        let mut text = Text(metadata.name().to_owned());
        record(&mut text);
        let ours = metadata.target().starts_with("flagstaff");
        self.0.lock().unwrap().push(Line { level: *metadata.level(), ours, text: text.0 });
    }

    fn take(&self) -> Vec<Line> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        write!(self.0, " {field}={value}").unwrap();
    }
}

impl<S: Subscriber> Layer<S> for Written {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.push(event.metadata(), |text| event.record(text));
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        self.push(attributes.metadata(), |text| attributes.record(text));
    }
}

/// The lines of this crate that contain all these parts, and their level.
fn levels(lines: &[Line], parts: &[&str]) -> Vec<Level> {
    let fits = |line: &&Line| line.ours && parts.iter().all(|part| line.text.contains(part));
    lines.iter().filter(fits).map(|line| line.level).collect()
}

#[tokio::test]
async fn evaluations_states_and_changes_are_written_without_secrets() {
    let written = Written::default();
    let _subscribed = tracing_subscriber::registry().with(written.clone()).set_default();
    let server = ScriptedServer::start();
    let metadata = json!({"flagSetId": "shop", "version": "v7"});
    server.set("on", Flag::new(true).variant("yes").metadata(metadata));
    server.set("off", Flag::disabled());
    server.set("broken", 1);
    let options = FlagdOptions::builder()
        .host("127.0.0.1")
        .port(server.port())
        .header("authorization", SECRET)
        .build_with_env(|_| None)
        .unwrap();
    let mut provider = FlagdProvider::new(options);
    let context = EvaluationContext::default()
        .with_targeting_key(PERSONAL)
        .with_custom_field("email", PERSONAL);

    provider.initialize(&context).await;
    assert!(format!("{provider:?}").contains("Ready"));
    assert!(!format!("{provider:?}").contains(SECRET));
    let mut lines = written.take();
    assert_eq!(
        levels(&lines, &["the provider is ready", "feature_flag.provider.name=flagd"]),
        [Level::INFO]
    );

    for (key, parts, level) in [
        (
            "on",
            ["result.reason=static", "result.variant=yes", "set.id=shop", "version=v7"].as_slice(),
            Level::DEBUG,
        ),
        ("on", &["result.reason=cached", "result.variant=yes"], Level::DEBUG),
        ("off", &["result.reason=disabled"], Level::DEBUG),
        ("unknown", &["result.reason=error", "error.type=flag_not_found"], Level::DEBUG),
        ("broken", &["result.reason=error", "error.type=type_mismatch"], Level::WARN),
    ] {
        let _ = provider.resolve_bool_value(key, &context).await;
        let new = written.take();
        let key = format!("feature_flag.key={key}");
        let parts = [&["feature_flag.evaluation", &key], parts].concat();
        assert_eq!(levels(&new, &parts), [level], "{parts:?} in {new:#?}");
        lines.extend(new);
    }

    let mut events = provider.events();
    events.next().await;
    server.change(&["on"]);
    events.next().await;
    server.stop();
    events.next().await;
    let new = written.take();
    assert_eq!(levels(&new, &["flags have changed", "on"]), [Level::DEBUG]);
    assert_eq!(levels(&new, &["flags may be out of date"]), [Level::WARN]);
    lines.extend(new);
    provider.shutdown().await;

    for line in &lines {
        assert!(!line.text.contains(SECRET), "a secret: {line:?}");
        assert!(!line.text.contains(PERSONAL), "the evaluation context: {line:?}");
    }
}

/// Keys, variants and messages of servers are cut, in spans and events alike.
#[tokio::test]
async fn what_is_quoted_is_cut() {
    const LONGEST: usize = 1500;
    let written = Written::default();
    let _subscribed = tracing_subscriber::registry().with(written.clone()).set_default();
    let long = "x".repeat(5000);
    let server = ScriptedServer::start();
    let metadata = json!({"flagSetId": long, "version": long});
    server.set(&long, Flag::new(true).variant(&long).reason(&long).metadata(metadata));
    server.fail("broken", Status::data_loss(&long));
    let (provider, mut events) = watched(near(server.port())).await;
    boolean(&provider, &long).await.unwrap();
    error(&provider, &long[1..]).await;
    error(&provider, "broken").await;
    server.change(&[&long, "other"]);
    next(&mut events).await;
    server.send(&long, None);
    server.end_streams(Status::unavailable(&long));
    next(&mut events).await;
    let lines = written.take();
    let ours: Vec<_> = lines.iter().filter(|line| line.ours).collect();
    assert!(ours.iter().filter(|line| line.text.contains('…')).count() >= 5, "{ours:#?}");
    for line in ours {
        assert!(line.text.len() <= LONGEST, "{} bytes: {}", line.text.len(), &line.text[..LONGEST]);
    }
}

/// What a reader of the log sees of ERROR: the level, the cause, and whether it is retried.
#[tokio::test]
async fn an_unreachable_flagd_is_written_as_an_error() {
    let denying = ScriptedServer::start();
    denying.fail_all(Status::permission_denied("no entry"));
    let closed = closed_port();
    let fatal = near(denying.port()).fatal_status_codes(["PERMISSION_DENIED"]);
    for (options, cause, fatal) in [
        (near(closed), format!("127.0.0.1:{closed}"), "fatal=false"),
        (fatal, "no entry".to_owned(), "fatal=true"),
    ] {
        let written = Written::default();
        let _subscribed = tracing_subscriber::registry().with(written.clone()).set_default();
        let provider = provider(options);
        initialize(&provider).await;
        let lines = written.take();
        let errors: Vec<_> =
            lines.iter().filter(|line| line.ours && line.level == Level::ERROR).collect();
        let [line] = errors.as_slice() else { panic!("one error in {lines:#?}") };
        assert_contains(&line.text, &["the provider is in an error state", fatal]);
        let (_, reason) = line.text.split_once("error.message=").unwrap();
        assert_contains(reason, &[&cause]);
    }
}
