//! The options of the provider: one table of name, variable, type, default and meaning.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use http::{HeaderName, HeaderValue, uri::Authority};
use secrecy::{ExposeSecret, SecretString};

use super::{
    env::{self, Environment},
    error::FlagdError,
};

/// Longest duration that an option takes: a year. Longer ones are mistakes, and overflow clocks.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Where flags are evaluated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resolver {
    /// In flagd, with a call for each evaluation that the cache does not answer.
    #[default]
    Rpc,
    /// In this process, with flag definitions synchronized from flagd.
    InProcess,
    /// In this process, with flag definitions read from a file.
    File,
}

/// Whether STATIC results are cached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CacheType {
    /// Keep up to [`max_cache_size`](FlagdOptions::max_cache_size) results; the least recently used goes first.
    #[default]
    Lru,
    /// Ask flagd for every evaluation.
    Disabled,
}

impl FromStr for Resolver {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "rpc" => Ok(Self::Rpc),
            "in-process" => Ok(Self::InProcess),
            "file" => Ok(Self::File),
            _ => Err(format!("`{text}` is none of `rpc`, `in-process`, `file`")),
        }
    }
}

impl FromStr for CacheType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "lru" => Ok(Self::Lru),
            "disabled" => Ok(Self::Disabled),
            _ => Err(format!("`{text}` is none of `lru`, `disabled`")),
        }
    }
}

/// One row of the table of options, [`FlagdOptions::TABLE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OptionInfo {
    /// The name that the flagd documentation uses.
    pub name: &'static str,
    /// The environment variable.
    pub variable: &'static str,
    /// What the variable holds.
    pub kind: &'static str,
    /// The default as a variable would hold it; empty for none.
    pub default: &'static str,
    /// What the option does.
    pub meaning: &'static str,
}

/// Writes the options, their builder and their table from one list.
///
/// A row: documentation, `field: type`, how the accessor gives it, how the setter takes it, then
/// name, variable, kind and default as text, and the function that reads that text.
macro_rules! options {
    ($(
        $(#[doc = $meaning:literal])+
        $field:ident: $type:ty,
        get $get:ty = $getter:expr,
        set $set:ty = $setter:expr,
        $name:literal, $variable:literal, $kind:literal, $default:literal, $parse:expr;
    )+) => {
        /// How the provider reaches flagd, and how it behaves while it does not.
        ///
        /// Made by [`FlagdOptions::builder`]. Option by option a value set in the program comes
        /// before the environment, and the environment before the default. [`FlagdOptions::TABLE`]
        /// lists them all.
        ///
        /// ```
        /// # use flagstaff::FlagdOptions;
        /// # use std::time::Duration;
        /// let options = FlagdOptions::builder()
        ///     .host("flags.internal")
        ///     .tls(true)
        ///     .deadline(Duration::from_millis(250))
        ///     .build_with_env(|_| None)?;
        /// assert_eq!(options.port(), 8013);
        /// # Ok::<(), flagstaff::FlagdError>(())
        /// ```
        #[derive(Clone, Debug)]
        pub struct FlagdOptions {
            $($field: $type,)+
        }

        impl FlagdOptions {
            /// Every option: name, environment variable, type, default, meaning.
            pub const TABLE: &'static [OptionInfo] = &[$(OptionInfo {
                name: $name,
                variable: $variable,
                kind: $kind,
                default: $default,
                meaning: concat!($($meaning),+),
            }),+];

            $(
                $(#[doc = $meaning])+
                #[must_use]
                pub fn $field(&self) -> $get {
                    let get: fn(&$type) -> $get = $getter;
                    get(&self.$field)
                }
            )+
        }

        /// Collects options; [`build`](Self::build) completes and checks them.
        #[derive(Clone, Debug, Default)]
        #[must_use]
        pub struct FlagdOptionsBuilder {
            $($field: Option<$type>,)+
        }

        impl FlagdOptionsBuilder {
            $(
                $(#[doc = $meaning])+
                #[doc = concat!("\n\nVariable `", $variable, "`, ", $kind, ".")]
                pub fn $field(mut self, value: $set) -> Self {
                    let set = $setter;
                    self.$field = Some(set(value));
                    self
                }
            )+

            fn complete(self, environment: &Environment<'_>) -> Result<FlagdOptions, FlagdError> {
                let mut rows = FlagdOptions::TABLE.iter();
                $(
                    // One row a field: both come from the same list.
                    let $field = environment.complete(rows.next(), self.$field, $parse)?;
                )+
                Ok(FlagdOptions { $($field),+ })
            }
        }
    };
}

options! {
    /// Where flags are evaluated.
    resolver: Resolver,
    get Resolver = Clone::clone, set Resolver = |value| value,
    "resolver", "FLAGD_RESOLVER", "`rpc`, `in-process`, `file`", "rpc", env::parsed;

    /// The host of flagd: a name or an IP address.
    host: String,
    get &str = String::as_str, set impl Into<String> = Into::into,
    "host", "FLAGD_HOST", "string", "localhost", env::text;

    /// The port of flagd. Evaluation in process has the default 8015 and reads `FLAGD_SYNC_PORT` first.
    port: u16,
    get u16 = Clone::clone, set u16 = |value| value,
    "port", "FLAGD_PORT", "1 to 65535", "8013", env::port;

    /// Where flagd is, in place of host and port: `dns:///host:port`, `host:port`, `unix:///path`
    /// or `envoy://host:port/authority`. A bare word is a DNS name, with `port`.
    target_uri: Option<String>,
    get Option<&str> = Option::as_deref, set impl Into<String> = |value| Some(Into::into(value)),
    "targetUri", "FLAGD_TARGET_URI", "URI", "", env::optional_text;

    /// Encrypt the connection with TLS.
    tls: bool,
    get bool = Clone::clone, set bool = |value| value,
    "tls", "FLAGD_TLS", "`true` or `false`", "false", env::boolean;

    /// A unix socket of flagd, in place of host and port.
    socket_path: Option<PathBuf>,
    get Option<&Path> = Option::as_deref, set impl Into<PathBuf> = |value| Some(Into::into(value)),
    "socketPath", "FLAGD_SOCKET_PATH", "path", "", env::optional_path;

    /// A PEM file with the certificate authority to trust in place of the system's. It is read
    /// again at each connection.
    cert_path: Option<PathBuf>,
    get Option<&Path> = Option::as_deref, set impl Into<PathBuf> = |value| Some(Into::into(value)),
    "certPath", "FLAGD_SERVER_CERT_PATH", "path", "", env::optional_path;

    /// A PEM file with the certificate chain that this client shows (mutual TLS).
    client_cert_path: Option<PathBuf>,
    get Option<&Path> = Option::as_deref, set impl Into<PathBuf> = |value| Some(Into::into(value)),
    "clientCertPath", "FLAGD_CLIENT_CERT_PATH", "path", "", env::optional_path;

    /// A PEM file with the private key of `clientCertPath`.
    client_key_path: Option<PathBuf>,
    get Option<&Path> = Option::as_deref, set impl Into<PathBuf> = |value| Some(Into::into(value)),
    "clientKeyPath", "FLAGD_CLIENT_KEY_PATH", "path", "", env::optional_path;

    /// The HTTP/2 authority, and the name that the server's certificate must have, in place of the
    /// host's.
    authority: Option<String>,
    get Option<&str> = Option::as_deref, set impl Into<String> = |value| Some(Into::into(value)),
    "defaultAuthority", "FLAGD_DEFAULT_AUTHORITY", "`host` or `host:port`", "", env::optional_text;

    /// Metadata headers to send with each call. The values are taken for secrets and never shown.
    headers: Vec<(String, SecretString)>,
    get &[(String, SecretString)] = Vec::as_slice, set Vec<(String, SecretString)> = |value| value,
    "headers", "FLAGD_HEADERS", "`name=value,...`", "", env::headers;

    /// Evaluate only the flags of one flag set or source: `flagSetId=id`, `source=uri` or a bare
    /// source. Sent as the header `flagd-selector`.
    selector: Option<String>,
    get Option<&str> = Option::as_deref, set impl Into<String> = |value| Some(Into::into(value)),
    "selector", "FLAGD_SOURCE_SELECTOR", "string", "", env::optional_text;

    /// How long a unary call may take as a whole, and initialization; 0 leaves calls unbounded, and
    /// initialization ends with the first attempt, after 500 ms at most.
    deadline: Duration,
    get Duration = Clone::clone, set Duration = |value| value,
    "deadlineMs", "FLAGD_DEADLINE_MS", "ms", "500", env::millis;

    /// How long an event stream lives before the next one replaces it; 0 is without end.
    stream_deadline: Duration,
    get Duration = Clone::clone, set Duration = |value| value,
    "streamDeadlineMs", "FLAGD_STREAM_DEADLINE_MS", "ms", "600000", env::millis;

    /// How long an event stream may be silent before it counts as lost; 0 is without end. In force
    /// once the server has shown that it sends `keep_alive` (flagd does every 20 s).
    stream_idle: Duration,
    get Duration = Clone::clone, set Duration = |value| value,
    "streamIdleMs", "FLAGD_STREAM_IDLE_MS", "ms", "60000", env::millis;

    /// Interval of HTTP/2 pings; 0 is off. flagd closes connections that ping more often than every
    /// 30 s, unless told otherwise (`--keep-alive-min-time`).
    keep_alive_time: Duration,
    get Duration = Clone::clone, set Duration = |value| value,
    "keepAliveTime", "FLAGD_KEEP_ALIVE_TIME_MS", "ms", "0", env::millis;

    /// Whether STATIC results are cached.
    cache: CacheType,
    get CacheType = Clone::clone, set CacheType = |value| value,
    "cache", "FLAGD_CACHE", "`lru`, `disabled`", "lru", env::parsed;

    /// How many results are cached; 0 disables the cache.
    max_cache_size: usize,
    get usize = Clone::clone, set usize = |value| value,
    "maxCacheSize", "FLAGD_MAX_CACHE_SIZE", "count", "1000", env::count;

    /// How many reconnections in a row may fail before STALE becomes ERROR; attempts go on all the
    /// same. `None` is without limit.
    max_event_stream_retries: Option<u32>,
    get Option<u32> = Clone::clone, set impl Into<Option<u32>> = Into::into,
    "maxEventStreamRetries", "FLAGD_MAX_EVENT_STREAM_RETRIES", "count, `-1` or `unlimited`", "5", env::retries;

    /// The first delay before a reconnection; each failure doubles it.
    retry_backoff: Duration,
    get Duration = Clone::clone, set Duration = |value| value,
    "retryBackoffMs", "FLAGD_RETRY_BACKOFF_MS", "ms, at least 1", "1000", env::millis;

    /// The longest delay before a reconnection.
    retry_backoff_max: Duration,
    get Duration = Clone::clone, set Duration = |value| value,
    "retryBackoffMaxMs", "FLAGD_RETRY_BACKOFF_MAX_MS", "ms, at least 1", "5000", env::millis;

    /// How long the provider is STALE before it is in ERROR; 0 is ERROR at once.
    retry_grace_period: Duration,
    get Duration = Clone::clone, set Duration = |value| value,
    "retryGracePeriod", "FLAGD_RETRY_GRACE_PERIOD", "s", "10", env::seconds;

    /// Names of gRPC status codes with which a provider that never was ready gives up for good.
    fatal_status_codes: Vec<String>,
    get &[String] = Vec::as_slice, set Vec<String> = |value| value,
    "fatalStatusCodes", "FLAGD_FATAL_STATUS_CODES", "`NAME,...`", "", env::names;
}

impl FlagdOptions {
    /// Starts with nothing set.
    pub fn builder() -> FlagdOptionsBuilder {
        FlagdOptionsBuilder::default()
    }

    /// How many results the cache may hold; 0 without a cache.
    pub(crate) fn cache_capacity(&self) -> usize {
        match self.cache {
            CacheType::Lru => self.max_cache_size,
            CacheType::Disabled => 0,
        }
    }

    /// Name and variable of the option called `name` in the table.
    fn names(name: &str) -> (&'static str, &'static str) {
        let row = Self::TABLE.iter().find(|row| row.name == name);
        row.map_or(("?", "?"), |row| (row.name, row.variable))
    }

    /// An error of the option called `name` in the table.
    pub(crate) fn error(name: &str, reason: impl Into<String>) -> FlagdError {
        let (option, variable) = Self::names(name);
        FlagdError::InvalidOption { option, variable, reason: reason.into() }
    }

    /// The file of the option called `name` in the table cannot be read.
    #[cfg(feature = "tls")]
    pub(crate) fn file_error(name: &str, path: &Path, source: std::io::Error) -> FlagdError {
        let (option, variable) = Self::names(name);
        FlagdError::File { option, variable, path: path.to_owned(), source }
    }

    fn validated(self) -> Result<Self, FlagdError> {
        self.check_address()?;
        self.check_durations()?;
        self.check_headers()?;
        if self.client_cert_path.is_some() != self.client_key_path.is_some() {
            let reason = "mutual TLS needs both `clientCertPath` and `clientKeyPath`";
            return Err(Self::error("clientCertPath", reason));
        }
        Ok(self)
    }

    fn check_address(&self) -> Result<(), FlagdError> {
        if self.port == 0 {
            return Err(Self::error("port", "0 is no port; it must be from 1 to 65535"));
        }
        if self.host.trim().is_empty() {
            return Err(Self::error("host", "it is empty"));
        }
        if let Some(authority) = &self.authority {
            Authority::from_str(authority).map_err(|error| {
                Self::error("defaultAuthority", format!("`{authority}` does not parse: {error}"))
            })?;
        }
        Ok(())
    }

    fn check_durations(&self) -> Result<(), FlagdError> {
        for (name, value, shortest) in [
            ("deadlineMs", self.deadline, Duration::ZERO),
            ("streamDeadlineMs", self.stream_deadline, Duration::ZERO),
            ("streamIdleMs", self.stream_idle, Duration::ZERO),
            ("keepAliveTime", self.keep_alive_time, Duration::ZERO),
            ("retryBackoffMs", self.retry_backoff, Duration::from_millis(1)),
            ("retryBackoffMaxMs", self.retry_backoff_max, Duration::from_millis(1)),
            ("retryGracePeriod", self.retry_grace_period, Duration::ZERO),
        ] {
            if value < shortest || value > LONGEST {
                let reason = format!("{value:?} is not from {shortest:?} to a year");
                return Err(Self::error(name, reason));
            }
        }
        Ok(())
    }

    fn check_headers(&self) -> Result<(), FlagdError> {
        for (name, value) in &self.headers {
            let reserved = |name: &HeaderName| {
                name.as_str().starts_with("grpc-")
                    || name.as_str().ends_with("-bin")
                    || ["te", "content-type", "user-agent"].contains(&name.as_str())
            };
            match HeaderName::from_str(name) {
                Err(_) => return Err(Self::error("headers", format!("`{name}` is no name"))),
                Ok(name) if reserved(&name) => {
                    return Err(Self::error("headers", format!("`{name}` is gRPC's own")));
                }
                Ok(_) => {}
            }
            if HeaderValue::from_str(value.expose_secret()).is_err() {
                return Err(Self::error("headers", format!("the value of `{name}` is not ASCII")));
            }
        }
        match &self.selector {
            Some(selector) if HeaderValue::from_str(selector).is_err() => Err(Self::error(
                "selector",
                format!("`{selector}` is not ASCII, as headers must be"),
            )),
            _ => Ok(()),
        }
    }
}

impl FlagdOptionsBuilder {
    /// Adds one header to [`headers`](Self::headers).
    pub fn header(mut self, name: impl Into<String>, value: impl Into<SecretString>) -> Self {
        self.headers.get_or_insert_default().push((name.into(), value.into()));
        self
    }

    /// Completes the options from the process's environment and the defaults, and checks them. No
    /// file and no network is touched.
    ///
    /// A program that sets any of host, port, target URI or socket path takes none of these from
    /// the environment. An empty variable counts as not set.
    ///
    /// # Errors
    ///
    /// [`FlagdError::InvalidOption`] names the option and its variable when a value has the wrong
    /// type or is out of range.
    pub fn build(self) -> Result<FlagdOptions, FlagdError> {
        self.build_with_env(|name| std::env::var_os(name))
    }

    /// As [`build`](Self::build), with `lookup` in place of the process's environment.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build).
    pub fn build_with_env(
        self,
        lookup: impl Fn(&str) -> Option<OsString>,
    ) -> Result<FlagdOptions, FlagdError> {
        let address_set = self.host.is_some()
            || self.port.is_some()
            || self.target_uri.is_some()
            || self.socket_path.is_some();
        let environment = Environment::new(&lookup, self.resolver, address_set)?;
        self.complete(&environment)?.validated()
    }
}
