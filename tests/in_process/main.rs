//! Evaluation in process: with definitions from a scripted sync server, with the flags of a file,
//! and with a source of the program's own.
#![allow(clippy::unwrap_used, reason = "a failure panics")]

#[path = "../support/mod.rs"]
mod support;

mod changes;
mod context;
mod custom_source;
mod evaluation;
mod faults;
#[cfg(unix)]
mod file;
mod load;
mod shutdown;
mod streams;

use flagstaff::{
    FlagdProvider,
    flagd::{FlagdOptionsBuilder, Resolver},
};
use open_feature::{EvaluationContext, StructValue, provider::FeatureProvider};
use serde_json::{Value as Json, json};
use support::{provider::near, servers::sync_server::SyncServer, wait::bounded};

/// Options for evaluation in process with the flags of this server.
fn of(server: &SyncServer) -> FlagdOptionsBuilder {
    near(server.port()).resolver(Resolver::InProcess)
}

/// A flag of two variants, `on` and `off`.
fn switch(on: bool) -> Json {
    json!({
        "state": "ENABLED",
        "variants": {"on": true, "off": false},
        "defaultVariant": if on { "on" } else { "off" },
    })
}

/// A definition of switches.
fn switches(flags: &[(&str, bool)]) -> Json {
    let flags = flags.iter().map(|(key, on)| ((*key).to_owned(), switch(*on)));
    json!({"flags": flags.collect::<serde_json::Map<_, _>>()})
}

/// A flag whose variant is the result of the rule.
fn ruled(rule: &Json, variants: &[&str]) -> Json {
    let variants = variants.iter().map(|name| ((*name).to_owned(), json!(name)));
    json!({
        "state": "ENABLED",
        "variants": variants.collect::<serde_json::Map<_, _>>(),
        "targeting": rule,
    })
}

async fn text(provider: &FlagdProvider, key: &str, context: &EvaluationContext) -> String {
    let evaluation = provider.resolve_string_value(key, context);
    bounded("an evaluation", evaluation).await.unwrap().value
}

/// The object of a flag.
async fn object(provider: &FlagdProvider, key: &str) -> StructValue {
    let context = EvaluationContext::default();
    let evaluation = provider.resolve_struct_value(key, &context);
    bounded("an evaluation", evaluation).await.unwrap().value
}
