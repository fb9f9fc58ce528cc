//! Flags from a source of one's own: here, from the rows of a table, as a database would hold them.
//!
//! Run it with `cargo run --example custom_source --features in-process`. The table is in memory, so
//! that nothing else is needed.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use flagstaff::{
    FlagdOptions, FlagdProvider, ProviderEvent, async_trait,
    source::{Definition, FlagSource, SourceError},
};
use open_feature::{EvaluationContext, OpenFeature};
use serde_json::{Map, Value, json};

/// What stands in for the database: a row for each flag, and a version that grows with each change.
#[derive(Clone, Default)]
struct Database(Arc<Mutex<(u64, BTreeMap<String, Value>)>>);

impl Database {
    fn upsert(&self, key: &str, flag: Value) {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.0 += 1;
        table.1.insert(key.to_owned(), flag);
    }

    /// The rows and their version, or none while it is the one that the caller knows.
    #[expect(clippy::unused_async, reason = "a database is asked over a network")]
    async fn newer_than(
        &self,
        known: Option<u64>,
    ) -> Result<Option<(u64, Map<String, Value>)>, std::io::Error> {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok((known != Some(table.0)).then(|| (table.0, table.1.clone().into_iter().collect())))
    }
}

/// Asks the database once in a while.
struct Table {
    database: Database,
    known: Option<u64>,
}

#[async_trait]
impl FlagSource for Table {
    fn name(&self) -> &'static str {
        "the table `flags`"
    }

    async fn next(&mut self) -> Result<Definition, SourceError> {
        loop {
            let rows = self.database.newer_than(self.known).await.map_err(|error| {
                // The provider is STALE, its flags stay, and it asks again: for what is there then,
                // whether it has changed or not.
                self.known = None;
                SourceError::new(error)
            })?;
            if let Some((version, flags)) = rows {
                // Nothing is awaited from here on, so that nothing is lost when the wait is given up.
                self.known = Some(version);
                // What rules may read beside the caller's context.
                let facts = Map::from_iter([("stage".to_owned(), json!("production"))]);
                let text = json!({ "flags": flags }).to_string();
                return Ok(Definition::json(text).with_context(facts));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// A flag that is on for the addresses of one domain.
fn beta(domain: &str) -> Value {
    json!({
        "state": "ENABLED",
        "variants": {"on": true, "off": false},
        "defaultVariant": "off",
        "targeting": {"if": [{"ends_with": [{"var": "email"}, domain]}, "on"]},
    })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = Database::default();
    database.upsert("beta", beta("@corp.example"));

    let source = Table { database: database.clone(), known: None };
    let provider = FlagdProvider::with_source(FlagdOptions::builder().build()?, source);
    let mut events = provider.events();
    OpenFeature::singleton_mut().await.set_provider(provider).await;
    let client = OpenFeature::singleton().await.create_client();

    let jane = EvaluationContext::default().with_custom_field("email", "jane@partner.example");
    let on = client.get_bool_value("beta", Some(&jane), None).await.unwrap_or(false);
    println!("beta for jane@partner.example: {on}");

    println!("The row changes ...");
    database.upsert("beta", beta("@partner.example"));
    while let Some(event) = events.next().await {
        println!("event: {event:?}");
        if matches!(event, ProviderEvent::ConfigurationChanged(_)) {
            break;
        }
    }
    let on = client.get_bool_value("beta", Some(&jane), None).await.unwrap_or(false);
    println!("beta for jane@partner.example: {on}");
    Ok(())
}
