//! Parses the values of options from the strings of their variables.
//!
//! One function for each type of value, all with one signature, so that a row of
//! the table can name its reader. The string is not empty and has no surrounding
//! whitespace. An error is what follows "option `x` (`FLAGD_X`): " in the message:
//! it quotes the value, cut to a length that can be read, and says what is
//! expected.
//!
//! Only the syntax is checked here; ranges are checked in [`check`](super::check)
//! where they also apply to values set in the program.

use std::{path::PathBuf, str::FromStr, time::Duration};

use super::{
    headers::Headers,
    kind::{CacheType, Resolver},
};
use crate::{bucketing::Bucketing, excerpt::excerpt};

/// A resolver, in any case.
pub(crate) fn resolver(text: &str) -> Result<Resolver, String> {
    match text.to_ascii_lowercase().as_str() {
        "rpc" => Ok(Resolver::Rpc),
        "in-process" => Ok(Resolver::InProcess),
        "file" => Ok(Resolver::File),
        _ => Err(format!("`{}` is none of `rpc`, `in-process`, `file`", excerpt(text))),
    }
}

/// A type of cache, in any case.
pub(crate) fn cache(text: &str) -> Result<CacheType, String> {
    match text.to_ascii_lowercase().as_str() {
        "lru" => Ok(CacheType::Lru),
        "disabled" => Ok(CacheType::Disabled),
        _ => Err(format!("`{}` is neither `lru` nor `disabled`", excerpt(text))),
    }
}

/// A generation of `fractional`, in any case.
pub(crate) fn bucketing(text: &str) -> Result<Bucketing, String> {
    match text.to_ascii_lowercase().as_str() {
        "string" => Ok(Bucketing::String),
        "cbor" => Ok(Bucketing::Cbor),
        _ => Err(format!("`{}` is neither `string` nor `cbor`", excerpt(text))),
    }
}

/// Any string.
#[expect(clippy::unnecessary_wraps, reason = "one signature for all readers")]
pub(crate) fn text(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}

/// Any string, for an option without a default.
#[expect(clippy::unnecessary_wraps, reason = "one signature for all readers")]
pub(crate) fn optional_text(text: &str) -> Result<Option<String>, String> {
    Ok(Some(text.to_owned()))
}

/// Any path, for an option without a default. Whether it exists is not checked.
#[expect(clippy::unnecessary_wraps, reason = "one signature for all readers")]
pub(crate) fn optional_path(text: &str) -> Result<Option<PathBuf>, String> {
    Ok(Some(PathBuf::from(text)))
}

/// Names separated by commas, such as `PERMISSION_DENIED, UNAUTHENTICATED`. Empty
/// ones are left out.
#[expect(clippy::unnecessary_wraps, reason = "one signature for all readers")]
pub(crate) fn names(text: &str) -> Result<Vec<String>, String> {
    Ok(text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

/// `true` or `false`, in any case. The short forms `t`, `f`, `1` and `0` are
/// accepted too.
pub(crate) fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "1" => Ok(true),
        "false" | "f" | "0" => Ok(false),
        _ => Err(format!("`{}` is neither `true` nor `false`", excerpt(text))),
    }
}

/// A port from 1 to 65535.
pub(crate) fn port(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(format!("`{}` is not a whole number from 1 to 65535", excerpt(text))),
    }
}

/// A whole number from 0, as far as the type has room for it.
pub(crate) fn count<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{}` is not a whole number from 0", excerpt(text)))
}

/// A whole number from 0, or `-1` or `unlimited` for no limit, which is `None`.
pub(crate) fn retries(text: &str) -> Result<Option<u32>, String> {
    match text {
        "-1" => Ok(None),
        _ if text.eq_ignore_ascii_case("unlimited") => Ok(None),
        _ => text.parse().map(Some).map_err(|_| {
            format!("`{}` is not a whole number from 0, `-1` or `unlimited`", excerpt(text))
        }),
    }
}

/// A whole number of milliseconds.
pub(crate) fn millis(text: &str) -> Result<Duration, String> {
    text.parse()
        .map(Duration::from_millis)
        .map_err(|_| format!("`{}` is not a whole number of milliseconds", excerpt(text)))
}

/// A whole number of seconds.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .map(Duration::from_secs)
        .map_err(|_| format!("`{}` is not a whole number of seconds", excerpt(text)))
}

/// Headers as `name=value,name=value`. A value may contain `=`, but no comma.
/// Empty entries are left out.
///
/// An error has the position of the header and not its text, which is a secret.
pub(crate) fn headers(text: &str) -> Result<Headers, String> {
    let headers: Result<Vec<_>, _> = text
        .split(',')
        .filter(|header| !header.trim().is_empty())
        .enumerate()
        .map(|(index, header)| match header.split_once('=') {
            Some((name, value)) => Ok((name.trim(), value.trim())),
            None => Err(format!("header {} is not of the form `name=value`", index + 1)),
        })
        .collect();
    headers.map(Headers::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_split_at_the_first_equals_sign() {
        for (text, expected) in [
            ("authorization=Bearer a=b", &[("authorization", "Bearer a=b")][..]),
            (" a = 1 , b = , ", &[("a", "1"), ("b", "")]),
            (" , ", &[]),
        ] {
            let headers = headers(text).unwrap();
            assert_eq!(headers.exposed().collect::<Vec<_>>(), expected);
        }
    }
}
