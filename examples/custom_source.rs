//! Loads flags from a source of your own: here, from the rows of a table, as in a database.
//!
//! `cargo run --features in-process --example custom_source` needs nothing else: the table is in
//! memory.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use flagstaff::{
    FlagdOptions, FlagdProvider, ProviderEvent, async_trait,
    flagd::ChangedFlags,
    source::{Definition, FlagSource, SourceError},
};
use open_feature::{EvaluationContext, OpenFeature};
use serde_json::{Map, Value, json};

/// In place of a database: a row for each flag, and a version that grows with each change.
#[derive(Clone, Default)]
struct Database(Arc<Mutex<(u64, BTreeMap<String, Value>)>>);

impl Database {
    fn upsert(&self, key: &str, flag: Value) {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.0 += 1;
        table.1.insert(key.to_owned(), flag);
    }

    /// The rows and their version, or `None` if the caller knows that version.
    #[expect(clippy::unused_async, reason = "a query of a database is asynchronous")]
    async fn newer_than(
        &self,
        known: Option<u64>,
    ) -> Result<Option<(u64, Map<String, Value>)>, std::io::Error> {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok((known != Some(table.0)).then(|| (table.0, table.1.clone().into_iter().collect())))
    }
}

/// Polls the database.
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
                // The provider becomes STALE and keeps its flags. The next call returns the current
                // rows, whether or not they have changed.
                self.known = None;
                SourceError::new(error)
            })?;
            if let Some((version, flags)) = rows {
                // There is no `await` between this and the result, which makes `next` cancel-safe.
                self.known = Some(version);
                // Rules can read it, as `{"var": "stage"}`.
                let context = Map::from_iter([("stage".to_owned(), json!("production"))]);
                let text = json!({ "flags": flags }).to_string();
                return Ok(Definition::json(text).with_context(context));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// A flag that is on for the e-mail addresses of one domain.
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

    println!("the row changes ...");
    database.upsert("beta", beta("@partner.example"));
    while let Some(event) = events.next().await {
        if let ProviderEvent::ConfigurationChanged(ChangedFlags::Keys(keys)) = event {
            println!("event: {} has changed", keys.join(", "));
            break;
        }
    }
    let on = client.get_bool_value("beta", Some(&jane), None).await.unwrap_or(false);
    println!("beta for jane@partner.example: {on}");
    Ok(())
}
