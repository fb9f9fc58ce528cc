//! The URL of a request.

use reqwest::Url;

use super::error::ClientError;
use crate::http::name::public_name;

/// Parses a URL, which must be one of HTTP. The error does not contain its secrets.
pub(crate) fn parse(url: &str) -> Result<Url, ClientError> {
    let invalid = |reason: String| ClientError::Url { url: public_name(url), reason };
    let parsed = Url::parse(url).map_err(|error| invalid(error.to_string()))?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(invalid("it must begin with http:// or https://".to_owned()));
    }
    Ok(parsed)
}
