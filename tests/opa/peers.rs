//! Where the peers are installed.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::installed::installed;

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
