//! Reads a folder of features, and selects the scenarios to run by their tags.

use std::path::Path;

use cucumber::gherkin::{Feature, Rule, Scenario, Step, StepType};
use libtest_mimic::Arguments;

use crate::{backend::Kind, gherkin, suite::Suite};

/// Old behaviour, which a newer scenario contradicts.
const OUTDATED: [&str; 2] = ["deprecated", "no-default"];

/// What to do with the scenarios of one suite.
pub(crate) struct Selection {
    /// With those to run only.
    pub(crate) features: Vec<Feature>,
    /// Names of those to leave out, and why.
    pub(crate) skipped: Vec<(String, &'static str)>,
}

enum Choice {
    Run,
    Skip(&'static str),
    /// It belongs to another suite, or the arguments exclude it.
    Omit {
        ours: bool,
    },
}

/// Reads all features in the folder; an error if one does not parse, or none belongs to the suite.
pub(crate) fn select(
    folder: &Path,
    suite: Suite,
    has_flagd: bool,
    arguments: &Arguments,
) -> Result<Selection, String> {
    let mut selection = Selection { features: Vec::new(), skipped: Vec::new() };
    let mut found = false;
    for feature in gherkin::read(folder)? {
        let feature = with_any_keyword(feature);
        let mut choose = |feature: &Feature, rule: Option<&Rule>, scenario: &Scenario| {
            let choice = choose(feature, rule, scenario, suite, has_flagd, arguments);
            found |= !matches!(choice, Choice::Omit { ours: false });
            if let Choice::Skip(reason) = choice {
                selection.skipped.push((name(feature, scenario), reason));
            }
            matches!(choice, Choice::Run)
        };
        let mut chosen = feature.clone();
        chosen.scenarios.retain(|scenario| choose(&feature, None, scenario));
        for (chosen, rule) in chosen.rules.iter_mut().zip(&feature.rules) {
            chosen.scenarios.retain(|scenario| choose(&feature, Some(rule), scenario));
        }
        chosen.rules.retain(|rule| !rule.scenarios.is_empty());
        check(&chosen)?;
        selection.features.push(chosen);
    }
    if !found {
        return Err(format!("{}: no scenario is tagged @{}", folder.display(), suite.name()));
    }
    selection
        .features
        .retain(|feature| !(feature.scenarios.is_empty() && feature.rules.is_empty()));
    Ok(selection)
}

/// A scenario without steps would pass; its steps are a description when the first is misspelt.
fn check(feature: &Feature) -> Result<(), String> {
    match scenarios(feature).find(|scenario| scenario.steps.is_empty()) {
        None => Ok(()),
        Some(scenario) => Err(format!("{}: it has no steps", name(feature, scenario))),
    }
}

fn scenarios(feature: &Feature) -> impl Iterator<Item = &Scenario> {
    let ruled = feature.rules.iter().flat_map(|rule| &rule.scenarios);
    feature.scenarios.iter().chain(ruled)
}

fn choose(
    feature: &Feature,
    rule: Option<&Rule>,
    scenario: &Scenario,
    suite: Suite,
    has_flagd: bool,
    arguments: &Arguments,
) -> Choice {
    // The tags of an examples table were added to the scenarios generated from it.
    let rules = rule.iter().flat_map(|rule| &rule.tags);
    let tags: Vec<&String> = feature.tags.iter().chain(rules).chain(&scenario.tags).collect();
    let tagged = |name: &str| tags.iter().any(|tag| *tag == name);
    let backgrounds = [feature.background.as_ref(), rule.and_then(|rule| rule.background.as_ref())];
    let backgrounds = backgrounds.into_iter().flatten().flat_map(|background| &background.steps);
    let kinds: Vec<Kind> = backgrounds.chain(&scenario.steps).filter_map(kind).collect();
    if !tagged(suite.name()) {
        Choice::Omit { ours: false }
    } else if !is_asked_for(&name(feature, scenario), arguments) {
        Choice::Omit { ours: true }
    } else if let Some(tag) = OUTDATED.into_iter().find(|tag| tagged(tag)) {
        Choice::Skip(tag)
    } else if !has_flagd && kinds.iter().any(|kind| kind.needs_flagd(suite)) {
        Choice::Skip("no flagd")
    } else if cfg!(not(feature = "tls")) && kinds.contains(&Kind::Ssl) {
        Choice::Skip("built without TLS")
    } else {
        Choice::Run
    }
}

/// The kind of provider that the step is about, if it is about one.
fn kind(step: &Step) -> Option<Kind> {
    let words: Vec<&str> = step.value.split(' ').collect();
    match words[..] {
        ["a" | "an", kind, "flagd", "provider"] => kind.parse().ok(),
        _ => None,
    }
}

/// The arguments that `cargo test` passes on.
fn is_asked_for(name: &str, arguments: &Arguments) -> bool {
    let fits = |filter: &String| {
        if arguments.exact { name == filter } else { name.contains(filter.as_str()) }
    };
    arguments.filter.as_ref().is_none_or(fits)
        && !arguments.skip.iter().any(fits)
        && !arguments.ignored
}

/// Gherkin finds the definition of a step whatever its keyword; the runner's library searches only
/// those of the same keyword, so all get the same keyword.
fn with_any_keyword(mut feature: Feature) -> Feature {
    let Feature { background, scenarios, rules, .. } = &mut feature;
    let ruled = rules.iter_mut().flat_map(|rule| {
        let scenarios = rule.scenarios.iter_mut().map(|scenario| &mut scenario.steps);
        rule.background.iter_mut().map(|background| &mut background.steps).chain(scenarios)
    });
    let background = background.iter_mut().map(|background| &mut background.steps);
    let scenarios = scenarios.iter_mut().map(|scenario| &mut scenario.steps);
    for step in background.chain(scenarios).chain(ruled).flatten() {
        step.ty = StepType::Given;
    }
    feature
}

/// File, line and name; for a scenario generated from an example, those of its row.
pub(crate) fn name(feature: &Feature, scenario: &Scenario) -> String {
    let file = feature.path.as_deref().and_then(Path::file_name).unwrap_or_default();
    format!("{}:{} {}", file.display(), scenario.position.line, scenario.name)
}

impl Selection {
    /// Prints the names as `cargo test -- --list` does.
    pub(crate) fn list(&self) {
        for feature in &self.features {
            for scenario in scenarios(feature) {
                println!("{}: test", name(feature, scenario));
            }
        }
    }
}
