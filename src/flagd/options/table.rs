//! The table of options. From it come the options with their accessors, the builder with its
//! setters, and [`FlagdOptions::TABLE`], so that they cannot differ.

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

/// `"none"` for the empty text, else the text as code.
macro_rules! shown_default {
    ("") => {
        "none"
    };
    ($default:literal) => {
        concat!("`", $default, "`")
    };
}

/// Writes everything from rows of this form (the second line is what documentation shows and what
/// the environment gives; the third is what accessor and setter look like):
///
/// ```text
/// /// Documentation.
/// field: Type,
///     name "name", variable "VARIABLE", kind "kind", default "text", read <from a variable's text>,
///     get <type> = <from &Type>, set <type> = <to Type>;
/// ```
///
/// An empty default is the type's own: nothing.
macro_rules! options {
    ($(
        $(#[doc = $meaning:literal])+
        $field:ident: $type:ty,
            name $name:literal, variable $variable:literal, kind $kind:literal,
            default $default:tt, read $read:expr,
            get $get:ty = $getter:expr, set $set:ty = $setter:expr;
    )+) => {
        /// How the provider reaches flagd, and how it behaves while it does not.
        ///
        /// Made by [`FlagdOptions::builder`]. Option by option a value set in the program comes
        /// before the environment, and the environment before the default. A program that sets any
        /// of host, port, target URI or socket path takes none of these from the environment.
        ///
        /// Names, variables and defaults are those of the [flagd provider specification], where it
        /// has them; [`FlagdOptions::TABLE`] lists them all.
        ///
        /// # Proxies
        ///
        /// Connections to flagd do not use the proxies in the environment variables `HTTPS_PROXY`,
        /// `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`. To reach flagd through a proxy of gRPC, such as
        /// Envoy or nginx, set `targetUri` to `envoy://proxy:port/authority`, where `authority` is the
        /// name by which the proxy knows flagd; to reach it through a process on the same machine,
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
            /// No text can hold it, so that it is no row.
            #[cfg_attr(not(feature = "in-process"), allow(dead_code))]
            enricher: Enricher,
            /// As above.
            #[cfg(feature = "tls")]
            tls_config: Option<Box<rustls::ClientConfig>>,
        }

        /// The rows of the table, each by the name of its field.
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
            /// Every option: name, environment variable, type, default, meaning.
            pub const TABLE: &'static [OptionInfo] = &[$(row::$field()),+];

            $(
                $(#[doc = $meaning])+
                #[must_use]
                pub fn $field(&self) -> $get {
                    let get: fn(&$type) -> $get = $getter;
                    get(&self.$field)
                }
            )+

            #[cfg(feature = "in-process")]
            pub(crate) fn enricher(&self) -> &Enricher {
                &self.enricher
            }

            #[cfg(feature = "tls")]
            pub(crate) fn tls_config(&self) -> Option<&rustls::ClientConfig> {
                self.tls_config.as_deref()
            }

            /// The same options for another resolver.
            pub(crate) fn with_resolver(self, resolver: Resolver) -> Self {
                Self { resolver, ..self }
            }
        }

        /// Collects options; [`build`](Self::build) completes and checks them.
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

            /// What is not set comes from the environment, or is the default.
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

    /// The port of flagd. Evaluation in process has the default 8015, and reads `FLAGD_SYNC_PORT`
    /// first.
    port: u16,
        name "port", variable "FLAGD_PORT", kind "1 to 65535",
        default "8013", read read::port,
        get u16 = copied, set u16 = identity;

    /// Where flagd is, in place of host, port and socket path: `dns:///host:port`, `host:port`,
    /// `unix:///path` or `envoy://host:port/authority`
    /// ([specification](https://flagd.dev/reference/specifications/providers/#custom-name-resolution)).
    /// A host alone has the port of the option `port`.
    target_uri: Option<String>,
        name "targetUri", variable "FLAGD_TARGET_URI", kind "URI",
        default "", read read::optional_text,
        get Option<&str> = Option::as_deref, set impl Into<String> = |text| Some(Into::into(text));

    /// Encrypt the connection with TLS, and authenticate flagd by its certificate. Without it the
    /// options about certificates have no effect, and headers travel in clear text.
    tls: bool,
        name "tls", variable "FLAGD_TLS", kind "`true` or `false`",
        default "false", read read::boolean,
        get bool = copied, set bool = identity;

    /// A unix socket of flagd, in place of host and port.
    socket_path: Option<PathBuf>,
        name "socketPath", variable "FLAGD_SOCKET_PATH", kind "path",
        default "", read read::optional_path,
        get Option<&Path> = Option::as_deref, set impl Into<PathBuf> = |path| Some(Into::into(path));

    /// A PEM file with the certificate authorities to trust in place of the system's. It is read
    /// again at each connection.
    cert_path: Option<PathBuf>,
        name "certPath", variable "FLAGD_SERVER_CERT_PATH", kind "path",
        default "", read read::optional_path,
        get Option<&Path> = Option::as_deref, set impl Into<PathBuf> = |path| Some(Into::into(path));

    /// A PEM file with the certificate chain that this client shows (mutual TLS), its own
    /// certificate first. It is read again at each connection.
    client_cert_path: Option<PathBuf>,
        name "clientCertPath", variable "FLAGD_CLIENT_CERT_PATH", kind "path",
        default "", read read::optional_path,
        get Option<&Path> = Option::as_deref, set impl Into<PathBuf> = |path| Some(Into::into(path));

    /// A PEM file with the private key of `clientCertPath`, not encrypted. It is read again at each
    /// connection.
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

    /// Headers to send with each call, such as `authorization`. Values are taken for secrets and
    /// never shown. The variable cannot hold a value with a comma.
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

    /// How long a unary call may take as a whole, and initialization; 0 leaves calls unbounded, and
    /// initialization ends with the first attempt, after 500 ms at most.
    deadline: Duration,
        name "deadlineMs", variable "FLAGD_DEADLINE_MS", kind "ms",
        default "500", read read::millis,
        get Duration = copied, set Duration = identity;

    /// How many calls in a row may go unanswered, over at least two `deadlineMs`, before flagd counts
    /// as hanging: then one call at a time is made while the others fail at once, until one is
    /// answered, and the event stream is opened anew. 0 is never, and so is it without a deadline.
    max_unanswered_calls: u32,
        name "maxUnansweredCalls", variable "FLAGD_MAX_UNANSWERED_CALLS", kind "count",
        default "5", read read::count,
        get u32 = copied, set u32 = identity;

    /// How long an event stream lives before the next one replaces it; 0 is without end.
    stream_deadline: Duration,
        name "streamDeadlineMs", variable "FLAGD_STREAM_DEADLINE_MS", kind "ms",
        default "600000", read read::millis,
        get Duration = copied, set Duration = identity;

    /// How long an event stream may be silent before it counts as lost; 0 is without end. In force
    /// once the server has shown that it sends `keep_alive`; flagd does every 20 s, so that less
    /// than that takes a flagd that is well for lost.
    stream_idle: Duration,
        name "streamIdleMs", variable "FLAGD_STREAM_IDLE_MS", kind "ms",
        default "60000", read read::millis,
        get Duration = copied, set Duration = identity;

    /// Interval of HTTP/2 pings; 0 is off. A connection that leaves a ping unanswered for 20 s is
    /// lost. Servers may close connections that ping often.
    keep_alive_time: Duration,
        name "keepAliveTime", variable "FLAGD_KEEP_ALIVE_TIME_MS", kind "ms",
        default "0", read read::millis,
        get Duration = copied, set Duration = identity;

    /// Whether results that depend on no context (reason STATIC) are
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

    /// How many attempts in a row to open the event stream again may fail before STALE becomes
    /// ERROR; `-1`, or `None` in the program, is without limit. Attempts go on all the same.
    max_event_stream_retries: Option<u32>,
        name "maxEventStreamRetries", variable "FLAGD_MAX_EVENT_STREAM_RETRIES",
        kind "count, `-1` or `unlimited`",
        default "5", read read::retries,
        get Option<u32> = copied, set impl Into<Option<u32>> = Into::into;

    /// The delay before the first
    /// [reconnection](https://flagd.dev/reference/specifications/providers/#stream-reconnection);
    /// each failure doubles it, and up to a half is left out at random.
    retry_backoff: Duration,
        name "retryBackoffMs", variable "FLAGD_RETRY_BACKOFF_MS", kind "ms, at least 1",
        default "1000", read read::millis,
        get Duration = copied, set Duration = identity;

    /// The longest delay before a reconnection. An attempt may take as long itself, though not more
    /// than 20 s; the first may take `deadlineMs` where that is longer.
    retry_backoff_max: Duration,
        name "retryBackoffMaxMs", variable "FLAGD_RETRY_BACKOFF_MAX_MS", kind "ms, at least 1",
        default "5000", read read::millis,
        get Duration = copied, set Duration = identity;

    /// How long the provider is STALE, and answers from the cache, before it is in ERROR
    /// ([specification](https://flagd.dev/reference/specifications/providers/#flagd-provider-lifecycle));
    /// 0 is ERROR at once.
    retry_grace_period: Duration,
        name "retryGracePeriod", variable "FLAGD_RETRY_GRACE_PERIOD", kind "s",
        default "10", read read::seconds,
        get Duration = copied, set Duration = identity;

    /// What evaluation in process calls itself before flagd, which may tell providers apart by it.
    provider_id: Option<String>,
        name "providerId", variable "FLAGD_PROVIDER_ID", kind "string",
        default "", read read::optional_text,
        get Option<&str> = Option::as_deref, set impl Into<String> = |text| Some(Into::into(text));

    /// A file with flag definitions, YAML if it is called `.yaml` or `.yml`, else JSON. With it the
    /// resolver `in-process` is `file`, which needs it.
    offline_flag_source_path: Option<PathBuf>,
        name "offlineFlagSourcePath", variable "FLAGD_OFFLINE_FLAG_SOURCE_PATH", kind "path",
        default "", read read::optional_path,
        get Option<&Path> = Option::as_deref, set impl Into<PathBuf> = |path| Some(Into::into(path));

    /// How often that file is read. Where the system can watch files, a change is noticed at once.
    offline_poll_interval: Duration,
        name "offlinePollIntervalMs", variable "FLAGD_OFFLINE_POLL_MS", kind "ms, at least 1",
        default "5000", read read::millis,
        get Duration = copied, set Duration = identity;

    /// The generation of `fractional` for evaluation in process and from a file, which decides who
    /// gets which variant: that of flagd to 0.16 (`string`), or that of the coming flagd 1.0 (`cbor`).
    bucketing: Bucketing,
        name "bucketing", variable "FLAGD_BUCKETING", kind "`string` or `cbor`",
        default "string", read read::bucketing,
        get Bucketing = copied, set Bucketing = identity;

    /// Names of the gRPC status codes, such as `PERMISSION_DENIED`, with which a provider that never
    /// was ready gives up for good
    /// ([specification](https://flagd.dev/reference/specifications/providers/#fatal-status-codes)).
    fatal_status_codes: Vec<String>,
        name "fatalStatusCodes", variable "FLAGD_FATAL_STATUS_CODES", kind "`NAME,...`",
        default "", read read::names,
        get &[String] = Vec::as_slice,
        set impl IntoIterator<Item = impl Into<String>> = texts;
}

fn copied<T: Copy>(value: &T) -> T {
    *value
}

fn texts(texts: impl IntoIterator<Item = impl Into<String>>) -> Vec<String> {
    texts.into_iter().map(Into::into).collect()
}
