//! The recordings: files `*.jsonl` with one case per line, with the fields `class`, `flags` (the
//! definition), `key`, `type`, `context`, and `v1`, `v2` and `ofrep` (flagd's responses over each
//! version of its protocol and over OFREP) or `rejected` (flagd's error for the definition).

use std::{
    collections::HashMap,
    env, fs,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use flate2::read::GzDecoder;
use serde_json::{Map, Value, json, value::RawValue};

pub(crate) use crate::support::ask::Kind;

/// The recordings that are kept in the project: README.md says how they were made.
const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");

/// The lines of all recordings: from the folder that `FLAGSTAFF_GOLDEN_DIR` names, otherwise from
/// the project. Files may be compressed (`*.jsonl.gz`).
pub(crate) fn lines() -> io::Result<impl Iterator<Item = io::Result<String>>> {
    let folder = env::var_os("FLAGSTAFF_GOLDEN_DIR").unwrap_or_else(|| KEPT.into());
    let folder = Path::new(&folder);
    let named = |error: io::Error, path: &Path| {
        io::Error::new(error.kind(), format!("{}: {error}", path.display()))
    };
    let mut files: Vec<Box<dyn Read>> = Vec::new();
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| named(error, folder))? {
        paths.push(entry?.path());
    }
    paths.sort();
    for path in paths {
        let name = path.to_string_lossy();
        let open = || fs::File::open(&path).map_err(|error| named(error, &path));
        if name.ends_with(".jsonl") {
            files.push(Box::new(open()?));
        } else if name.ends_with(".jsonl.gz") {
            files.push(Box::new(GzDecoder::new(open()?)));
        }
    }
    Ok(files.into_iter().flat_map(|file| BufReader::new(file).lines()))
}

/// One request, and flagd's response.
pub(crate) struct Case {
    pub(crate) class: String,
    pub(crate) definition: String,
    pub(crate) key: String,
    pub(crate) kind: Kind,
    pub(crate) context: Map<String, Value>,
    pub(crate) expected: Expected,
}

pub(crate) enum Expected {
    /// Over each version of the protocol, and over OFREP.
    Answers { v1: Value, v2: Value, ofrep: Value },
    /// The definition was rejected, with this reason.
    Rejected(String),
}

impl Case {
    pub(crate) fn parse(line: &str) -> serde_json::Result<Self> {
        let fields: HashMap<String, &RawValue> = serde_json::from_str(line)?;
        let raw = |name: &str| fields.get(name).map_or("null", |field| field.get());
        let text = |name: &str| serde_json::from_str::<String>(raw(name));
        Ok(Self {
            class: text("class")?,
            definition: raw("flags").to_owned(),
            key: text("key")?,
            kind: match &*text("type")? {
                "boolean" => Kind::Boolean,
                "string" => Kind::String,
                "integer" => Kind::Integer,
                "float" => Kind::Float,
                _ => Kind::Object,
            },
            context: serde_json::from_str(raw("context"))?,
            expected: match fields.get("rejected") {
                Some(reason) => Expected::Rejected(serde_json::from_str(reason.get())?),
                None => Expected::Answers {
                    v1: serde_json::from_str(raw("v1"))?,
                    v2: serde_json::from_str(raw("v2"))?,
                    ofrep: serde_json::from_str(raw("ofrep"))?,
                },
            },
        })
    }
}

/// The value that version 1 omits.
pub(crate) fn zero(kind: Kind) -> Value {
    match kind {
        Kind::Boolean => json!(false),
        Kind::String => json!(""),
        Kind::Integer | Kind::Float => json!(0),
        Kind::Object => json!({}),
    }
}
