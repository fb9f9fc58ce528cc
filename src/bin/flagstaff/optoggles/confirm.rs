//! `flagstaff optoggles confirm`: releases a change that is held back.
//!
//! It is a client of `POST /confirm/{key}` at the management address of a running engine,
//! and needs no configuration file.

use std::time::Duration;

use flagstaff::http::Client;
use http::{Request, StatusCode, header::AUTHORIZATION};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{
    excerpt::chain,
    exit::{Exit, failed},
    output,
};

/// Confirm a change that is held back because it removes more of a toggle's users than `maxRemoved`
/// allows.
///
/// Exit code 0: it is confirmed; 1: no change is held back, or the token is rejected; 2: usage error;
/// 3: the engine is unreachable.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Key of the toggle.
    key: String,
    /// Base URL of the engine's management address (`managementBind`).
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8081")]
    url: String,
    /// Bearer token for confirmations (`confirmToken`).
    #[arg(long, env = "OPTOGGLES_CONFIRM_TOKEN", hide_env_values = true)]
    token: String,
}

pub(super) async fn run(args: Args) -> Exit {
    let key = utf8_percent_encode(&args.key, NON_ALPHANUMERIC);
    let url = format!("{}/confirm/{key}", args.url.trim_end_matches('/'));
    let request = Request::post(url).header(AUTHORIZATION, format!("Bearer {}", args.token));
    let Ok(request) = request.body(Vec::new()) else {
        return failed(
            Exit::Usage,
            "the URL is invalid, or the token contains characters that a header cannot have",
        );
    };
    let client = match Client::builder().timeout(Duration::from_secs(10)).build() {
        Ok(client) => client,
        Err(error) => return failed(Exit::No, &chain(&error)),
    };
    let response = match client.send(request).await {
        Ok(response) => response,
        Err(error) => return failed(Exit::Unreachable, &chain(&error)),
    };
    let status = response.status();
    if status == StatusCode::OK {
        let _ = output::line(&"confirmed");
        return Exit::Success;
    }
    let body = response.into_body().bytes().await.unwrap_or_default();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let reason = body["error"].as_str().map_or_else(|| status.to_string(), str::to_owned);
    failed(Exit::No, &reason)
}
