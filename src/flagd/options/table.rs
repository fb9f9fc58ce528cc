//! The table of options. [`FlagdOptions`] with its accessors, the builder with its
//! setters, and [`FlagdOptions::TABLE`] are generated from it, so that they cannot
//! differ.
//!
//! To add an option, add a row to `options!`. What uses it must then read it;
//! what has to hold for its value belongs in [`check`](super::check). The table
//! in `docs/options.md` is generated from [`FlagdOptions::TABLE`] by a test.

use std::{
    convert::identity,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    enricher::Enricher,
    environment::Environment,
    headers::Headers,
    kind::{CacheType, OptionInfo, Resolver},
    read,
};
use crate::{bucketing::Bucketing, flagd::error::FlagdError};

/// `none` for an empty default, any other as code.
macro_rules! shown_default {
    ("") => {
        "none"
    };
    ($default:literal) => {
        concat!("`", $default, "`")
    };
}

/// Generates the options from rows of this form. The names, the kind and the
/// default are shown in the documentation and used for the environment; the last
/// line says what the accessor and the setter look like:
///
/// ```text
/// /// Documentation.
/// field: Type,
///     name "name", variable "VARIABLE", kind "kind",
///     default "as a variable would hold it", read <&str to Type>,
///     get <type> = <from &Type>, set <type> = <to Type>;
/// ```
///
/// For example, `default "500", read read::millis` is a default of 500 ms. An empty
/// default is that of the type, such as `None`. The documentation becomes the
/// column "Meaning" of the table, so it is one paragraph.
macro_rules! options {
    ($(
        $(#[doc = $meaning:literal])+
        $field:ident: $type:ty,
            name $name:literal, variable $variable:literal, kind $kind:literal,
            default $default:tt, read $read:expr,
            get $get:ty = $getter:expr, set $set:ty = $setter:expr;
    )+) => {
        /// The options of the provider: how it reaches flagd, where flags are evaluated, and
        /// what happens while flagd is unreachable.
        ///
        /// Create them with [`FlagdOptions::builder`]. For each option, a value set in the
        /// program comes before the environment variable, and the variable before the default.
        /// If the program sets any of host, port, target URI or socket path, none of these is
        /// taken from the environment.
        ///
        /// Names, variables and defaults are those of the [flagd provider specification], where it
        /// defines them; [`FlagdOptions::TABLE`] lists them all.
        ///
        /// `Debug` shows all options except the values of headers.
        ///
        /// # Proxies
        ///
        /// Connections to flagd do not use the proxies in the environment variables `HTTPS_PROXY`,
        /// `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`. To reach flagd through a gRPC proxy, such as
        /// Envoy or nginx, set `targetUri` to `envoy://proxy:port/authority`, where `authority` is the
        /// name under which the proxy knows flagd; to reach it through a process on the same machine,
        /// set `socketPath`.
        ///
        /// [flagd provider specification]: https://flagd.dev/reference/specifications/providers/#configuration
        ///
        /// ```
        /// # use flagstaff::FlagdOptions;
        /// # use std::time::Duration;
        /// let options = FlagdOptions::builder()
        ///     .host("flags.internal")
        ///     .tls(true)
        ///     .deadline(Duration::from_millis(250))
        ///     .without_env().build()?;
        /// assert_eq!(options.port(), 8013);
        /// # Ok::<(), flagstaff::FlagdError>(())
        /// ```
        #[derive(Clone, Debug)]
        pub struct FlagdOptions {
            $($field: $type,)+
            /// Not a row of the table, because a variable cannot hold a function.
            #[cfg_attr(not(feature = "in-process"), allow(dead_code))]
            enricher: Enricher,
            /// As above.
            #[cfg(feature = "tls")]
            tls_config: Option<Box<rustls::ClientConfig>>,
        }

        /// The rows of the table, each under the name of its field, for errors that name an
        /// option and its variable.
        pub(crate) mod row {
            use crate::flagd::options::kind::OptionInfo;

            $(pub(crate) const fn $field() -> OptionInfo {
                OptionInfo {
                    name: $name,
                    variable: $variable,
                    kind: $kind,
                    default: $default,
                    meaning: concat!($($meaning),+).trim_ascii(),
                }
            })+
        }

        impl FlagdOptions {
            /// Every option that has a variable: name, environment variable, type, default and
            /// meaning.
            ///
            /// ```
            /// use flagstaff::FlagdOptions;
            ///
            /// for row in FlagdOptions::TABLE {
            ///     println!("{:32} {}", row.variable, row.default);
            /// }
            /// ```
            pub const TABLE: &'static [OptionInfo] = &[$(row::$field()),+];

            $(
                $(#[doc = $meaning])+
                #[must_use]
                pub fn $field(&self) -> $get {
                    let get: fn(&$type) -> $get = $getter;
                    get(&self.$field)
                }
            )+

            /// The option `contextEnricher`.
            #[cfg(feature = "in-process")]
            pub(crate) fn enricher(&self) -> &Enricher {
                &self.enricher
            }

            #[cfg(feature = "tls")]
            pub(crate) fn tls_config(&self) -> Option<&rustls::ClientConfig> {
                self.tls_config.as_deref()
            }

            /// The same options with another resolver. The port does not change.
            pub(crate) fn with_resolver(self, resolver: Resolver) -> Self {
                Self { resolver, ..self }
            }
        }

        /// Collects options for the provider.
        ///
        /// Each setter replaces the value set before, except
        /// [`header`](Self::header), which adds one. None of them can fail.
        /// [`build`](Self::build) takes what is not set from the environment and the
        /// defaults, and checks the result.
        ///
        /// ```
        /// use flagstaff::FlagdOptions;
        ///
        /// let builder = FlagdOptions::builder().host("flags.internal").port(9013);
        /// let options = builder.without_env().build()?;
        /// assert_eq!((options.host(), options.port()), ("flags.internal", 9013));
        /// # Ok::<(), flagstaff::FlagdError>(())
        /// ```
        #[derive(Clone, Debug, Default)]
        #[must_use]
        pub struct FlagdOptionsBuilder {
            $(pub(crate) $field: Option<$type>,)+
            pub(crate) enricher: Enricher,
            #[cfg(feature = "tls")]
            pub(crate) tls_config: Option<Box<rustls::ClientConfig>>,
            pub(crate) without_env: bool,
        }

        impl FlagdOptionsBuilder {
            $(
                $(#[doc = $meaning])+
                #[doc = concat!(
                    "\n\nVariable `", $variable, "` (", $kind, "), default ", shown_default!($default), "."
                )]
                pub fn $field(mut self, value: $set) -> Self {
                    let set = $setter;
                    self.$field = Some(set(value));
                    self
                }
            )+

            /// Takes what is not set from the environment or the defaults. The result is not
            /// checked yet.
            pub(crate) fn complete(
                self,
                environment: &Environment<'_>,
            ) -> Result<FlagdOptions, FlagdError> {
                Ok(FlagdOptions {
                    $($field: environment.complete(&row::$field(), self.$field, $read)?,)+
                    enricher: self.enricher,
                    #[cfg(feature = "tls")]
                    tls_config: self.tls_config,
                })
            }
        }
    };
}

options! {
    /// Where flags are evaluated.
    resolver: Resolver,
        name "resolver", variable "FLAGD_RESOLVER", kind "`rpc`, `in-process` or `file`",
        default "rpc", read read::resolver,
        get Resolver = copied, set Resolver = identity;

    /// The host of flagd: a name or an IP address.
    host: String,
        name "host", variable "FLAGD_HOST", kind "string",
        default "localhost", read read::text,
        get &str = String::as_str, set impl Into<String> = Into::into;

    /// The port of flagd. With the resolver `in-process`, the default is 8015, and the variable
    /// `FLAGD_SYNC_PORT` comes first.
    port: u16,
        name "port", variable "FLAGD_PORT", kind "1 to 65535",
        default "8013", read read::port,
        get u16 = copied, set u16 = identity;

    /// The address of flagd, in place of host, port and socket path: `dns:///host:port`, `host:port`,
    /// `unix:///path` or `envoy://host:port/authority`
    /// ([specification](https://flagd.dev/reference/specifications/providers/#custom-name-resolution)).
    /// A host without a port gets that of the option `port`.
    target_uri: Option<String>,
        name "targetUri", variable "FLAGD_TARGET_URI", kind "URI",
        default "", read read::optional_text,
        get Option<&str> = Option::as_deref, set impl Into<String> = |text| Some(Into::into(text));

    /// Whether to encrypt the connection with TLS and to authenticate flagd by its certificate.
    /// Without TLS, the options about certificates have no effect, and headers travel in clear text.
    tls: bool,
        name "tls", variable "FLAGD_TLS", kind "`true` or `false`",
        default "false", read read::boolean,
        get bool = copied, set bool = identity;

    /// The path of a unix socket on which flagd listens, in place of host and port.
    socket_path: Option<PathBuf>,
        name "socketPath", variable "FLAGD_SOCKET_PATH", kind "path",
        default "", read read::optional_path,
        get Option<&Path> = Option::as_deref, set impl Into<PathBuf> = |path| Some(Into::into(path));

    /// A PEM file with the certificate authorities to trust in place of the system's. It is read
    /// again for each connection.
    cert_path: Option<PathBuf>,
        name "certPath", variable "FLAGD_SERVER_CERT_PATH", kind "path",
        default "", read read::optional_path,
        get Option<&Path> = Option::as_deref, set impl Into<PathBuf> = |path| Some(Into::into(path));

    /// A PEM file with the certificate chain that this client presents (mutual TLS), its own
    /// certificate first. It is read again for each connection.
    client_cert_path: Option<PathBuf>,
        name "clientCertPath", variable "FLAGD_CLIENT_CERT_PATH", kind "path",
        default "", read read::optional_path,
        get Option<&Path> = Option::as_deref, set impl Into<PathBuf> = |path| Some(Into::into(path));

    /// A PEM file with the private key for `clientCertPath`, not encrypted. It is read again for
    /// each connection.
    client_key_path: Option<PathBuf>,
        name "clientKeyPath", variable "FLAGD_CLIENT_KEY_PATH", kind "path",
        default "", read read::optional_path,
        get Option<&Path> = Option::as_deref, set impl Into<PathBuf> = |path| Some(Into::into(path));

    /// The HTTP/2 authority, and the name that the server's certificate must have, in place of the
    /// host's.
    authority: Option<String>,
        name "defaultAuthority", variable "FLAGD_DEFAULT_AUTHORITY", kind "`host` or `host:port`",
        default "", read read::optional_text,
        get Option<&str> = Option::as_deref, set impl Into<String> = |text| Some(Into::into(text));

    /// Headers to send with each call, such as `authorization`. Their values are treated as secrets
    /// and never shown. The variable cannot hold a value with a comma.
    headers: Headers,
        name "headers", variable "FLAGD_HEADERS", kind "`name=value,...`",
        default "", read read::headers,
        get &Headers = |headers| headers,
        set impl IntoIterator<Item = (impl Into<String>, impl Into<String>)> = Headers::new;

    /// Evaluate only the flags of one flag set or source: `flagSetId=id`, `source=uri` or a bare
    /// source. Sent as the header `flagd-selector`. A file has no selector.
    selector: Option<String>,
        name "selector", variable "FLAGD_SOURCE_SELECTOR", kind "string",
        default "", read read::optional_text,
        get Option<&str> = Option::as_deref, set impl Into<String> = |text| Some(Into::into(text));

    /// How long a unary call may take as a whole, and how long initialization may take. With 0,
    /// calls are not bounded, and initialization takes at most 500 ms.
    deadline: Duration,
        name "deadlineMs", variable "FLAGD_DEADLINE_MS", kind "ms",
        default "500", read read::millis,
        get Duration = copied, set Duration = identity;

    /// How many calls in a row may get no response, over at least two `deadlineMs`, before flagd
    /// counts as hanging. Then one call at a time is made while the others fail immediately, until
    /// one gets a response, and the event stream is opened again. 0 turns this off, and so does a
    /// `deadlineMs` of 0.
    max_unanswered_calls: u32,
        name "maxUnansweredCalls", variable "FLAGD_MAX_UNANSWERED_CALLS", kind "count",
        default "5", read read::count,
        get u32 = copied, set u32 = identity;

    /// How long an event stream or sync stream is used before the next one replaces it; 0 is
    /// unlimited.
    stream_deadline: Duration,
        name "streamDeadlineMs", variable "FLAGD_STREAM_DEADLINE_MS", kind "ms",
        default "600000", read read::millis,
        get Duration = copied, set Duration = identity;

    /// How long an event stream may be silent before it counts as lost; 0 is unlimited. Applies once
    /// the server has sent a `keep_alive`. flagd sends one after 20 s of silence, so a lower value
    /// disconnects from a flagd that works.
    stream_idle: Duration,
        name "streamIdleMs", variable "FLAGD_STREAM_IDLE_MS", kind "ms",
        default "60000", read read::millis,
        get Duration = copied, set Duration = identity;

    /// The interval of HTTP/2 pings; 0 turns them off. A connection on which a ping gets no response
    /// for 20 s is lost. Servers may close connections that ping often.
    keep_alive_time: Duration,
        name "keepAliveTime", variable "FLAGD_KEEP_ALIVE_TIME_MS", kind "ms",
        default "0", read read::millis,
        get Duration = copied, set Duration = identity;

    /// Whether results with the reason STATIC, which do not depend on the context, are
    /// [cached](https://flagd.dev/reference/specifications/providers/#flag-evaluation-caching).
    cache: CacheType,
        name "cache", variable "FLAGD_CACHE", kind "`lru` or `disabled`",
        default "lru", read read::cache,
        get CacheType = copied, set CacheType = identity;

    /// How many results are cached; 0 disables the cache.
    max_cache_size: usize,
        name "maxCacheSize", variable "FLAGD_MAX_CACHE_SIZE", kind "count",
        default "1000", read read::count,
        get usize = copied, set usize = identity;

    /// How many attempts in a row to open the event stream again may fail before the state STALE
    /// becomes ERROR; `-1`, or `None` in the program, is unlimited. Attempts continue in ERROR.
    max_event_stream_retries: Option<u32>,
        name "maxEventStreamRetries", variable "FLAGD_MAX_EVENT_STREAM_RETRIES",
        kind "count, `-1` or `unlimited`",
        default "5", read read::retries,
        get Option<u32> = copied, set impl Into<Option<u32>> = Into::into;

    /// The delay before the first
    /// [reconnection](https://flagd.dev/reference/specifications/providers/#stream-reconnection);
    /// each failure doubles it, and up to a half of it is left out at random.
    retry_backoff: Duration,
        name "retryBackoffMs", variable "FLAGD_RETRY_BACKOFF_MS", kind "ms, at least 1",
        default "1000", read read::millis,
        get Duration = copied, set Duration = identity;

    /// The longest delay before a reconnection. An attempt itself may take as long, up to 20 s, or
    /// `deadlineMs` if that is longer; attempts after the first take at most 5 s, or this value if
    /// that is longer.
    retry_backoff_max: Duration,
        name "retryBackoffMaxMs", variable "FLAGD_RETRY_BACKOFF_MAX_MS", kind "ms, at least 1",
        default "5000", read read::millis,
        get Duration = copied, set Duration = identity;

    /// How long the provider is STALE after a lost connection, and serves cached results or the last
    /// valid configuration, before it is in ERROR
    /// ([specification](https://flagd.dev/reference/specifications/providers/#flagd-provider-lifecycle));
    /// with 0, it is in ERROR immediately.
    retry_grace_period: Duration,
        name "retryGracePeriod", variable "FLAGD_RETRY_GRACE_PERIOD", kind "s",
        default "10", read read::seconds,
        get Duration = copied, set Duration = identity;

    /// The name by which the resolver `in-process` identifies itself to flagd.
    provider_id: Option<String>,
        name "providerId", variable "FLAGD_PROVIDER_ID", kind "string",
        default "", read read::optional_text,
        get Option<&str> = Option::as_deref, set impl Into<String> = |text| Some(Into::into(text));

    /// A file with flag definitions: YAML if its name ends in `.yaml` or `.yml`, otherwise JSON. The
    /// resolver `file` requires it, and the resolver `in-process` becomes `file` if it is set.
    offline_flag_source_path: Option<PathBuf>,
        name "offlineFlagSourcePath", variable "FLAGD_OFFLINE_FLAG_SOURCE_PATH", kind "path",
        default "", read read::optional_path,
        get Option<&Path> = Option::as_deref, set impl Into<PathBuf> = |path| Some(Into::into(path));

    /// How often that file is read. Changes that the operating system reports are noticed
    /// immediately.
    offline_poll_interval: Duration,
        name "offlinePollIntervalMs", variable "FLAGD_OFFLINE_POLL_MS", kind "ms, at least 1",
        default "5000", read read::millis,
        get Duration = copied, set Duration = identity;

    /// The generation of `fractional` for the resolvers `in-process` and `file`, which decides who
    /// gets which variant: that of flagd up to 0.16 (`string`), or that accepted for flagd 1.0
    /// (`cbor`).
    bucketing: Bucketing,
        name "bucketing", variable "FLAGD_BUCKETING", kind "`string` or `cbor`",
        default "string", read read::bucketing,
        get Bucketing = copied, set Bucketing = identity;

    /// Names of gRPC status codes, such as `PERMISSION_DENIED`. If flagd responds with one of them
    /// before the provider was ever ready, the provider gives up and does not try again
    /// ([specification](https://flagd.dev/reference/specifications/providers/#fatal-status-codes)).
    fatal_status_codes: Vec<String>,
        name "fatalStatusCodes", variable "FLAGD_FATAL_STATUS_CODES", kind "`NAME,...`",
        default "", read read::names,
        get &[String] = Vec::as_slice,
        set impl IntoIterator<Item = impl Into<String>> = texts;
}

/// The getter of options that are small.
fn copied<T: Copy>(value: &T) -> T {
    *value
}

/// The setter of options that are lists.
fn texts(texts: impl IntoIterator<Item = impl Into<String>>) -> Vec<String> {
    texts.into_iter().map(Into::into).collect()
}
