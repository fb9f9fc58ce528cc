//! Writes rendered files to a directory: all of them, or none.
//!
//! Everything is written to a directory of its own first, inside the output directory, and
//! then moved to its place. So a full disk leaves neither half a file nor half a tree.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Component, Path, PathBuf},
    process,
};

use super::input::Input;
use crate::excerpt::shown;

/// A file to write.
pub(super) struct Output<'a> {
    pub(super) input: &'a Input,
    /// What it contains; `None` copies the input.
    pub(super) text: Option<&'a str>,
}

/// Writes the files below `directory`, which is created. Files that are there already are
/// replaced, and others stay.
///
/// # Errors
///
/// Two files have the same place, a place is outside of the directory or is taken by something
/// that is not a file, or the disk cannot be written to.
pub(super) fn write(directory: &Path, files: &[Output<'_>]) -> Result<(), String> {
    check(directory, files)?;
    let is_new = !directory.exists();
    let failed = |error: io::Error| format!("{}: cannot be written: {error}", shown(directory));
    fs::create_dir_all(directory).map_err(failed)?;
    let staging = directory.join(format!(".flagstaff-render-{}", process::id()));
    let written = fs::create_dir(&staging).map_err(failed).and_then(|()| {
        let written = stage(&staging, files).and_then(|()| publish(&staging, directory, files));
        // After an error there is nothing better to do about a second one.
        let _ = fs::remove_dir_all(&staging);
        written
    });
    if written.is_err() && is_new {
        let _ = fs::remove_dir(directory);
    }
    written
}

/// Finds what would go wrong, before anything is written.
fn check(directory: &Path, files: &[Output<'_>]) -> Result<(), String> {
    let mut places = BTreeMap::new();
    for Output { input, .. } in files {
        if let Some(other) = places.insert(&input.place, &input.path) {
            return Err(format!(
                "{} and {} have the same place in the output, {}; render them to two directories",
                shown(other),
                shown(&input.path),
                shown(&input.place)
            ));
        }
        let is_below = input.place.components().all(|part| matches!(part, Component::Normal(_)));
        if !is_below || input.place.as_os_str().is_empty() {
            return Err(format!("{}: its place is outside of the output", shown(&input.path)));
        }
        let target = directory.join(&input.place);
        let mut parents: Vec<_> =
            target.ancestors().skip(1).take_while(|at| *at != directory).collect();
        parents.reverse();
        for parent in parents {
            if let Ok(metadata) = fs::symlink_metadata(parent)
                && !metadata.is_dir()
            {
                return Err(format!(
                    "{}: expected a directory, and no symbolic link",
                    shown(parent)
                ));
            }
        }
        if let Ok(metadata) = fs::symlink_metadata(&target) {
            if !metadata.is_file() {
                return Err(format!("{}: expected a file, and no symbolic link", shown(&target)));
            }
            let same = |path: &Path| path.canonicalize().ok();
            let source = files.iter().find(|file| same(&file.input.path) == same(&target));
            if let Some(source) = source {
                return Err(format!(
                    "{}: --out would replace a file that is rendered; choose another directory",
                    shown(&source.input.path)
                ));
            }
        }
    }
    Ok(())
}

/// Writes the files below the staging directory, with the permissions of their sources.
fn stage(staging: &Path, files: &[Output<'_>]) -> Result<(), String> {
    for Output { input, text } in files {
        let target = staging.join(&input.place);
        let written = create_parent(&target).and_then(|()| match text {
            None => fs::copy(&input.path, &target).map(drop),
            Some(text) => {
                fs::write(&target, text)?;
                fs::set_permissions(&target, fs::metadata(&input.path)?.permissions())
            }
        });
        written.map_err(|error| cannot_write(&input.place, &error))?;
    }
    Ok(())
}

/// Moves the files to their places.
fn publish(staging: &Path, directory: &Path, files: &[Output<'_>]) -> Result<(), String> {
    for Output { input, .. } in files {
        let target = directory.join(&input.place);
        let moved =
            create_parent(&target).and_then(|()| fs::rename(staging.join(&input.place), &target));
        moved.map_err(|error| cannot_write(&target, &error))?;
    }
    Ok(())
}

fn create_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent: &Path| fs::create_dir_all(PathBuf::from(parent)))
}

fn cannot_write(path: &Path, error: &io::Error) -> String {
    format!("{}: cannot be written: {error}", shown(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(path: &Path, place: &str) -> Input {
        Input { path: path.to_owned(), place: place.into(), is_named: false }
    }

    /// All that is in a directory.
    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_tree_is_written_beside_what_is_there() {
        let root = tempfile::tempdir().unwrap();
        let (source, out) = (root.path().join("source"), root.path().join("a/out"));
        fs::write(&source, [0xff]).unwrap();
        let inputs = [input(&source, "x/y.yaml"), input(&source, "z.tgz")];
        let files = [
            Output { input: &inputs[0], text: Some("a") },
            Output { input: &inputs[1], text: None },
        ];
        write(&out, &files).unwrap();
        fs::write(out.join("own"), "b").unwrap();
        write(&out, &files).unwrap();
        assert_eq!(names(&out), ["own", "x", "z.tgz"]);
        assert_eq!(fs::read(out.join("x/y.yaml")).unwrap(), b"a");
        assert_eq!(fs::read(out.join("z.tgz")).unwrap(), [0xff]);
    }

    #[test]
    fn a_failure_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        let (source, out) = (root.path().join("source"), root.path().join("out"));
        fs::write(&source, "a").unwrap();
        let inputs = [input(&source, "a"), input(&root.path().join("missing"), "b")];
        let text = Output { input: &inputs[0], text: Some("a") };
        let copy = Output { input: &inputs[1], text: None };
        let error = write(&out, &[text, copy]).unwrap_err();
        assert!(error.contains("b: cannot be written"), "{error}");
        assert_eq!(names(root.path()), ["source"]);
    }

    #[test]
    fn a_place_that_is_taken_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let source = root.path().join("source");
        fs::write(&source, "a").unwrap();
        fs::create_dir(root.path().join("d")).unwrap();
        for (places, message) in [
            (&["a", "a"][..], "have the same place"),
            (&["../a"], "outside of the output"),
            (&["/a"], "outside of the output"),
            (&[""], "outside of the output"),
            (&["d"], "d: expected a file"),
            (&["source/a"], "source: expected a directory"),
            (&["source"], "would replace a file that is rendered"),
        ] {
            let inputs: Vec<_> = places.iter().map(|place| input(&source, place)).collect();
            let files: Vec<_> =
                inputs.iter().map(|input| Output { input, text: Some("x") }).collect();
            let error = write(root.path(), &files).unwrap_err();
            assert!(error.contains(message), "{error}");
            assert_eq!(names(root.path()), ["d", "source"]);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_symbolic_link_in_the_output_is_not_followed() {
        use std::os::unix::fs::symlink;
        let (root, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let source = root.path().join("source");
        fs::write(&source, "a").unwrap();
        symlink(other.path(), root.path().join("d")).unwrap();
        symlink(other.path().join("x"), root.path().join("f")).unwrap();
        for place in ["d/a", "f"] {
            let input = input(&source, place);
            let error =
                write(root.path(), &[Output { input: &input, text: Some("x") }]).unwrap_err();
            assert!(error.contains("no symbolic link"), "{error}");
        }
        assert_eq!(names(other.path()), [""; 0]);
    }
}
