//! The options of the provider by the names and types that the features use.

use std::{fmt::Debug, path::Path, str::FromStr, time::Duration};

use flagstaff::{
    FlagdOptions,
    flagd::{CacheType, FlagdOptionsBuilder, Resolver},
};

/// A type, as a step names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Integer,
    Text,
    Boolean,
    Resolver,
    Cache,
    List,
}

impl FromStr for Type {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "Integer" | "Long" => Ok(Self::Integer),
            "String" => Ok(Self::Text),
            "Boolean" => Ok(Self::Boolean),
            "ResolverType" => Ok(Self::Resolver),
            "CacheType" => Ok(Self::Cache),
            "StringList" => Ok(Self::List),
            _ => Err(format!("no option is of type {name}")),
        }
    }
}

/// The value of an option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Null,
    Integer(i128),
    Text(String),
    Boolean(bool),
    Resolver(Resolver),
    Cache(CacheType),
    List(Vec<String>),
}

impl Value {
    pub(crate) fn parse(kind: Type, text: &str) -> Result<Self, String> {
        let invalid = || format!("`{text}` is not a valid {kind:?}");
        Ok(match (kind, text.to_ascii_lowercase().as_str()) {
            (Type::Text, "null") => Self::Null,
            (Type::Text, _) => Self::Text(text.to_owned()),
            (Type::Integer, _) => Self::Integer(text.parse().map_err(|_| invalid())?),
            (Type::Boolean, "true") => Self::Boolean(true),
            (Type::Boolean, "false") => Self::Boolean(false),
            (Type::Resolver, "rpc") => Self::Resolver(Resolver::Rpc),
            (Type::Resolver, "in-process") => Self::Resolver(Resolver::InProcess),
            (Type::Resolver, "file") => Self::Resolver(Resolver::File),
            (Type::Cache, "lru") => Self::Cache(CacheType::Lru),
            (Type::Cache, "disabled") => Self::Cache(CacheType::Disabled),
            (Type::List, _) => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                Self::List(items.map(str::to_owned).collect())
            }
            (Type::Boolean | Type::Resolver | Type::Cache, _) => return Err(invalid()),
        })
    }

    fn integer<T: TryFrom<i128>>(self) -> Result<T, String> {
        match self {
            Self::Integer(value) => {
                T::try_from(value).map_err(|_| format!("{value} is out of range"))
            }
            other => Err(other.is_no("integer")),
        }
    }

    fn millis(self) -> Result<Duration, String> {
        self.integer().map(Duration::from_millis)
    }

    fn seconds(self) -> Result<Duration, String> {
        self.integer().map(Duration::from_secs)
    }

    fn retries(self) -> Result<Option<u32>, String> {
        match self {
            Self::Integer(-1) => Ok(None),
            other => other.integer().map(Some),
        }
    }

    fn text(self) -> Result<String, String> {
        if let Self::Text(value) = self { Ok(value) } else { Err(self.is_no("string")) }
    }

    fn boolean(self) -> Result<bool, String> {
        if let Self::Boolean(value) = self { Ok(value) } else { Err(self.is_no("boolean")) }
    }

    fn resolver(self) -> Result<Resolver, String> {
        if let Self::Resolver(value) = self { Ok(value) } else { Err(self.is_no("resolver")) }
    }

    fn cache(self) -> Result<CacheType, String> {
        if let Self::Cache(value) = self { Ok(value) } else { Err(self.is_no("type of cache")) }
    }

    fn list(self) -> Result<Vec<String>, String> {
        if let Self::List(value) = self { Ok(value) } else { Err(self.is_no("list")) }
    }

    fn is_no(&self, wanted: &str) -> String {
        format!("{self:?} is not a {wanted}")
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<&Path> for Value {
    fn from(value: &Path) -> Self {
        Self::Text(value.display().to_string())
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

fn integer(value: impl Into<i128>) -> Value {
    Value::Integer(value.into())
}

fn millis(value: Duration) -> Value {
    Value::Integer(value.as_millis().try_into().unwrap())
}

fn seconds(value: Duration) -> Value {
    Value::Integer(value.as_secs().into())
}

/// How one option is set and read back.
pub(crate) struct Row {
    name: &'static str,
    pub(crate) set: fn(FlagdOptionsBuilder, Value) -> Result<FlagdOptionsBuilder, String>,
    pub(crate) get: fn(&FlagdOptions) -> Value,
}

/// The option of that name.
pub(crate) fn row(name: &str) -> Result<&'static Row, String> {
    let row = TABLE.iter().find(|row| row.name == name);
    row.ok_or_else(|| format!("there is no option `{name}`"))
}

macro_rules! table {
    ($($name:literal: |$builder:ident, $value:ident| $set:expr, |$options:ident| $get:expr;)+) => {
        const TABLE: &[Row] = &[$(Row {
            name: $name,
            set: |$builder, $value| Ok($set),
            get: |$options| $get,
        }),+];
    };
}

table! {
    "resolver": |b, v| b.resolver(v.resolver()?), |o| Value::Resolver(o.resolver());
    "host": |b, v| b.host(v.text()?), |o| o.host().into();
    "port": |b, v| b.port(v.integer()?), |o| integer(o.port());
    "targetUri": |b, v| b.target_uri(v.text()?), |o| o.target_uri().into();
    "tls": |b, v| b.tls(v.boolean()?), |o| Value::Boolean(o.tls());
    "socketPath": |b, v| b.socket_path(v.text()?), |o| o.socket_path().into();
    "certPath": |b, v| b.cert_path(v.text()?), |o| o.cert_path().into();
    "clientCertPath": |b, v| b.client_cert_path(v.text()?), |o| o.client_cert_path().into();
    "clientKeyPath": |b, v| b.client_key_path(v.text()?), |o| o.client_key_path().into();
    "defaultAuthority": |b, v| b.authority(v.text()?), |o| o.authority().into();
    "selector": |b, v| b.selector(v.text()?), |o| o.selector().into();
    "deadlineMs": |b, v| b.deadline(v.millis()?), |o| millis(o.deadline());
    "streamDeadlineMs": |b, v| b.stream_deadline(v.millis()?), |o| millis(o.stream_deadline());
    "streamIdleMs": |b, v| b.stream_idle(v.millis()?), |o| millis(o.stream_idle());
    "keepAliveTime": |b, v| b.keep_alive_time(v.millis()?), |o| millis(o.keep_alive_time());
    "cache": |b, v| b.cache(v.cache()?), |o| Value::Cache(o.cache());
    "maxCacheSize": |b, v| b.max_cache_size(v.integer()?),
        |o| integer(i64::try_from(o.max_cache_size()).unwrap());
    "maxEventStreamRetries": |b, v| b.max_event_stream_retries(v.retries()?),
        |o| o.max_event_stream_retries().map_or(Value::Integer(-1), integer);
    "providerId": |b, v| b.provider_id(v.text()?), |o| o.provider_id().into();
    "offlineFlagSourcePath": |b, v| b.offline_flag_source_path(v.text()?),
        |o| o.offline_flag_source_path().into();
    "offlinePollIntervalMs": |b, v| b.offline_poll_interval(v.millis()?),
        |o| millis(o.offline_poll_interval());
    "retryBackoffMs": |b, v| b.retry_backoff(v.millis()?), |o| millis(o.retry_backoff());
    "retryBackoffMaxMs": |b, v| b.retry_backoff_max(v.millis()?), |o| millis(o.retry_backoff_max());
    "retryGracePeriod": |b, v| b.retry_grace_period(v.seconds()?),
        |o| seconds(o.retry_grace_period());
    "fatalStatusCodes": |b, v| b.fatal_status_codes(v.list()?),
        |o| Value::List(o.fatal_status_codes().to_vec());
}
