//! `.ci/run` and the workflow prove what the project promises: no feature and no fuzz target is
//! forgotten, and versions are the same everywhere.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure panics")]

use std::{collections::BTreeSet, fs, path::PathBuf};

fn read(path: &str) -> String {
    fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).expect(path)
}

/// The text between two others.
fn between<'t>(text: &'t str, start: &str, end: &str) -> &'t str {
    let (_, rest) = text.split_once(start).expect(start);
    rest.split_once(end).expect(end).0
}

fn words(text: &str) -> BTreeSet<&str> {
    text.split([' ', '\n', '"', ';', '`', ',', '(', ')']).filter(|word| !word.is_empty()).collect()
}

#[test]
fn every_feature_is_built_alone() {
    let (manifest, script) = (read("Cargo.toml"), read(".ci/run"));
    let features = between(&manifest, "\n[features]\n", "\n[");
    let names = features.lines().filter_map(|line| line.split_once(" = [").map(|(name, _)| name));
    let names: BTreeSet<_> = names.filter(|name| *name != "default").collect();
    assert!(names.contains("rpc"), "{names:?}");
    assert_eq!(words(between(&script, "for features in ", "; do")), names);
}

#[test]
fn every_fuzz_target_runs_and_is_documented() {
    let (manifest, script) = (read("fuzz/Cargo.toml"), read(".ci/run"));
    let targets = manifest.split("[[bin]]\nname = \"").skip(1);
    let targets: BTreeSet<_> = targets.filter_map(|text| text.split('"').next()).collect();
    assert!(targets.contains("definition"), "{targets:?}");
    let page = read("CONTRIBUTING.md");
    let fuzzing = between(&page, "\n### Fuzzing\n", "\n#");
    let runs =
        |target: &&&str| script.contains("cargo fuzz list") || words(&script).contains(**target);
    assert_eq!(targets.iter().find(|target| !runs(target)), None, "in .ci/run");
    let documented = words(fuzzing);
    assert_eq!(targets.difference(&documented).next(), None, "in CONTRIBUTING.md");
}

/// The workflow runs them too, for as long as the documentation promises.
#[test]
fn every_fuzz_target_runs_every_night() {
    let (manifest, workflow) = (read("fuzz/Cargo.toml"), read(".github/workflows/fuzz.yml"));
    let targets = manifest.split("[[bin]]\nname = \"").skip(1);
    let targets: BTreeSet<_> = targets.filter_map(|text| text.split('"').next()).collect();
    assert_eq!(words(between(&workflow, "\n        target: [", "]")), targets);
    let seconds: u64 = between(&workflow, "-max_total_time=", " ").parse().unwrap();
    assert_eq!(seconds, 600);
    let minutes: u64 = between(&workflow, "timeout-minutes: ", "\n").parse().unwrap();
    assert!(minutes * 60 > 2 * seconds, "{minutes} minutes leave no time to build");
    assert!(workflow.contains("\n    - cron: "), "it runs by itself");
}

/// A test that sleeps, waits for nothing to happen, or measures time is slow on a fast machine or
/// fails on a slow one. It waits for a state instead (`support::wait`), or stops the clock
/// (`support::clock`). Where there is no other way, a comment on the line above says why.
#[test]
fn every_wait_by_the_clock_says_why() {
    let mut folders = vec![PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests"))];
    let mut unexplained = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("support") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let lines = waits_unexplained(&text).into_iter();
                unexplained.extend(lines.map(|line| format!("{}:{line}", path.display())));
            }
        }
    }
    assert_eq!(unexplained, [""; 0]);
}

/// The numbers of the lines that wait by the clock below a line that is not a comment.
fn waits_unexplained(text: &str) -> Vec<usize> {
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let waits = |index: usize| {
        let line = lines[index];
        let sleeps = line.contains(concat!("sleep", "("));
        let measures = [" <", " >"].map(|sign| format!("elapsed(){sign}"));
        // The end of this statement, or the next one, asserts that the future does not complete.
        let following = lines[index..].iter().take(3).any(|line| {
            line.contains(concat!(".is_err", "()")) || line.contains(concat!(".unwrap_err", "()"))
        });
        let times_out =
            [" ", "::"].iter().any(|before| line.contains(&format!("{before}timeout(")));
        sleeps || measures.iter().any(|measure| line.contains(measure)) || times_out && following
    };
    let is_comment = |index: usize| lines[index].starts_with("//");
    let found = (1..lines.len())
        .filter(|&index| waits(index) && !is_comment(index) && !is_comment(index - 1))
        .map(|index| index + 1);
    found.collect()
}

#[test]
fn every_wait_by_the_clock_is_found() {
    let found = |line: &str| waits_unexplained(&format!("{{\n{line}\n}}"));
    for line in [
        concat!("thread::sleep", "(SOON);"),
        concat!("assert!(start.elapsed", "() < SOON);"),
        concat!("assert!(start.elapsed", "() >= SOON);"),
        concat!("timeout", "(SOON, next).await.unwrap_err();"),
        concat!("let early = timeout", "(SOON, next).await;\nassert!(early.is_err());"),
    ] {
        let line = format!("let _ = {line}");
        assert_eq!(found(&line), [2], "{line}");
        assert_eq!(found(&format!("// Why.\n{line}")), [0; 0], "{line}");
    }
    for line in
        ["timeout(SOON, next).await.unwrap();", "builder.timeout(SOON).build().unwrap_err();"]
    {
        assert_eq!(found(&format!("let _ = {line}")), [0; 0], "{line}");
    }
}

#[test]
fn versions_agree() {
    let (manifest, readme) = (read("Cargo.toml"), read("README.md"));
    let workflow = read(".github/workflows/ci.yml");
    let rust = between(&manifest, "\nrust-version = \"", "\"");
    assert_eq!(between(&readme, "The minimum Rust version is ", ". "), rust);
    assert_eq!(between(&workflow, "rustup toolchain install ", " "), rust);
    for command in workflow.split("cargo +").skip(1) {
        assert_eq!(command.split(' ').next(), Some(rust));
    }

    let page = read("CONTRIBUTING.md");
    let testbed = between(&page, "`open-feature/flagd-testbed` (", ")");
    let refs = workflow.split("open-feature/flagd-testbed, ref: ").skip(1);
    let refs: BTreeSet<_> = refs.filter_map(|text| text.split(',').next()).collect();
    assert_eq!(refs, BTreeSet::from([testbed]));
}
