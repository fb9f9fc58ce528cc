//! In which files of a folder the names of features still occur.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

/// Folders with nothing that people wrote.
const SKIPPED: [&str; 3] = [".git", "node_modules", "target"];

/// Larger files are data, or were generated.
const MAX_FILE: u64 = 1 << 20;

/// Where a name occurs first in a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
}

/// The files below a folder in which each of the names occurs as a whole identifier. Symbolic
/// links are not followed, and binary and very large files are skipped.
///
/// # Errors
///
/// The folder cannot be read. A file in it that cannot be read is skipped.
pub fn find<'a>(
    folder: &Path,
    names: &BTreeSet<&'a str>,
) -> io::Result<BTreeMap<&'a str, Vec<Place>>> {
    let mut found: BTreeMap<&str, Vec<Place>> = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder)?.collect::<io::Result<Vec<_>>>()?;
        for entry in entries {
            let kind = entry.file_type()?;
            let path = entry.path();
            if kind.is_dir() {
                if !SKIPPED.iter().any(|it| entry.file_name() == *it) {
                    folders.push(path);
                }
            } else if kind.is_file() && entry.metadata()?.len() <= MAX_FILE {
                let Ok(bytes) = fs::read(&path) else { continue };
                for (name, line) in occurrences(&bytes, names) {
                    let place = Place { file: path.clone(), line };
                    found.entry(name).or_default().push(place);
                }
            }
        }
    }
    for places in found.values_mut() {
        places.sort();
    }
    Ok(found)
}

/// The names that occur in the content of a file, each with its first line.
fn occurrences<'a>(bytes: &[u8], names: &BTreeSet<&'a str>) -> BTreeMap<&'a str, usize> {
    let mut found = BTreeMap::new();
    if bytes.contains(&0) {
        return found;
    }
    let text = String::from_utf8_lossy(bytes);
    for (index, line) in text.lines().enumerate() {
        for word in line.split(|it| !unicode_ident::is_xid_continue(it)) {
            if let Some(name) = names.get(word) {
                found.entry(*name).or_insert(index + 1);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn only_whole_identifiers_occur() {
        let names = BTreeSet::from(["checkout", "größe"]);
        let found = |text: &str| occurrences(text.as_bytes(), &names);
        for text in ["checkout", "if(\"checkout\")", "a.checkout;", "x-checkout-y", "\tcheckout\r"]
        {
            assert_eq!(found(text), BTreeMap::from([("checkout", 1)]), "{text}");
        }
        for text in ["checkouts", "_checkout", "checkout_2", "Checkout", "checkouté", "1checkout"]
        {
            assert_eq!(found(text), BTreeMap::new(), "{text}");
        }
        let both = BTreeMap::from([("checkout", 3), ("größe", 2)]);
        assert_eq!(found("x\n größe\ncheckout checkout\ncheckout"), both);
        assert_eq!(found("checkout\0"), BTreeMap::new(), "binary");
        assert_eq!(occurrences(b"\xff checkout", &names).len(), 1, "not UTF-8");
    }

    #[test]
    fn folders_without_sources_are_skipped() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        for path in ["src/b.rs", "src/deep/er/a.ts", ".github/ci.yml"] {
            write(path, "\nif checkout {}");
        }
        for path in [".git/x", "node_modules/m/x.js", "target/debug/x.rs", "src/node_modules/y"] {
            write(path, "checkout");
        }
        write("huge.json", &"checkout ".repeat(200_000));
        std::os::unix::fs::symlink(folder.path(), folder.path().join("src/loop")).unwrap();
        let found = find(folder.path(), &BTreeSet::from(["checkout", "other"])).unwrap();
        let places: Vec<(&Path, usize)> = found["checkout"]
            .iter()
            .map(|it| (it.file.strip_prefix(folder.path()).unwrap(), it.line))
            .collect();
        let expected =
            [".github/ci.yml", "src/b.rs", "src/deep/er/a.ts"].map(|it| (Path::new(it), 2));
        assert_eq!(places, expected);
        assert!(!found.contains_key("other"));
        assert!(find(&folder.path().join("missing"), &BTreeSet::new()).is_err());
    }
}
