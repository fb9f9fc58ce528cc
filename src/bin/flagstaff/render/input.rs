//! The files to render: those that are named, and those in directories that are named.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use crate::excerpt::shown;

/// The largest file that is rendered, in bytes.
const LIMIT: u64 = 64 << 20;

/// A file to render or copy.
#[derive(Debug, PartialEq)]
pub(super) struct Input {
    pub(super) path: PathBuf,
    /// Where its result belongs in the output directory.
    pub(super) place: PathBuf,
    /// It was named itself, and not found in a directory.
    pub(super) is_named: bool,
}

/// What a file contains.
pub(super) enum Content {
    Template(String),
    /// An archive, or a file that is not UTF-8.
    Binary,
}

impl Input {
    /// Reads the file, unless it is an archive.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is too large.
    pub(super) fn read(&self) -> io::Result<Content> {
        if self.is_archive() {
            return Ok(Content::Binary);
        }
        let mut bytes = Vec::new();
        // One byte more, to see whether there is any.
        File::open(&self.path)?.take(LIMIT + 1).read_to_end(&mut bytes)?;
        match String::from_utf8(bytes) {
            Err(_) => Ok(Content::Binary),
            Ok(text) if text.len() as u64 > LIMIT => {
                Err(io::Error::other(format!("it is larger than {} MiB", LIMIT >> 20)))
            }
            Ok(text) => Ok(Content::Template(text)),
        }
    }

    fn is_archive(&self) -> bool {
        matches!(&*ending(&self.path), "tar" | "tgz" | "zip" | "gz" | "7z")
    }

    /// Whether it is a document for Kubernetes by its name. JSON is YAML.
    pub(super) fn is_manifest(&self) -> bool {
        matches!(&*ending(&self.path), "yaml" | "yml" | "json")
    }
}

/// What follows the last dot of a file's name, in lower case.
fn ending(path: &Path) -> String {
    path.extension().map(|ending| ending.to_string_lossy().to_lowercase()).unwrap_or_default()
}

/// Finds all files, in the order of the paths, and in a directory in that of their names.
///
/// `except` is the output directory. What an earlier run wrote to it is not rendered again.
///
/// # Errors
///
/// Something cannot be read, is neither a file nor a directory, or is a symbolic link out of the
/// directory: what it names may be a secret of this machine.
pub(super) fn find(paths: &[PathBuf], except: Option<&Path>) -> Result<Vec<Input>, String> {
    let except = except.and_then(|out| out.canonicalize().ok());
    let mut found = Vec::new();
    for path in paths {
        let metadata = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
        if metadata.is_dir() {
            let root = path.canonicalize().map_err(|error| unreadable(path, &error))?;
            if except.as_ref() == Some(&root) {
                return Err(format!(
                    "{}: --out names the same directory; choose another",
                    shown(path)
                ));
            }
            let mut walk = Walk { root, except: except.as_deref(), found: &mut found };
            walk.directory(path, Path::new(""))?;
        } else if metadata.is_file() {
            let name = path.file_name().map(PathBuf::from).unwrap_or_default();
            found.push(Input { path: path.clone(), place: name, is_named: true });
        } else {
            return Err(not_a_file(path));
        }
    }
    Ok(found)
}

/// A directory that is read with everything in it.
struct Walk<'a> {
    root: PathBuf,
    except: Option<&'a Path>,
    found: &'a mut Vec<Input>,
}

impl Walk<'_> {
    fn directory(&mut self, path: &Path, place: &Path) -> Result<(), String> {
        let entries = fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut entries = entries.map_err(|error| unreadable(path, &error))?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name();
            // Git's own, and those of a volume of Kubernetes, whose files are links into them.
            if name == ".git" || name.to_string_lossy().starts_with("..") {
                continue;
            }
            let (path, place) = (entry.path(), place.join(&name));
            let kind = entry.file_type().map_err(|error| unreadable(&path, &error))?;
            if kind.is_dir() {
                let is_except = |except| path.canonicalize().is_ok_and(|path| path == except);
                if !self.except.is_some_and(is_except) {
                    self.directory(&path, &place)?;
                }
                continue;
            }
            if kind.is_symlink() {
                self.follow(&path)?;
            } else if !kind.is_file() {
                return Err(not_a_file(&path));
            }
            self.found.push(Input { path, place, is_named: false });
        }
        Ok(())
    }

    /// Checks that a symbolic link leads to a file in the directory.
    fn follow(&self, path: &Path) -> Result<(), String> {
        let target = path.canonicalize().map_err(|error| unreadable(path, &error))?;
        if !target.starts_with(&self.root) {
            return Err(format!(
                "{}: the symbolic link leads out of {}; copy what it names",
                shown(path),
                shown(&self.root)
            ));
        }
        if target.is_file() { Ok(()) } else { Err(not_a_file(path)) }
    }
}

fn unreadable(path: &Path, error: &io::Error) -> String {
    format!("{}: cannot be read: {error}", shown(path))
}

fn not_a_file(path: &Path) -> String {
    format!("{}: expected a file or a directory", shown(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(files: &[&str]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for file in files {
            let path = directory.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        directory
    }

    fn places(paths: &[PathBuf], except: Option<&Path>) -> Result<Vec<String>, String> {
        let found = find(paths, except)?;
        Ok(found.iter().map(|input| input.place.to_str().unwrap().to_owned()).collect())
    }

    #[test]
    fn files_are_found_in_order_and_below_directories() {
        let directory =
            directory(&["b.yaml", "a/c.txt", "a/.helmignore", ".git/config", "a/.git", "z.yaml"]);
        let root = directory.path();
        let paths = [root.join("z.yaml"), root.to_owned()];
        let expected = ["z.yaml", "a/.helmignore", "a/c.txt", "b.yaml", "z.yaml"];
        assert_eq!(places(&paths, None).unwrap(), expected);
        let expected = ["b.yaml", "z.yaml"];
        assert_eq!(places(&paths[1..], Some(&root.join("a"))).unwrap(), expected);
        assert!(places(&paths[1..], Some(root)).unwrap_err().contains("--out"));
        assert!(
            places(&[root.join("missing")], None).unwrap_err().contains("missing: cannot be read")
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_symbolic_link_out_of_the_directory_is_an_error() {
        use std::os::unix::fs::symlink;
        let (directory, other) = (directory(&["..data/a.yaml"]), directory(&["secret"]));
        let root = directory.path();
        symlink("..data/a.yaml", root.join("a.yaml")).unwrap();
        assert_eq!(places(&[root.to_owned()], None).unwrap(), ["a.yaml"]);
        symlink(root.join("..data"), root.join("b")).unwrap();
        assert!(places(&[root.to_owned()], None).unwrap_err().contains("b: expected a file"));
        fs::remove_file(root.join("b")).unwrap();
        symlink(other.path().join("secret"), root.join("c")).unwrap();
        assert!(places(&[root.to_owned()], None).unwrap_err().contains("leads out of"));
        // The user names this one.
        assert_eq!(places(&[root.join("c")], None).unwrap(), ["c"]);
    }

    #[test]
    fn archives_are_known_by_their_names() {
        let input = |name: &str| Input { path: name.into(), place: name.into(), is_named: false };
        for name in ["a.tar", "a.TGZ", "a.zip", "a.tar.gz", "a.7z"] {
            assert!(input(name).is_archive() && !input(name).is_manifest(), "{name}");
        }
        for name in ["a.yaml", "a.YML", "a.json"] {
            assert!(!input(name).is_archive() && input(name).is_manifest(), "{name}");
        }
        assert!(!input("gz").is_archive() && !input("yaml").is_manifest());
    }
}
