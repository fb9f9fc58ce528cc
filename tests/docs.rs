//! The documentation is correct: its tables match the code, its links resolve, its examples
//! compile.
#![cfg(feature = "rpc")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure panics")]

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use flagstaff::{FlagdOptions, flagd::OptionInfo};

const FOLDER: &str = env!("CARGO_MANIFEST_DIR");
const OPTIONS: &str = "docs/options.md";
const BEGIN: &str = "<!-- options -->\n";
const END: &str = "<!-- /options -->";

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(FOLDER).join(path)).expect(path)
}

#[test]
fn the_table_of_options_is_that_of_the_code() {
    let page = read(OPTIONS);
    let (before, rest) = page.split_once(BEGIN).expect(BEGIN);
    let (found, after) = rest.split_once(END).expect(END);
    let right = table();
    if found == right {
        return;
    }
    if env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
        let page = [before, BEGIN, &right, END, after].concat();
        fs::write(Path::new(FOLDER).join(OPTIONS), page).unwrap();
        return;
    }
    panic!("{OPTIONS} has another table; with UPDATE_DOCS=1 this test writes:\n{right}");
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
fn first_column<'p>(page: &'p str, header: &str) -> BTreeSet<&'p str> {
    let (_, table) = page.split_once(&format!("\n{header}\n|---|")).unwrap_or_default();
    let rows = table.lines().skip(1).take_while(|line| line.starts_with("| "));
    let cells = rows.filter_map(|row| row.split(" | ").next());
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect()
}

#[test]
fn the_readme_names_every_feature() {
    let (readme, manifest) = (read("README.md"), read("Cargo.toml"));
    let (_, features) = manifest.split_once("\n[features]\n").unwrap();
    let (features, _) = features.split_once("\n[").unwrap();
    let names = features.lines().filter_map(|line| line.split_once(" = [").map(|(name, _)| name));
    let names: BTreeSet<_> = names.filter(|name| *name != "default").collect();
    assert_eq!(first_column(&readme, "| Feature | Default | What it adds |"), names);
}

#[test]
fn the_architecture_says_why_there_is_each_dependency() {
    let page = read("ARCHITECTURE.md");
    let library = dependencies("Cargo.toml");
    assert!(library.contains("tonic") && library.contains("protox"), "{library:?}");
    let named = |header| first_column(&page, header).into_iter().map(str::to_owned).collect();
    let of_the_library: BTreeSet<String> = named("| Crate | For | Reason |");
    assert_eq!(of_the_library, library);
    let manifests = ["service", "data-store", "toggle-meister", "testing"]
        .map(|it| dependencies(&format!("crates/{it}/Cargo.toml")));
    let services = manifests.iter().flatten().filter(|it| !it.starts_with("flagstaff"));
    let services: BTreeSet<_> = services.filter(|it| !library.contains(*it)).cloned().collect();
    let of_the_services: BTreeSet<String> = named("| Crate of the services | For | Reason |");
    assert_eq!(of_the_services, services);
}

/// What a package needs to be built.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let manifest = read(manifest);
    let sections = ["\n[dependencies]\n", "\n[build-dependencies]\n"];
    let sections = sections.iter().filter_map(|start| Some(manifest.split_once(start)?.1));
    let lines = sections.flat_map(|text| text.split("\n[").next().unwrap().lines());
    lines.filter_map(|line| line.split_once(" = ").map(|(name, _)| name.to_owned())).collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

/// The rows of the table with this header.
fn rows<'p>(page: &'p str, header: &str) -> Vec<&'p str> {
    let (_, table) = page.split_once(&format!("{header}\n")).expect(header);
    table.lines().skip(1).take_while(|line| line.starts_with('|')).collect()
}

/// A reader of the page and a reader of the module learn the same.
#[test]
fn the_differences_in_evaluation_are_those_of_the_evaluator() {
    let module = read("src/evaluator/mod.rs").replace("//! ", "");
    let page = read("docs/flagd.md");
    let on_the_page = rows(&page, "| Definition or request | flagd 0.16.1 | flagstaff |");
    let in_the_module = rows(&module, "| definition or request | flagd | here |");
    assert!(on_the_page.len() > 5, "{on_the_page:?}");
    // There the error codes are links.
    let plain = |row: &str| row.replace("[`", "`").replace("`]", "`");
    let in_the_module: Vec<_> = in_the_module.into_iter().map(plain).collect();
    assert_eq!(on_the_page, in_the_module);
}

#[test]
fn the_architecture_names_every_folder() {
    let page = read("ARCHITECTURE.md");
    for room in entries(&Path::new(FOLDER).join("src")) {
        if !room.is_dir() {
            continue;
        }
        assert!(page.contains(&format!("src/{}/", name(&room))), "{room:?}");
        for folder in entries(&room) {
            let named = page.contains(&format!("{}/`", name(&folder)));
            assert!(!folder.is_dir() || named, "{folder:?} is not in ARCHITECTURE.md");
        }
    }
}

#[test]
fn the_first_line_of_each_file_says_what_it_is_for() {
    for (path, text) in sources("src") {
        let is_test = path.ends_with("tests.rs") || path.parent().unwrap().ends_with("tests");
        assert!(is_test || text.starts_with("//! "), "{path:?}");
    }
}

/// All source files in a folder, and what they contain.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let (mut folders, mut sources) = (vec![Path::new(FOLDER).join(folder)], Vec::new());
    while let Some(folder) = folders.pop() {
        for path in entries(&folder) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                sources.push((path, text));
            }
        }
    }
    sources
}

/// Comments name them as `docs/page.md, "Heading"`, with further ones after "and".
#[test]
fn every_heading_that_a_comment_cites_exists() {
    let (pages, mut cited) = (pages(), 0);
    for (path, text) in sources("src").into_iter().chain(sources("tests")) {
        let lines = text.lines().map(str::trim_start).filter(|line| line.starts_with("//"));
        let lines = lines.map(|line| line.trim_start_matches(['/', '!']).trim());
        let comments = lines.collect::<Vec<_>>().join(" ");
        for citation in comments.split(" docs/").flat_map(|rest| rest.split("(docs/")).skip(1) {
            let Some((page, headings)) = citation.split_once(".md, \"") else { continue };
            let page = format!("docs/{page}.md");
            let Some(text) = pages.get(&page) else { continue };
            let parts = headings.split('"').step_by(2);
            let mut between = headings.split('"').skip(1).step_by(2);
            for heading in parts {
                let lines = prose(text).filter(|line| line.starts_with('#'));
                let exists =
                    lines.map(|line| line.trim_start_matches('#').trim()).any(|h| h == heading);
                assert!(exists, "{path:?}: {page} has no heading {heading:?}");
                cited += 1;
                if between.next() != Some(" and ") {
                    break;
                }
            }
        }
    }
    assert!(cited > 50, "{cited} citations");
}

/// Without them Cargo says that the target does not exist for these features.
#[test]
fn commands_enable_the_features_that_their_targets_require() {
    let manifest = read("Cargo.toml");
    let mut required = BTreeMap::new();
    for target in manifest.split("\n[[").skip(1) {
        let value = |key: &str| {
            let line = target.lines().find_map(|line| line.strip_prefix(key))?;
            line.split('"').nth(1)
        };
        if let (Some(name), Some(feature)) = (value("name = "), value("required-features = ")) {
            required.insert(name, feature);
        }
    }
    let texts = pages().into_iter().map(|(path, text)| (PathBuf::from(path), text));
    let mut commands = 0;
    for (path, text) in texts.chain(sources("examples")).chain(sources("tests")) {
        for command in text.lines().flat_map(|line| line.split("cargo ").skip(1)) {
            let command = command.split('`').next().unwrap();
            for flag in ["--example ", "--test ", "--bench "] {
                let Some((_, rest)) = command.split_once(flag) else { continue };
                let name = rest.split([' ', '\\']).next().unwrap();
                let feature = required.get(name).copied().unwrap_or("rpc");
                let enough = ["--workspace", "--features full", &format!("--features {feature}")];
                let enables = feature == "rpc" || enough.iter().any(|flag| command.contains(flag));
                assert!(enables, "{path:?}: `cargo {command}` needs the feature {feature}");
                commands += 1;
            }
        }
    }
    assert!(commands > 10, "{commands} commands");
}

#[test]
fn every_example_is_listed_and_every_example_on_a_page_is_compiled() {
    let (readme, library) = (read("README.md"), read("src/lib.rs"));
    for example in entries(&Path::new(FOLDER).join("examples")) {
        if example.extension().is_some_and(|extension| extension == "rs") {
            let link = format!("(examples/{})", name(&example));
            assert!(readme.contains(&link), "README.md has no link {link}");
        }
    }
    for (path, page) in pages() {
        let included = library.contains(&format!("include_str!(\"../{path}\")"));
        assert!(included || !page.contains("\n```rust"), "src/lib.rs does not include {path}");
    }
}

/// Every page for readers, by its path from the root.
fn pages() -> BTreeMap<String, String> {
    let mut pages = BTreeMap::new();
    for folder in ["", "docs", ".github", "tests/golden"] {
        // Some are not part of the published package.
        let folder = Path::new(FOLDER).join(folder);
        for path in if folder.is_dir() { entries(&folder) } else { Vec::new() } {
            if path.extension().is_some_and(|extension| extension == "md") {
                let text = fs::read_to_string(&path).unwrap();
                let path = path.strip_prefix(FOLDER).unwrap().to_str().unwrap().replace('\\', "/");
                pages.insert(path, text);
            }
        }
    }
    assert!(pages.contains_key("README.md"));
    pages
}

/// The lines of a page that are not code.
fn prose(page: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    page.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !in_code && !fence
    })
}

/// The anchors that GitHub generates for the headings of a page.
fn anchors(page: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    for heading in prose(page).filter(|line| line.starts_with('#')) {
        let text = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let anchor = kept.collect::<String>().replace(' ', "-");
        let numbered = (1..).map(|number| format!("{anchor}-{number}"));
        let mut candidates = std::iter::once(anchor.clone()).chain(numbered);
        anchors.extend(candidates.find(|candidate| !anchors.contains(candidate)));
    }
    anchors
}

/// The targets of `[text](target)`.
fn links(page: &str) -> impl Iterator<Item = &str> {
    prose(page).flat_map(|line| line.split("](").skip(1).filter_map(|rest| rest.split(')').next()))
}

/// What is wrong with a link on the page at this path.
fn broken(pages: &BTreeMap<String, String>, path: &str, link: &str) -> Option<String> {
    let (target, anchor) = link.split_once('#').unwrap_or((link, ""));
    let mut parts: Vec<_> = path.split('/').collect();
    if !target.is_empty() {
        parts.pop();
        for part in target.split('/').filter(|part| !part.is_empty()) {
            if part == ".." {
                parts.pop().unwrap_or_else(|| panic!("{path}: {link} leaves the project"));
            } else {
                parts.push(part);
            }
        }
    }
    let target = parts.join("/");
    if !Path::new(FOLDER).join(&target).exists() {
        return Some(format!("{path}: {link}: there is no {target}"));
    }
    let known = |page: &String| anchors(page).contains(anchor);
    let found = anchor.is_empty() || pages.get(&target).is_some_and(known);
    (!found).then(|| format!("{path}: {link}: {target} has no such heading"))
}

#[test]
fn links_lead_to_files_and_headings_that_exist() {
    // The tests and the workflows are not part of the published package.
    if !Path::new(FOLDER).join(".github").is_dir() {
        return;
    }
    let pages = pages();
    let mut count = 0;
    let mut wrong = Vec::new();
    for (path, page) in &pages {
        for link in links(page).filter(|link| !link.contains("://")) {
            count += 1;
            wrong.extend(broken(&pages, path, link));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 50, "only {count} links were found");
}

#[test]
fn anchors_are_those_of_github() {
    let page = "# The `cli`, and more\n\n```sh\n# no heading\n```\n## A_b -c\n## A_b -c\n";
    let expected = ["the-cli-and-more", "a_b--c", "a_b--c-1"].map(str::to_owned);
    assert_eq!(anchors(page), BTreeSet::from(expected));
    let pages = BTreeMap::from([("docs/a.md".to_owned(), page.to_owned())]);
    assert!(broken(&pages, "docs/a.md", "#the-cli-and-more").is_some(), "no such file");
    let pages = BTreeMap::from([("README.md".to_owned(), page.to_owned())]);
    assert_eq!(broken(&pages, "README.md", "#the-cli-and-more"), None);
    assert!(broken(&pages, "README.md", "#no-heading").is_some());
    assert!(broken(&pages, "docs/b.md", "../README.md#other").is_some());
    assert!(broken(&pages, "docs/b.md", "missing.md").is_some());
}
