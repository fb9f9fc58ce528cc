//! The options `--facts` and `--facts-token-file` of `start`, `eval` and `render`.

use std::{path::PathBuf, time::Duration};

use flagstaff::flagops::{Facts, FactsClient, FactsError, Outage, Secret, Subscription};

use crate::excerpt::chain;

/// Where facts come from.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Facts")]
pub(crate) struct FactsArgs {
    /// The URL of a store of facts, `http(s)://...`. Its facts about the targeting key of an
    /// evaluation are fields of the evaluation context.
    #[arg(long, env = "FLAGSTAFF_FACTS", value_name = "URL", hide_env_values = true)]
    facts: Option<String>,
    /// File with the token for that store. It is read again for each request, so the token can be
    /// renewed.
    #[arg(long, env = "FLAGSTAFF_FACTS_TOKEN_FILE", value_name = "PATH", requires = "facts")]
    facts_token_file: Option<PathBuf>,
}

impl FactsArgs {
    /// A client of the store; `None` if no store was given.
    ///
    /// # Errors
    ///
    /// The URL is invalid.
    pub(crate) fn client(&self) -> Result<Option<FactsClient>, String> {
        let Some(url) = &self.facts else { return Ok(None) };
        let mut builder = FactsClient::builder(url);
        if let Some(path) = &self.facts_token_file {
            builder = builder.token(Secret::file(path));
        }
        let invalid = |error: FactsError| format!("--facts (FLAGSTAFF_FACTS): {}", chain(&error));
        builder.build().map(Some).map_err(invalid)
    }

    /// Checks that an identity can have facts, if a store was given. Without one, a property that
    /// anybody may set would stand where a rule expects a fact.
    ///
    /// # Errors
    ///
    /// There is no identity, or the store can have none of this name.
    pub(crate) fn check(&self, identity: Option<&str>) -> Result<(), String> {
        let Some(client) = self.client()? else { return Ok(()) };
        let identity = identity.ok_or("--facts needs to know whose: write --identity IDENTITY")?;
        // Nothing is requested until the changes are read.
        match client.changes(Subscription::of([identity])) {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("--identity: {}", chain(&error))),
        }
    }

    /// Facts for evaluations that end with this run; `None` if no store was given. They need no
    /// stream, and must not hide that facts are missing. The deadline of the provider ends the wait.
    ///
    /// # Errors
    ///
    /// The URL is invalid.
    pub(crate) fn once(&self) -> Result<Option<Facts>, String> {
        let facts = |client| {
            let facts = Facts::builder(client).watch(false).outage(Outage::Fail);
            facts.wait(Duration::from_secs(60)).build()
        };
        Ok(self.client()?.map(facts))
    }
}
