//! The tables of the README are true: of options, features and files.
#![cfg(feature = "rpc")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure panics")]

use std::{collections::BTreeSet, env, fmt::Write as _, fs};

use flagstaff::{FlagdOptions, flagd::OptionInfo};

const FOLDER: &str = env!("CARGO_MANIFEST_DIR");
const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
const BEGIN: &str = "<!-- options -->\n";
const END: &str = "<!-- /options -->";

#[test]
fn the_readme_has_the_table_of_options() {
    let readme = fs::read_to_string(README).unwrap();
    let (before, rest) = readme.split_once(BEGIN).expect(BEGIN);
    let (found, after) = rest.split_once(END).expect(END);
    let right = table();
    if found == right {
        return;
    }
    if env::var_os("UPDATE_README").is_some_and(|value| value == "1") {
        fs::write(README, [before, BEGIN, &right, END, after].concat()).unwrap();
        return;
    }
    panic!(
        "README.md has another table of options; with UPDATE_README=1 this test writes:\n{right}"
    );
}

fn table() -> String {
    let mut table =
        String::from("| Option | Variable | Type | Default | Meaning |\n|---|---|---|---|---|\n");
    for OptionInfo { name, variable, kind, default, meaning, .. } in FlagdOptions::TABLE {
        let default = if default.is_empty() { String::new() } else { format!("`{default}`") };
        let cells = [&format!("`{name}`"), &format!("`{variable}`"), *kind, &default, *meaning];
        let cells = cells.map(|cell| cell.replace('|', "\\|"));
        let _ = writeln!(table, "| {} |", cells.join(" | ")); // writing to a String cannot fail
    }
    table
}

/// The names in the first column of the table with this header.
fn first_column<'r>(readme: &'r str, header: &str) -> BTreeSet<&'r str> {
    let (_, table) = readme.split_once(&format!("\n{header}\n|---|")).unwrap_or_default();
    let rows = table.lines().skip(1).take_while(|line| line.starts_with("| "));
    let cells = rows.filter_map(|row| row.split(" | ").next());
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect()
}

#[test]
fn the_readme_names_every_feature() {
    let readme = fs::read_to_string(README).unwrap();
    let manifest = fs::read_to_string(format!("{FOLDER}/Cargo.toml")).unwrap();
    let (_, features) = manifest.split_once("\n[features]\n").unwrap();
    let (features, _) = features.split_once("\n[").unwrap();
    let names = features.lines().filter_map(|line| line.split_once(" = [").map(|(name, _)| name));
    let names: BTreeSet<_> = names.filter(|name| *name != "default").collect();
    assert_eq!(first_column(&readme, "| Feature | Default | What it brings |"), names);
}

#[test]
fn the_readme_names_every_file_of_the_large_modules() {
    let readme = fs::read_to_string(README).unwrap();
    for folder in ["src/flagd", "src/evaluator", "src/server"] {
        let entries = fs::read_dir(format!("{FOLDER}/{folder}")).unwrap();
        let names = entries.map(|entry| {
            let entry = entry.unwrap();
            let slash = if entry.file_type().unwrap().is_dir() { "/" } else { "" };
            entry.file_name().into_string().unwrap() + slash
        });
        let names: BTreeSet<_> = names.filter(|name| name != "mod.rs").collect();
        let table = first_column(&readme, &format!("| `{folder}/` | |"));
        assert_eq!(table, names.iter().map(String::as_str).collect(), "{folder}");
    }
}
