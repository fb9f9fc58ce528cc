//! The options of `flagstaff start`: those of `flagd start`, with flagd's names, short forms,
//! defaults and variables, and a few of its own.
//!
//! `tests.rs` has the table of all options and compares it with what clap knows, so that an
//! option cannot change by accident.
//!
//! clap reads the variables of single values. Lists differ: flagd separates the values of an
//! option by commas, but those of its variable by spaces, or takes a JSON object there.
//! [`Args::with_environment`] reads these variables, unless the option was given.
//!
//! | Option | On the command line | In the variable |
//! |---|---|---|
//! | `--uri`, `--cors-origin` | `a,b` | `a b` |
//! | `--context-value`, `--context-from-header` | `a=b,c=d` | `{"a": "b", "c": "d"}` |
//!
//! The options of flagstaff alone are read from variables that begin with `FLAGSTAFF_`, except
//! for `FLAGD_BUCKETING`, which the provider reads too.

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests;

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf, time::Duration};

use clap::{
    ArgAction, ValueEnum,
    builder::{
        BoolishValueParser, NonEmptyStringValueParser, OsStringValueParser, TypedValueParser,
    },
};

use super::unsupported::Unsupported;
use crate::{duration, excerpt::excerpt, facts::FactsArgs, logging::LogFormat};

/// Start a server in place of flagd.
///
/// Options and variables are those of `flagd start`, but the server listens on loopback unless --host
/// says otherwise.
///
/// Exit code 0: ended by SIGTERM or SIGINT; 1: the server cannot start; 2: usage error.
// Not `Debug` outside of tests, since URLs and `--sources` may contain secrets.
#[cfg_attr(test, derive(Debug))]
#[derive(clap::Args)]
// If an option is given twice, the last one counts, as in flagd.
#[command(args_override_self = true)]
pub(crate) struct Args {
    /// The IP address to listen on, for all ports; `::` is every interface, over IPv4 and IPv6.
    // Not FLAGD_HOST, which tells clients where flagd is.
    #[arg(long, env = "FLAGSTAFF_HOST", value_name = "IP", default_value = "127.0.0.1")]
    #[arg(value_parser = address)]
    pub(super) host: IpAddr,
    /// Port of evaluation: gRPC and Connect.
    #[arg(short, long, env = "FLAGD_PORT", default_value_t = 8013)]
    pub(super) port: u16,
    /// Port of probes, metrics and gRPC health.
    #[arg(short, long, env = "FLAGD_MANAGEMENT_PORT", value_name = "PORT")]
    #[arg(default_value_t = 8014)]
    pub(super) management_port: u16,
    /// Port of synchronization, for evaluation in process.
    #[arg(short = 'g', long, env = "FLAGD_SYNC_PORT", value_name = "PORT")]
    #[arg(default_value_t = 8015)]
    pub(super) sync_port: u16,
    /// Port of OFREP.
    #[arg(short = 'r', long, env = "FLAGD_OFREP_PORT", value_name = "PORT")]
    #[arg(default_value_t = 8016)]
    pub(super) ofrep_port: u16,
    /// Unix socket of evaluation, in place of its port.
    #[arg(short = 'd', long, env = "FLAGD_SOCKET_PATH", value_name = "PATH", value_parser = path())]
    pub(super) socket_path: Option<PathBuf>,
    /// Unix socket of synchronization, in place of its port.
    #[arg(short = 'e', long, env = "FLAGD_SYNC_SOCKET_PATH", value_name = "PATH")]
    #[arg(value_parser = path())]
    pub(super) sync_socket_path: Option<PathBuf>,

    /// Sources of flags, separated by commas: `file:path`, `http(s)://...`, `grpc(s)://host:port`, or
    /// another target of a provider (`dns:///...`, `unix:///...`, `envoy://...`); can be repeated. If
    /// two sources have a flag with the same key, the later one wins [env: `FLAGD_URI`, separated by
    /// spaces].
    #[arg(short = 'f', long = "uri", value_name = "URI", value_delimiter = ',')]
    pub(super) uris: Vec<String>,
    /// More sources, as a JSON array of objects: uri, provider, and more by provider
    /// (interval, selector, tls, certPath, providerID, authHeader, bearerToken, headers).
    #[arg(short, long, env = "FLAGD_SOURCES", value_name = "JSON", hide_env_values = true)]
    pub(super) sources: Option<String>,

    /// PEM file with the server's certificate, for TLS on the ports of evaluation and
    /// synchronization.
    #[arg(short = 'c', long, env = "FLAGD_SERVER_CERT_PATH", value_name = "PATH")]
    #[arg(requires = "server_key_path", value_parser = path())]
    pub(super) server_cert_path: Option<PathBuf>,
    /// PEM file with the key of that certificate.
    #[arg(short = 'k', long, env = "FLAGD_SERVER_KEY_PATH", value_name = "PATH")]
    #[arg(requires = "server_cert_path", value_parser = path())]
    pub(super) server_key_path: Option<PathBuf>,

    /// PEM file with the authorities of clients: on the ports of evaluation and synchronization, only
    /// clients with a certificate that they issued are accepted.
    // Not `path()`: to take an empty path for none would be to accept every client.
    #[arg(long, env = "FLAGSTAFF_CLIENT_CA_PATH", value_name = "PATH")]
    #[arg(requires = "server_cert_path")]
    pub(super) client_ca_path: Option<PathBuf>,

    /// The flag set that clients without a selector see [default: the flags of all flag sets].
    #[arg(long, env = "FLAGSTAFF_DEFAULT_FLAG_SET", value_name = "ID")]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub(super) default_flag_set: Option<String>,

    /// Origins of web pages that may read responses, separated by commas; can be repeated. An origin
    /// is written as `https://shop.example`, without a slash at the end; one `*` in it stands for any
    /// characters, and `*` alone for every origin [env: `FLAGD_CORS_ORIGIN`, separated by spaces].
    #[arg(short = 'C', long = "cors-origin", value_name = "ORIGIN", value_delimiter = ',')]
    pub(super) cors_origins: Vec<String>,
    /// Fields to add to every evaluation context, `name=value,...`, whose values are strings; can be
    /// repeated [env: `FLAGD_CONTEXT_VALUE`, a JSON object].
    #[arg(short = 'X', long = "context-value", value_name = "NAME=VALUE", value_parser = pair)]
    #[arg(value_delimiter = ',')]
    pub(super) context_values: Vec<Pair>,
    /// Fields to add to the evaluation context from headers of the request, `Header=name,...`; can be
    /// repeated [env: `FLAGD_CONTEXT_FROM_HEADER`, a JSON object].
    #[arg(short = 'H', long = "context-from-header", value_name = "HEADER=NAME")]
    #[arg(value_parser = pair, value_delimiter = ',')]
    pub(super) context_from_headers: Vec<Pair>,

    /// The largest request body, in bytes; 0 means no limit.
    #[arg(short = 'B', long, env = "FLAGD_MAX_REQUEST_BODY", value_name = "BYTES")]
    #[arg(default_value_t = 1_000_000)]
    pub(super) max_request_body: usize,
    /// The largest request headers, in bytes, at least 8192; 0 means 1 MiB.
    #[arg(short = 'R', long, env = "FLAGD_MAX_REQUEST_HEADER", value_name = "BYTES")]
    #[arg(default_value_t = 1_000_000)]
    pub(super) max_request_header: usize,
    /// The lifetime of event streams and sync streams; 0 means no limit.
    #[arg(long, env = "FLAGD_STREAM_DEADLINE", value_name = "DURATION", default_value = "0")]
    #[arg(value_parser = duration::parse)]
    pub(super) stream_deadline: Duration,
    /// Do not serve `GetMetadata`, which is deprecated.
    #[arg(long, env = "FLAGD_DISABLE_SYNC_METADATA", action = ArgAction::Set, num_args = 0..=1)]
    #[arg(require_equals = true, default_missing_value = "true", default_value = "false")]
    #[arg(value_parser = BoolishValueParser::new(), value_name = "BOOL")]
    pub(super) disable_sync_metadata: bool,
    /// No effect: clients may ping as often as they like.
    #[arg(long, env = "FLAGD_KEEP_ALIVE_MIN_TIME", value_name = "DURATION")]
    #[arg(value_parser = duration::parse)]
    pub(super) keep_alive_min_time: Option<Duration>,
    /// No effect: clients may ping without a stream.
    #[arg(long, env = "FLAGD_KEEP_ALIVE_PERMIT_WITHOUT_STREAM", action = ArgAction::Set)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(default_value = "true", value_parser = BoolishValueParser::new(), value_name = "BOOL")]
    pub(super) keep_alive_permit_without_stream: bool,

    /// The generation of `fractional`: that of flagd 0.16 (`string`), or the one accepted for flagd 1.0
    /// (`cbor`).
    #[arg(long, env = "FLAGD_BUCKETING", value_name = "GENERATION")]
    #[arg(default_value = "string")]
    pub(super) bucketing: Generation,
    /// The format of the logs on standard error.
    #[arg(short = 'z', long, env = "FLAGD_LOG_FORMAT", value_name = "FORMAT")]
    #[arg(default_value = "console")]
    pub(super) log_format: LogFormat,
    /// Log at the level DEBUG.
    #[arg(short = 'x', long, env = "FLAGD_DEBUG", action = ArgAction::Set, num_args = 0..=1)]
    #[arg(require_equals = true, default_missing_value = "true", default_value = "false")]
    #[arg(value_parser = BoolishValueParser::new(), value_name = "BOOL")]
    pub(super) debug: bool,
    #[command(flatten)]
    pub(super) facts: FactsArgs,
    /// Hold the facts about identities whose name begins with this, and no others [default: all that
    /// the token may read].
    #[arg(long, env = "FLAGSTAFF_FACTS_PREFIX", value_name = "PREFIX", requires = "facts")]
    #[arg(help_heading = "Facts")]
    pub(super) facts_prefix: Option<String>,
    #[command(flatten)]
    pub(super) unsupported: Unsupported,
}

/// A name and its value, or a header and the name of a field.
pub(super) type Pair = (String, String);

/// What `--bucketing` takes. The library's type is not clap's, and may grow.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Generation {
    String,
    Cbor,
}

impl Args {
    /// Adds the lists that were not given as options, from their variables.
    ///
    /// `lookup` is [`env::var`](std::env::var) outside of tests.
    ///
    /// # Errors
    ///
    /// A variable should be a JSON object of strings and is not. The error names it.
    pub(super) fn with_environment(
        mut self,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        let words = |name| -> Vec<String> {
            let text = lookup(name).unwrap_or_default();
            text.split_whitespace().map(str::to_owned).collect()
        };
        let object = |name| -> Result<Vec<Pair>, String> {
            let Some(text) = lookup(name).filter(|text| !text.is_empty()) else {
                return Ok(Vec::new());
            };
            let fields: BTreeMap<String, String> =
                serde_json::from_str(&text).map_err(|error| {
                    let error = error.to_string();
                    format!("{name}: expected a JSON object of strings: {}", excerpt(&error))
                })?;
            Ok(fields.into_iter().collect())
        };
        if self.uris.is_empty() {
            self.uris = words("FLAGD_URI");
        }
        if self.cors_origins.is_empty() {
            self.cors_origins = words("FLAGD_CORS_ORIGIN");
        }
        // A template may leave the option empty, which is not an origin.
        self.cors_origins.retain(|origin| !origin.is_empty());
        if self.context_values.is_empty() {
            self.context_values = object("FLAGD_CONTEXT_VALUE")?;
        }
        if self.context_from_headers.is_empty() {
            self.context_from_headers = object("FLAGD_CONTEXT_FROM_HEADER")?;
        }
        Ok(self)
    }
}

/// Parses a path, which may be empty: templates leave options empty, and then it counts as not
/// given, as in flagd. clap's own parser of paths rejects an empty one.
fn path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

/// Parses an IP address. Names are not resolved.
fn address(text: &str) -> Result<IpAddr, &'static str> {
    text.parse().map_err(|_| "expected an IP address, such as `127.0.0.1` or `::`")
}

/// Parses `NAME=VALUE`, at the first equals sign.
fn pair(text: &str) -> Result<Pair, String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
