//! The working directory of a flagd: its flag definitions, and the testbed's layout.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use tempfile::TempDir;

const SELECTOR_FLAGS: &str = "rawflags/selector-flags.json";

/// A temporary directory with the files that flagd reads.
#[derive(Debug)]
pub struct Directory {
    root: TempDir,
    /// The file that tests edit, relative to the directory.
    main: &'static str,
    /// All sources, relative to the directory.
    pub sources: Vec<String>,
}

impl Directory {
    /// With `flags.json` as its only source.
    pub fn of_definition(definition: &Value) -> Self {
        let main = "flags.json";
        let directory =
            Self { root: tempfile::tempdir().unwrap(), main, sources: vec![main.to_owned()] };
        directory.write(definition);
        directory
    }

    /// With the testbed's two sources: all flags merged, and those of the selector apart. Every
    /// file of the testbed is copied unchanged into `rawflags`.
    pub fn of_testbed(testbed: &Path) -> Self {
        let main = "flags/allFlags.json";
        let root = tempfile::tempdir().unwrap();
        for name in ["flags", "rawflags"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        let sources = vec![main.to_owned(), SELECTOR_FLAGS.to_owned()];
        let directory = Self { root, main, sources };
        let mut merged = json!({});
        for entry in fs::read_dir(testbed).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            fs::copy(&path, directory.path().join("rawflags").join(name)).unwrap();
            if !name.starts_with("selector") {
                merge(&mut merged, read(&path));
            }
        }
        directory.write(&merged);
        directory
    }

    pub fn path(&self) -> &Path {
        self.root.path()
    }

    pub fn main(&self) -> PathBuf {
        self.path().join(self.main)
    }

    pub fn read(&self) -> Value {
        read(&self.main())
    }

    /// Switches the testbed's `changing-flag` between foo and bar; returns the new variant.
    pub fn change_flag(&self) -> &'static str {
        let mut definition = self.read();
        let default = &mut definition["flags"]["changing-flag"]["defaultVariant"];
        let variant = if *default == "foo" { "bar" } else { "foo" };
        *default = json!(variant);
        self.write(&definition);
        variant
    }

    /// Replaces the definition atomically: flagd never sees half of it.
    pub fn write(&self, definition: &Value) {
        let beside = self.path().join("beside.json");
        fs::write(&beside, serde_json::to_vec_pretty(definition).unwrap()).unwrap();
        fs::rename(&beside, self.main()).unwrap();
    }
}

fn read(path: &Path) -> Value {
    let text = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Copies the members of `from` into `into`; objects in both are merged.
fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}
