//! Where flags come from: parses and validates `--uri` and `--sources`.
//!
//! Both are flagd's. `--uri` is short, and its scheme says what it is; `--sources` is a JSON
//! array, whose objects can say more:
//!
//! ```json
//! [{"uri": "flags.json", "provider": "file"},
//!  {"uri": "https://flags.example/all.json", "provider": "http", "interval": 30,
//!   "bearerToken": "..."},
//!  {"uri": "flagd:8015", "provider": "grpc", "tls": true, "selector": "flagSetId=shop"}]
//! ```
//!
//! The result of both is a [`Source`], from which [`open`](super::open) makes one that can be
//! read.
//!
//! flagd ignores a field that is misspelled or does not apply to the provider. Here it is an
//! error: without the `tls` or `selector` that was meant, the server would run, but read in
//! plain text or serve the wrong flags. A field of flagd's that can be ignored without harm
//! logs a warning.
//!
//! # Secrets
//!
//! A URI can contain a password or a token, and `--sources` also headers. An error therefore
//! quotes a URI only as [`shown`], and of `--sources` only the names of fields and the
//! provider; [`Source`] does not print the rest even with `Debug`.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use flagstaff::http::public_name;
use http::HeaderValue;
use serde_json::{Map, Value as Json};

use crate::excerpt::excerpt;

/// A source of flags that is valid, but not opened yet.
///
/// [`check`](Self::check) has made sure that no field is set that does not apply to the kind.
#[derive(Clone, Default, PartialEq)]
pub(super) struct Source {
    /// What `uri` is.
    pub(super) kind: Kind,
    /// The path of a file, a URL, or the target of a sync stream. Never empty.
    pub(super) uri: String,
    /// Whether a sync stream is encrypted. With `cert_path`, it is in any case.
    pub(super) tls: bool,
    /// The PEM file of the certificate authorities to trust.
    pub(super) cert_path: Option<String>,
    /// The id that is sent in the request for a sync stream.
    pub(super) provider_id: Option<String>,
    /// Restricts a sync stream to a flag set or source.
    pub(super) selector: Option<String>,
    /// How often a file or URL is read, in seconds, at least 1. `None` is the default of the
    /// kind.
    pub(super) interval: Option<u32>,
    /// The value of the header `authorization`, which is a secret: that of `authHeader`, or
    /// `Bearer` and the token of `bearerToken`.
    pub(super) authorization: Option<String>,
    /// Headers of each request, whose values are secrets.
    pub(super) headers: BTreeMap<String, String>,
}

/// Prints nothing that may be secret: the names of headers, and not their values.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("kind", &self.kind)
            .field("uri", &self.shown())
            .field("headers", &self.headers.keys())
            .finish_non_exhaustive()
    }
}

/// What kind of source it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    /// A file: `file`, or flagd's names `fileinfo` and `fsnotify` for two ways of watching it,
    /// which make no difference here.
    #[default]
    File,
    /// A URL that is polled: `http`.
    Http,
    /// The sync stream of flagd, flagstaff, or a server like them: `grpc`.
    Grpc,
}

/// The schemes of `--uri`, for errors.
const SCHEMES: &str = "`file:`, `http://`, `https://`, `grpc://` or `grpcs://`";

/// How those of flagd's URIs begin that name Kubernetes resources and cloud storage. They are
/// told apart from mistakes, for a better error.
const STORES: [&str; 5] =
    ["core.openfeature.dev/", "core.openfeature.dev:", "s3://", "gs://", "azblob://"];

/// Parses one URI of `--uri`.
///
/// | URI | Kind | What is kept as `uri` |
/// |---|---|---|
/// | `file:flags.json` | [`Kind::File`] | the path |
/// | `http://...`, `https://...` | [`Kind::Http`] | the URL |
/// | `grpc://host:port`, `grpcs://host:port` | [`Kind::Grpc`] | `host:port` |
/// | `dns:...`, `unix:...`, `envoy://...` | [`Kind::Grpc`] | the whole, a target |
///
/// # Errors
///
/// The scheme is not supported, or nothing follows it, or a target has parts that it cannot
/// have.
pub(super) fn from_uri(text: &str) -> Result<Source, String> {
    let shown = shown(text);
    let source = |kind, uri: &str| Source { kind, uri: uri.to_owned(), ..Source::default() };
    let found = if let Some(path) = text.strip_prefix("file:") {
        source(Kind::File, path)
    } else if text.starts_with("http://") || text.starts_with("https://") {
        source(Kind::Http, text)
    } else if let Some(target) = text.strip_prefix("grpc://") {
        source(Kind::Grpc, target)
    } else if let Some(target) = text.strip_prefix("grpcs://") {
        Source { tls: true, ..source(Kind::Grpc, target) }
    } else if text.starts_with("envoy://") || text.starts_with("dns:") || text.starts_with("unix:")
    {
        source(Kind::Grpc, text)
    } else if STORES.iter().any(|store| text.starts_with(store)) {
        return Err(format!("source `{shown}` is not supported; use {SCHEMES}"));
    } else {
        return Err(format!("source `{shown}` must begin with {SCHEMES}"));
    };
    if found.uri.is_empty() {
        return Err(format!("source `{shown}` has no path or address"));
    }
    match found.check() {
        Ok(()) => Ok(found),
        Err(error) => Err(format!("source `{shown}`: {error}")),
    }
}

/// What a message shows of a URI: a path as it is, and of anything else no user, password,
/// query or fragment. Like every quotation, it is short and has no control characters.
pub(super) fn shown(uri: &str) -> Cow<'_, str> {
    if uri.starts_with("file:") {
        return excerpt(uri);
    }
    excerpt(&public_name(uri)).into_owned().into()
}

/// Parses the JSON array of `--sources`.
///
/// # Errors
///
/// The text is not a JSON array of objects, or one of the objects is not a valid source; the
/// error says which one, counted from 1. Values are not quoted, since some are secrets, except
/// for the name of an unknown provider.
pub(super) fn from_json(text: &str) -> Result<Vec<Source>, String> {
    const INVALID: &str = "--sources is not a JSON array of objects";
    let list: Json = serde_json::from_str(text).map_err(|error| format!("{INVALID}: {error}"))?;
    let Json::Array(list) = list else { return Err(INVALID.to_owned()) };
    let numbered = list.into_iter().enumerate();
    numbered
        .map(|(index, source)| {
            let Json::Object(fields) = source else { return Err(INVALID.to_owned()) };
            from_fields(fields).map_err(|error| format!("--sources, number {}: {error}", index + 1))
        })
        .collect()
}

/// The field `headers`: an object of strings.
fn headers(fields: Json) -> Result<BTreeMap<String, String>, &'static str> {
    // serde_json's error may quote a value.
    serde_json::from_value(fields).map_err(|_| "`headers` must be an object of strings")
}

/// Checks that a value can be sent in a header. A token that was read from a file often ends
/// in a line break, and the error says so.
fn authorization(field: &str, value: String) -> Result<String, String> {
    match HeaderValue::from_str(&value) {
        Ok(_) => Ok(value),
        Err(_) => Err(format!(
            "`{field}` is not a valid header value: remove line breaks and other control characters"
        )),
    }
}

/// Parses one object of `--sources`. Names of fields are case-sensitive.
fn from_fields(fields: Map<String, Json>) -> Result<Source, String> {
    let (mut source, mut provider) = (Source::default(), String::new());
    let text = |name: &str, value: Json| match value {
        Json::String(text) => Ok(text),
        _ => Err(format!("`{name}` must be a string")),
    };
    for (name, value) in fields {
        match &*name {
            "uri" => source.uri = text(&name, value)?,
            "provider" => provider = text(&name, value)?,
            "certPath" => source.cert_path = Some(text(&name, value)?),
            "providerID" => source.provider_id = Some(text(&name, value)?),
            "selector" => source.selector = Some(text(&name, value)?),
            "authHeader" | "bearerToken" if source.authorization.is_some() => {
                return Err("set either `authHeader` or `bearerToken`, not both".to_owned());
            }
            "authHeader" => source.authorization = Some(authorization(&name, text(&name, value)?)?),
            "bearerToken" => {
                let value = format!("Bearer {}", text(&name, value)?);
                source.authorization = Some(authorization(&name, value)?);
            }
            "tls" => source.tls = value.as_bool().ok_or("`tls` must be true or false")?,
            "interval" => {
                let seconds = value.as_u64().and_then(|seconds| u32::try_from(seconds).ok());
                let seconds = seconds.filter(|seconds| *seconds > 0);
                source.interval = Some(
                    seconds.ok_or("`interval` must be a whole number of seconds, at least 1")?,
                );
            }
            "headers" => source.headers = headers(value)?,
            // They only change how flagd reads a source.
            "maxMsgSize" | "intervalSeed" => without_effect(&name),
            "incrementalUpdates" if value == false => without_effect(&name),
            _ => return Err(format!("`{}` is not supported", excerpt(&name))),
        }
    }
    source.kind = match &*provider {
        "file" | "fileinfo" | "fsnotify" => Kind::File,
        "http" => Kind::Http,
        "grpc" => Kind::Grpc,
        "" => return Err("`provider` is missing".to_owned()),
        _ => {
            let provider = excerpt(&provider);
            return Err(format!("provider `{provider}` is not supported; use file, http or grpc"));
        }
    };
    source.check().map(|()| source)
}

/// Warns of a field that is flagd's and is ignored here.
fn without_effect(field: &str) {
    tracing::warn!(field, "a field of --sources has no effect");
}

impl Source {
    /// The URI as messages quote it.
    pub(super) fn shown(&self) -> Cow<'_, str> {
        if self.kind == Kind::File { excerpt(&self.uri) } else { shown(&self.uri) }
    }

    /// Checks that the fields that are set apply to the kind, and that there is a URI.
    fn check(&self) -> Result<(), String> {
        let grpc = self.kind == Kind::Grpc;
        for (given, fits, name) in [
            (self.tls, grpc, "tls"),
            (self.cert_path.is_some(), self.kind != Kind::File, "certPath"),
            (self.provider_id.is_some(), grpc, "providerID"),
            (self.selector.is_some(), grpc, "selector"),
            (self.interval.is_some(), !grpc, "interval"),
            (self.authorization.is_some(), self.kind == Kind::Http, "authHeader or bearerToken"),
            (!self.headers.is_empty(), self.kind != Kind::File, "headers"),
        ] {
            if given && !fits {
                return Err(format!("`{name}` does not apply to this provider"));
            }
        }
        if self.uri.is_empty() {
            return Err("`uri` is missing".to_owned());
        }
        // These parts may be secrets, and the library's errors about a target quote it whole.
        if grpc && !self.uri.starts_with("unix:") {
            if self.uri.contains('@') {
                return Err("a gRPC target cannot have a user name or password".to_owned());
            }
            if self.uri.contains(['?', '#']) {
                return Err("a gRPC target cannot have a query or fragment".to_owned());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_name_the_kind() {
        for (text, kind, uri, tls) in [
            ("file:flags.json", Kind::File, "flags.json", false),
            ("file:/etc/flags.yaml", Kind::File, "/etc/flags.yaml", false),
            ("http://a/b", Kind::Http, "http://a/b", false),
            ("https://a/b", Kind::Http, "https://a/b", false),
            ("grpc://h:1", Kind::Grpc, "h:1", false),
            ("grpcs://h:1", Kind::Grpc, "h:1", true),
            ("envoy://h:1/service", Kind::Grpc, "envoy://h:1/service", false),
        ] {
            let expected = Source { kind, uri: uri.to_owned(), tls, ..Source::default() };
            assert_eq!(from_uri(text), Ok(expected), "{text}");
        }
        for text in ["flags.json", "", "file:", "s3://b/o", "gs://b", "core.openfeature.dev/n/f"] {
            from_uri(text).unwrap_err();
        }
        for text in ["grpc://ann:hush@h:1", "envoy://ann:hush@h:1/service", "s3://ann:hush@b/o"] {
            let error = from_uri(text).unwrap_err();
            assert!(!error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        for (uri, expected) in [
            ("http://ann:hush@host:1/a@b", "http://host:1/a@b"),
            ("http://host/a?sig=hush#hush", "http://host/a"),
            ("file:a@b?c#d.json", "file:a@b?c#d.json"),
        ] {
            assert_eq!(shown(uri), expected);
        }
        for (kind, uri, expected) in
            [(Kind::File, "a?b#c@d.json", "a?b#c@d.json"), (Kind::Http, "host/a?sig=hush", "…")]
        {
            let source = Source {
                kind,
                uri: uri.to_owned(),
                authorization: Some("hush".to_owned()),
                headers: BTreeMap::from([("x-key".to_owned(), "hush".to_owned())]),
                ..Source::default()
            };
            assert_eq!(source.shown(), expected);
            let debug = format!("{source:?}");
            assert!(!debug.contains("hush") && debug.contains("x-key"), "{debug}");
        }
    }

    #[test]
    fn a_json_list_says_more() {
        let text = r#"[
            {"uri": "a.json", "provider": "fsnotify"},
            {"uri": "h:1", "provider": "grpc", "tls": true, "certPath": "ca.pem", "providerID": "p", "selector": "source=x"},
            {"uri": "https://a", "provider": "http", "interval": 5, "bearerToken": "t",
                "headers": {"x-key": "k"}, "maxMsgSize": 5, "intervalSeed": 1,
                "incrementalUpdates": false}
        ]"#;
        let [file, grpc, http] = <[Source; 3]>::try_from(from_json(text).unwrap()).unwrap();
        assert_eq!(file, Source { uri: "a.json".to_owned(), ..Source::default() });
        assert_eq!((grpc.kind, grpc.tls), (Kind::Grpc, true));
        assert_eq!(grpc.selector.as_deref(), Some("source=x"));
        assert_eq!((http.interval, http.authorization.as_deref()), (Some(5), Some("Bearer t")));
        assert_eq!(http.headers, BTreeMap::from([("x-key".to_owned(), "k".to_owned())]));
    }

    #[test]
    fn what_is_not_understood_is_refused_and_no_secret_shown() {
        for (text, message) in [
            ("{}", "not a JSON array"),
            (r#""https://ann:hush@host""#, "not a JSON array"),
            (r#"["https://ann:hush@host"]"#, "not a JSON array"),
            (r#"[{"uri": "a", "provider": "http", "headers": {"k": ["hush"]}}]"#, "`headers` must"),
            (r#"[{"uri": "a", "provider": "http", "headers": "hush"}]"#, "`headers` must"),
            (
                r#"[{"uri": "a", "provider": "file", "headers": {"k": "hush"}}]"#,
                "`headers` does not apply",
            ),
            (
                r#"[{"uri": "a", "provider": "grpc", "incrementalUpdates": true}]"#,
                "`incrementalUpdates` is not",
            ),
            (r#"[{"uri": "a"}]"#, "`provider` is missing"),
            (r#"[{"provider": "file"}]"#, "`uri` is missing"),
            (r#"[{"uri": "a", "provider": "s3"}]"#, "`s3` is not supported"),
            (r#"[{"uri": "a", "provider": "file", "tls": true}]"#, "`tls` does not apply"),
            (r#"[{"uri": "a", "provider": "http", "interval": 0}]"#, "`interval` must be"),
            (
                r#"[{"uri": "a", "provider": "http", "oauth": {"secret": "hush"}}]"#,
                "`oauth` is not",
            ),
            (
                r#"[{"uri": "a", "provider": "http", "authHeader": "hush", "bearerToken": "hush"}]"#,
                "not both",
            ),
            (
                r#"[{"uri": "a", "provider": "http", "authHeader": "hush\n"}]"#,
                "`authHeader` is not",
            ),
            (
                r#"[{"uri": "a", "provider": "http", "bearerToken": "hush\r\n"}]"#,
                "`bearerToken` is",
            ),
            (r#"[{"uri": "a", "provider": "http", "bearerToken": "hu\u0000sh"}]"#, "valid header"),
        ] {
            let error = from_json(text).unwrap_err();
            assert!(error.contains(message), "{error}");
            assert!(!error.contains("hush"), "{error}");
        }
    }
}
