//! The table of options in the README is the table of options in the program.
#![cfg(feature = "rpc")]

use std::{env, fmt::Write as _, fs};

use flagstaff::{FlagdOptions, flagd::OptionInfo};

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
