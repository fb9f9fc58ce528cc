//! The options `--facts` and `--facts-token-file` of `start` and `eval`.

use std::path::PathBuf;

use flagstaff::flagops::{FactsClient, FactsError, Secret};

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
}
