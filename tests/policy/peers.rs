//! Where the peers are installed.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// This file of the installed peers.
fn installed(file: &str) -> Result<PathBuf, String> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let root = set("FLAGSTAFF_CLIENTS_DIR").or_else(|| {
        let cache = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")))?;
        Some(cache.join("flagstaff/clients"))
    });
    let path = root.ok_or("neither FLAGSTAFF_CLIENTS_DIR nor HOME is set")?.join(file);
    let missing = || format!("no {}: run tests/clients/install", path.display());
    path.exists().then(|| path.clone()).ok_or_else(missing)
}

/// The program `opa`.
pub(crate) fn opa() -> Result<PathBuf, String> {
    installed("opa/opa")
}

/// The folder with the programs `opal-client` and `opal-server`.
pub(crate) fn opal() -> Result<PathBuf, String> {
    installed("opal/bin/opal-client").map(|path| path.parent().unwrap_or(Path::new("")).to_owned())
}

pub(crate) fn needs_opa() -> Result<(), String> {
    opa().map(drop)
}

pub(crate) fn needs_opal() -> Result<(), String> {
    opa()?;
    opal()?;
    let git = Command::new("git").arg("--version").output();
    git.map(drop).map_err(|error| format!("no git: {error}"))
}
