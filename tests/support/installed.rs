//! Where `tests/clients/install` has installed clients, and peers such as OPA.

use std::{env, path::PathBuf};

/// This installed file; the error says how to install it.
pub fn installed(file: &str) -> Result<PathBuf, String> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let root = set("FLAGSTAFF_CLIENTS_DIR").or_else(|| {
        let cache = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")))?;
        Some(cache.join("flagstaff/clients"))
    });
    let path = root.ok_or("neither FLAGSTAFF_CLIENTS_DIR nor HOME is set")?.join(file);
    let missing = || format!("no {}: run tests/clients/install", path.display());
    path.exists().then(|| path.clone()).ok_or_else(missing)
}
