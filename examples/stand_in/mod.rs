//! Which flagd an example talks to: the one that `FLAGD_HOST` names, else a stand-in.
//!
//! The stand-in is the scripted server of the tests. It serves the default variants of
//! `examples/flags.json`, or of the file given as first argument, and knows no targeting.
// Each example uses a part of it.
#![allow(dead_code, unreachable_pub)]

#[path = "../../tests/support/mod.rs"]
pub mod support;

use std::{
    collections::BTreeMap,
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
};

use flagstaff::{FlagdOptions, FlagdProvider};
use serde_json::Value;

use support::scripted::{Flag, ScriptedServer};

/// A provider, and what it talks to when that is the stand-in.
pub struct Flags {
    pub provider: FlagdProvider,
    pub stand_in: Option<StandIn>,
}

/// A flagd in this process, and the file that it serves.
pub struct StandIn {
    server: ScriptedServer,
    file: PathBuf,
    served: BTreeMap<String, Value>,
}

impl Flags {
    /// Says on standard output which flagd it is.
    pub fn connect() -> Result<Self, Box<dyn Error>> {
        if env::var_os("FLAGD_HOST").is_some() {
            let provider = FlagdProvider::from_env()?;
            let options = provider.options();
            println!("flagd at {}:{} (FLAGD_HOST)", options.host(), options.port());
            return Ok(Self { provider, stand_in: None });
        }
        let default = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/flags.json");
        let file = env::args_os().nth(1).map_or_else(|| default.into(), PathBuf::from);
        let stand_in = StandIn::start(file)?;
        println!(
            "no FLAGD_HOST is set: a stand-in for flagd on port {} serves {}",
            stand_in.server.port(),
            stand_in.file.display()
        );
        let options =
            FlagdOptions::builder().host("127.0.0.1").port(stand_in.server.port()).build()?;
        Ok(Self { provider: FlagdProvider::new(options), stand_in: Some(stand_in) })
    }
}

impl StandIn {
    fn start(file: PathBuf) -> Result<Self, Box<dyn Error>> {
        let mut stand_in =
            Self { server: ScriptedServer::start(), file, served: BTreeMap::default() };
        stand_in.reload()?;
        Ok(stand_in)
    }

    /// Sets a flag as if the file said so.
    pub fn set(&self, key: &str, variant: &str, value: Value) {
        self.server.update(key, Flag::new(value).variant(variant));
    }

    /// Serves what the file says now, and tells subscribers what has changed.
    pub fn reload(&mut self) -> Result<(), Box<dyn Error>> {
        let flags = read(&self.file)?;
        let mut changed = Vec::new();
        for (key, definition) in &flags {
            if self.served.get(key) != Some(definition) {
                self.server.set(key, flag(key, definition)?);
                changed.push(key.as_str());
            }
        }
        for key in self.served.keys().filter(|key| !flags.contains_key(*key)) {
            self.server.remove(key);
            changed.push(key);
        }
        if !changed.is_empty() {
            self.server.change(&changed);
        }
        self.served = flags;
        Ok(())
    }
}

fn read(file: &Path) -> Result<BTreeMap<String, Value>, Box<dyn Error>> {
    let text = fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let mut definition: Value =
        serde_json::from_str(&text).map_err(|e| format!("{}: {e}", file.display()))?;
    Ok(serde_json::from_value(definition["flags"].take())
        .map_err(|e| format!("{}: `flags`: {e}", file.display()))?)
}

/// The default variant of a flag.
fn flag(key: &str, definition: &Value) -> Result<Flag, String> {
    if definition["state"] == "DISABLED" {
        return Ok(Flag::disabled());
    }
    let variant = definition["defaultVariant"]
        .as_str()
        .ok_or_else(|| format!("flag `{key}` has no `defaultVariant`"))?;
    let value = definition["variants"]
        .get(variant)
        .ok_or_else(|| format!("`{variant}` is no variant of flag `{key}`"))?;
    let flag = Flag::new(value.clone()).variant(variant);
    Ok(match definition.get("metadata") {
        Some(metadata) => flag.metadata(metadata.clone()),
        None => flag,
    })
}
