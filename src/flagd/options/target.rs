//! The address of flagd, from the options that form it. No I/O: names are
//! resolved when the connection is made.
//!
//! The forms of the option `targetUri`, after the [specification]; the default
//! port here is 8013:
//!
//! | `targetUri` | connects to | authority |
//! |---|---|---|
//! | `flags:9` | `flags:9` | `flags:9` |
//! | `flags` | `flags:8013` | `flags:8013` |
//! | `dns:///flags:9`, `dns:flags:9` | `flags:9` | `flags:9` |
//! | `dns://8.8.8.8/flags:9` | `flags:9`, by the system's resolver | `flags:9` |
//! | `[::1]:9` | `[::1]:9` | `[::1]:9` |
//! | `::1` | `[::1]:8013` | `[::1]:8013` |
//! | `unix:///run/flagd.sock` | the socket `/run/flagd.sock` | `localhost` |
//! | `envoy://proxy:9/rpc.service` | `proxy:9` | `rpc.service` |
//!
//! The schemes are those of [gRPC's naming], with `envoy` added by flagd. The
//! option `defaultAuthority` overrides the authority in each of them.
//!
//! [specification]: https://flagd.dev/reference/specifications/providers/#custom-name-resolution
//! [gRPC's naming]: https://github.com/grpc/grpc/blob/master/doc/naming.md

use std::{fmt, net::Ipv6Addr, path::PathBuf};

use http::uri::Authority;

use super::{
    read,
    table::{FlagdOptions, row},
};
use crate::{excerpt::excerpt, flagd::error::FlagdError};

/// Where to connect to, and the name under which flagd is known there.
///
/// `Display` shows the address, as messages have it: `host:port` or `unix:/path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) address: Address,
    /// The HTTP/2 authority, whose host is also the name that the server's
    /// certificate must have.
    pub(crate) authority: Authority,
}

/// What to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// `host:port`; an IPv6 address is in brackets.
    Tcp(Authority),
    /// The path of a unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Address::Tcp(address) => write!(f, "{address}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Target {
    /// The target that the options name: `targetUri` before `socketPath` before
    /// host and port. `defaultAuthority` overrides the authority of each.
    ///
    /// # Errors
    ///
    /// [`FlagdError::InvalidOption`] for the option that does not parse.
    pub(crate) fn new(options: &FlagdOptions) -> Result<Self, FlagdError> {
        let (address, authority) = match (options.target_uri(), options.socket_path()) {
            (Some(uri), _) => parse_uri(uri, options.port()).map_err(|reason| {
                row::target_uri().error(format!("`{}`: {reason}", excerpt(uri)))
            })?,
            (None, Some(path)) => (Address::Unix(path.to_owned()), None),
            (None, None) => {
                let address = join(options.host(), options.port());
                (Address::Tcp(address.map_err(|reason| row::host().error(reason))?), None)
            }
        };
        let authority = match options.authority() {
            Some(text) => {
                Some(parse_authority(text).map_err(|reason| row::authority().error(reason))?)
            }
            None => authority,
        };
        let authority = authority.unwrap_or_else(|| match &address {
            Address::Tcp(address) => address.clone(),
            // The authority that gRPC libraries send over unix sockets.
            Address::Unix(_) => Authority::from_static("localhost"),
        });
        Ok(Self { address, authority })
    }
}

/// The address, and the authority if the URI names one.
///
/// The error says what is wrong; the caller adds the URI.
fn parse_uri(uri: &str, port: u16) -> Result<(Address, Option<Authority>), String> {
    if let Some(path) = uri.strip_prefix("unix:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        return match path {
            "" => Err("the path of the socket is missing; write `unix:///path`".to_owned()),
            path => Ok((Address::Unix(PathBuf::from(path)), None)),
        };
    }
    if let Some(rest) = uri.strip_prefix("envoy://") {
        let (address, authority) =
            rest.split_once('/').ok_or_else(|| "write `envoy://host:port/authority`".to_owned())?;
        let authority = parse_authority(authority)?;
        return Ok((Address::Tcp(host_and_port(address, port)?), Some(authority)));
    }
    Ok((Address::Tcp(host_and_port(without_dns(uri)?, port)?), None))
}

/// What follows `dns:///`, `dns://resolver/` or `dns:`; the whole string if it has
/// no scheme. The resolver in the URI is ignored: the system resolves names.
fn without_dns(uri: &str) -> Result<&str, String> {
    match uri.strip_prefix("dns:").map(|rest| (rest, rest.strip_prefix("//"))) {
        Some((_, Some(rest))) => match rest.split_once('/') {
            Some((_, address)) => Ok(address),
            None => Err("write `dns:///host:port`".to_owned()),
        },
        Some((address, None)) => Ok(address),
        None if uri.contains("://") => {
            Err("the scheme is not `dns`, `unix` or `envoy`; `host:port` needs no scheme"
                .to_owned())
        }
        None => Ok(uri),
    }
}

/// `host:port`, `[v6]:port`, or a host without a port, which gets the default
/// port.
fn host_and_port(text: &str, default: u16) -> Result<Authority, String> {
    let bare_v6 = text.parse::<Ipv6Addr>().is_ok();
    match text.rsplit_once(':') {
        Some((host, port)) if !bare_v6 && !text.ends_with(']') => join(host, read::port(port)?),
        _ => join(text, default),
    }
}

/// Host and port as an authority. An IPv6 address may be with or without brackets.
pub(crate) fn join(host: &str, port: u16) -> Result<Authority, String> {
    let joined = match host.parse::<Ipv6Addr>() {
        Ok(address) => format!("[{address}]:{port}"),
        Err(_) => format!("{host}:{port}"),
    };
    parse_authority(&joined)
        .map_err(|_| format!("`{}` is neither a host name nor an address", excerpt(host)))
}

/// Parses `host` or `host:port`.
///
/// An `Authority` alone would accept more: user information, which [HTTP/2]
/// forbids, an empty host, and a port that is not a number.
///
/// [HTTP/2]: https://www.rfc-editor.org/rfc/rfc9113#section-8.3.1
pub(crate) fn parse_authority(text: &str) -> Result<Authority, String> {
    let invalid = || format!("`{}` is neither `host` nor `host:port`", excerpt(text));
    let authority: Authority = text.parse().map_err(|_| invalid())?;
    let host = authority.host();
    let is_port =
        |rest: &str| rest.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
    match text.strip_prefix(host) {
        Some(rest) if !host.is_empty() && (rest.is_empty() || is_port(rest)) => Ok(authority),
        _ => Err(invalid()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flagd::options::table::FlagdOptionsBuilder;

    fn target(builder: FlagdOptionsBuilder) -> Result<Target, FlagdError> {
        Target::new(&builder.without_env().build().unwrap())
    }

    fn uri(text: &str) -> Result<Target, FlagdError> {
        target(FlagdOptions::builder().target_uri(text))
    }

    #[test]
    fn the_forms_of_a_target_uri() {
        for (text, address, authority) in [
            ("dns:///flags.internal:9", "flags.internal:9", "flags.internal:9"),
            ("dns://8.8.8.8/flags:9", "flags:9", "flags:9"),
            ("dns:flags:9", "flags:9", "flags:9"),
            ("flags:9", "flags:9", "flags:9"),
            ("flags", "flags:8013", "flags:8013"),
            ("my_flags", "my_flags:8013", "my_flags:8013"),
            ("127.0.0.1:9", "127.0.0.1:9", "127.0.0.1:9"),
            ("[::1]:9", "[::1]:9", "[::1]:9"),
            ("[::1]", "[::1]:8013", "[::1]:8013"),
            ("::1", "[::1]:8013", "[::1]:8013"),
            ("envoy://proxy:9/rpc.service", "proxy:9", "rpc.service"),
            ("unix:///run/flagd.sock", "unix:/run/flagd.sock", "localhost"),
            ("unix:run/flagd.sock", "unix:run/flagd.sock", "localhost"),
        ] {
            let target = uri(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(target.to_string(), address, "{text}");
            assert_eq!(target.authority.as_str(), authority, "{text}");
        }
    }

    #[test]
    fn a_target_uri_that_does_not_parse_is_named() {
        for text in [
            "http://flags:8013",
            "envoy://proxy:9",
            "envoy://proxy:9/",
            "envoy://proxy:9/two words",
            "envoy://proxy:9/me@name",
            "envoy:///name",
            "unix:",
            "dns://flags",
            "flags:port",
            "flags:0",
            "flags:65536",
            "flags:9/path",
            "two words:9",
            "[::1:9",
            "passthrough:///flags:9",
            "me@flags:9",
            ":9",
        ] {
            let error = uri(text).map(|target| target.to_string()).unwrap_err().to_string();
            assert!(error.contains("targetUri") && error.contains("FLAGD_TARGET_URI"), "{error}");
            assert!(error.contains(&format!("`{text}`")), "{error}");
        }
    }

    #[test]
    fn target_uri_before_socket_path_before_host_and_port() {
        let all = FlagdOptions::builder().host("h").port(1).socket_path("/s").target_uri("t:2");
        assert_eq!(target(all).unwrap().to_string(), "t:2");
        let two = FlagdOptions::builder().host("h").port(1).socket_path("/s");
        assert_eq!(target(two).unwrap().to_string(), "unix:/s");
        let one = FlagdOptions::builder().host("::1").port(1);
        assert_eq!(target(one).unwrap().to_string(), "[::1]:1");
    }

    #[test]
    fn the_authority_option_overrides_all_others() {
        for builder in [
            FlagdOptions::builder().target_uri("envoy://proxy:9/rpc.service"),
            FlagdOptions::builder().socket_path("/s"),
            FlagdOptions::builder().host("h"),
        ] {
            assert_eq!(target(builder.authority("a.b:3")).unwrap().authority.as_str(), "a.b:3");
        }
    }
}
