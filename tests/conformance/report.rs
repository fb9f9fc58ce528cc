//! Prints the outcome of each scenario, the failures, and the summary.

use std::collections::HashMap;

use cucumber::{
    event::{
        Cucumber, Feature, Hook, Info, RetryableScenario, Rule, Scenario, Source, Step, StepError,
    },
    gherkin,
};

use crate::{features::name, suite::Suite, world::World};

/// Counts scenarios.
pub(crate) struct Report {
    passed: usize,
    skipped: usize,
    /// The names of those that failed, and why.
    failed: Vec<(String, String)>,
    /// Scenarios that run and have failed already, and why.
    failing: HashMap<Source<gherkin::Scenario>, String>,
}

impl Report {
    pub(crate) fn new(skipped: &[(String, &str)]) -> Self {
        for (name, reason) in skipped {
            println!("test {name} ... ignored, {reason}");
        }
        let skipped = skipped.len();
        Self { passed: 0, skipped, failed: Vec::new(), failing: HashMap::new() }
    }

    /// Records one event of the runner.
    pub(crate) fn add(&mut self, event: Cucumber<World>) {
        if let Cucumber::Feature(
            feature,
            Feature::Scenario(scenario, event) | Feature::Rule(_, Rule::Scenario(scenario, event)),
        ) = event
        {
            self.add_to_scenario(&feature, scenario, event);
        }
    }

    fn add_to_scenario(
        &mut self,
        feature: &gherkin::Feature,
        scenario: Source<gherkin::Scenario>,
        event: RetryableScenario<World>,
    ) {
        let failure = match event.event {
            Scenario::Background(step, Step::Skipped) | Scenario::Step(step, Step::Skipped) => {
                Some(at(&step, "no definition fits this step"))
            }
            Scenario::Background(step, Step::Failed(.., error))
            | Scenario::Step(step, Step::Failed(.., error)) => Some(at(&step, &reason(&error))),
            Scenario::Hook(when, Hook::Failed(_, panic)) => {
                Some(format!("{when} the scenario: {}", text(&panic)))
            }
            Scenario::Finished => return self.finish_scenario(name(feature, &scenario), &scenario),
            _ => None,
        };
        if let Some(failure) = failure {
            self.failing.entry(scenario).or_insert(failure);
        }
    }

    fn finish_scenario(&mut self, name: String, scenario: &Source<gherkin::Scenario>) {
        match self.failing.remove(scenario) {
            None => {
                println!("test {name} ... ok");
                self.passed += 1;
            }
            Some(failure) => {
                println!("test {name} ... FAILED");
                self.failed.push((name, failure));
            }
        }
    }

    /// Prints failures and summary; whether there was no failure.
    pub(crate) fn finish(self, suite: Suite) -> bool {
        let Self { passed, skipped, failed, .. } = self;
        for (name, failure) in &failed {
            println!("\n---- {name}\n{failure}");
        }
        println!(
            "\nconformance {}: {passed} passed, {} failed, {skipped} skipped",
            suite.name(),
            failed.len()
        );
        failed.is_empty()
    }
}

fn at(step: &gherkin::Step, failure: &str) -> String {
    format!("line {}: {}{}\n{failure}", step.position.line, step.keyword, step.value)
}

fn reason(error: &StepError) -> String {
    match error {
        StepError::Panic(panic) => text(panic),
        error => error.to_string(),
    }
}

fn text(panic: &Info) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("panicked").to_owned()
}
