//! The options `--facts` and `--facts-token-file` of `start`, `eval` and `render`.

use std::{path::PathBuf, time::Duration};

use flagstaff::flagops::{Facts, FactsClient, FactsError, Outage, Secret};

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
