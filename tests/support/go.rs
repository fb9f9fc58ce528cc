//! Programs in Go that tests compare with or run against.

use std::{path::Path, process::Command};

/// Builds the program in a folder of this package; the error says what is missing.
pub(crate) fn build(folder: &str, binary: &str) -> Result<(), String> {
    let output = Command::new("go")
        .args(["build", "-o", binary, "."])
        .env("GOFLAGS", "-mod=readonly")
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))
        .output()
        .map_err(|error| format!("no Go on the PATH: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("`go build`: {}", String::from_utf8_lossy(&output.stderr).trim()))
    }
}
