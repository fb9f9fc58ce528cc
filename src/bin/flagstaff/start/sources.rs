//! Where flags come from, as `--uri` and `--sources` say it.

use serde_json::{Map, Value as Json};

/// A source of flags, not opened yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Source {
    pub(super) kind: Kind,
    /// A path, a URL or a target. Selectors know the source by it.
    pub(super) uri: String,
    pub(super) tls: bool,
    pub(super) cert_path: Option<String>,
    pub(super) provider_id: Option<String>,
    pub(super) selector: Option<String>,
    /// In seconds.
    pub(super) interval: Option<u32>,
    /// The value of the header `authorization`.
    pub(super) authorization: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    #[default]
    File,
    Http,
    Grpc,
}

const SCHEMES: &str = "`file:`, `http://`, `https://`, `grpc://` or `grpcs://`";

/// How flagd's URIs begin that name other stores.
const STORES: [&str; 5] =
    ["core.openfeature.dev/", "core.openfeature.dev:", "s3://", "gs://", "azblob://"];

/// A source of `--uri`.
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
        return Err(format!("source `{shown}` is of a kind that is not supported; use {SCHEMES}"));
    } else {
        return Err(format!("source `{shown}` must begin with {SCHEMES}"));
    };
    if found.uri.is_empty() {
        return Err(format!("source `{shown}` names nothing"));
    }
    match found.check() {
        Ok(()) => Ok(found),
        Err(error) => Err(format!("source `{shown}`: {error}")),
    }
}

/// The URI without a user's name and password.
pub(super) fn shown(uri: &str) -> String {
    let Some(start) = uri.find("://").map(|index| index + 3) else { return uri.to_owned() };
    let end = uri[start..].find('/').map_or(uri.len(), |length| start + length);
    match uri[start..end].rfind('@') {
        Some(index) => format!("{}{}", &uri[..start], &uri[start + index + 1..]),
        None => uri.to_owned(),
    }
}

/// The sources of `--sources`. Errors show no values, of which some are secrets.
pub(super) fn from_json(text: &str) -> Result<Vec<Source>, String> {
    let list: Vec<Map<String, Json>> = serde_json::from_str(text)
        .map_err(|error| format!("--sources is no JSON list of objects: {error}"))?;
    let numbered = list.into_iter().enumerate();
    numbered
        .map(|(index, fields)| {
            from_fields(fields).map_err(|error| format!("--sources, number {}: {error}", index + 1))
        })
        .collect()
}

fn from_fields(fields: Map<String, Json>) -> Result<Source, String> {
    let (mut source, mut provider) = (Source::default(), String::new());
    let text = |name: &str, value: Json| match value {
        Json::String(text) => Ok(text),
        _ => Err(format!("`{name}` must be a text")),
    };
    for (name, value) in fields {
        match &*name {
            "uri" => source.uri = text(&name, value)?,
            "provider" => provider = text(&name, value)?,
            "certPath" => source.cert_path = Some(text(&name, value)?),
            "providerID" => source.provider_id = Some(text(&name, value)?),
            "selector" => source.selector = Some(text(&name, value)?),
            "authHeader" | "bearerToken" if source.authorization.is_some() => {
                return Err("`authHeader` and `bearerToken` exclude each other".to_owned());
            }
            "authHeader" => source.authorization = Some(text(&name, value)?),
            "bearerToken" => {
                source.authorization = Some(format!("Bearer {}", text(&name, value)?));
            }
            "tls" => source.tls = value.as_bool().ok_or("`tls` must be true or false")?,
            "interval" => {
                let seconds = value.as_u64().and_then(|seconds| u32::try_from(seconds).ok());
                let seconds = seconds.filter(|seconds| *seconds > 0);
                source.interval = Some(seconds.ok_or("`interval` must be a number of seconds")?);
            }
            _ => return Err(format!("`{name}` is not supported")),
        }
    }
    source.kind = match &*provider {
        "file" | "fileinfo" | "fsnotify" => Kind::File,
        "http" => Kind::Http,
        "grpc" => Kind::Grpc,
        "" => return Err("`provider` is missing".to_owned()),
        _ => {
            return Err(format!("provider `{provider}` is not supported; use file, http or grpc"));
        }
    };
    source.check().map(|()| source)
}

impl Source {
    /// Each field must mean something to the kind.
    fn check(&self) -> Result<(), String> {
        let grpc = self.kind == Kind::Grpc;
        for (given, fits, name) in [
            (self.tls, grpc, "tls"),
            (self.cert_path.is_some(), self.kind != Kind::File, "certPath"),
            (self.provider_id.is_some(), grpc, "providerID"),
            (self.selector.is_some(), grpc, "selector"),
            (self.interval.is_some(), !grpc, "interval"),
            (self.authorization.is_some(), self.kind == Kind::Http, "authHeader or bearerToken"),
        ] {
            if given && !fits {
                return Err(format!("`{name}` has no meaning for this provider"));
            }
        }
        if self.uri.is_empty() {
            return Err("`uri` is missing".to_owned());
        }
        if grpc && !self.uri.starts_with("unix:") && self.uri.contains('@') {
            return Err("gRPC takes no user name and password".to_owned());
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
    fn users_are_not_shown() {
        for (uri, expected) in [
            ("http://ann:hush@host:1/a@b", "http://host:1/a@b"),
            ("http://host/a@b", "http://host/a@b"),
            ("https://ann:h@sh@host", "https://host"),
            ("file:a@b.json", "file:a@b.json"),
        ] {
            assert_eq!(shown(uri), expected);
        }
    }

    #[test]
    fn a_json_list_says_more() {
        let text = r#"[
            {"uri": "a.json", "provider": "fsnotify"},
            {"uri": "h:1", "provider": "grpc", "tls": true, "certPath": "ca.pem", "providerID": "p", "selector": "source=x"},
            {"uri": "https://a", "provider": "http", "interval": 5, "bearerToken": "t"}
        ]"#;
        let [file, grpc, http] = <[Source; 3]>::try_from(from_json(text).unwrap()).unwrap();
        assert_eq!(file, Source { uri: "a.json".to_owned(), ..Source::default() });
        assert_eq!((grpc.kind, grpc.tls), (Kind::Grpc, true));
        assert_eq!(grpc.selector.as_deref(), Some("source=x"));
        assert_eq!((http.interval, http.authorization.as_deref()), (Some(5), Some("Bearer t")));
    }

    #[test]
    fn what_is_not_understood_is_refused_and_no_secret_shown() {
        for (text, message) in [
            ("{}", "no JSON list"),
            (r#"[{"uri": "a"}]"#, "`provider` is missing"),
            (r#"[{"provider": "file"}]"#, "`uri` is missing"),
            (r#"[{"uri": "a", "provider": "s3"}]"#, "`s3` is not supported"),
            (r#"[{"uri": "a", "provider": "file", "tls": true}]"#, "`tls` has no meaning"),
            (r#"[{"uri": "a", "provider": "http", "interval": 0}]"#, "`interval` must be"),
            (
                r#"[{"uri": "a", "provider": "http", "oauth": {"secret": "hush"}}]"#,
                "`oauth` is not",
            ),
            (
                r#"[{"uri": "a", "provider": "http", "authHeader": "hush", "bearerToken": "hush"}]"#,
                "exclude",
            ),
        ] {
            let error = from_json(text).unwrap_err();
            assert!(error.contains(message), "{error}");
            assert!(!error.contains("hush"), "{error}");
        }
    }
}
