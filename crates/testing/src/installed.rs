//! Where tests/clients/install puts what it installs.

use std::{env, path::PathBuf};

/// A file of what tests/clients/install has installed in this folder, if it is complete.
#[must_use]
pub fn installed(folder: &str, file: &str) -> Option<PathBuf> {
    let cache = || {
        let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache")));
        Some(cache?.join("flagstaff/clients"))
    };
    let clients = env::var_os("FLAGSTAFF_CLIENTS_DIR").map(PathBuf::from).or_else(cache)?;
    let folder = clients.join(folder);
    folder.join(".complete").is_file().then(|| folder.join(file))
}
