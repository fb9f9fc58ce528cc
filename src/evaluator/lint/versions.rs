//! Warnings about `sem_ver`.
//!
//! The operator takes a version, an operator and a version, and is null with
//! anything that it cannot read. flagd accepts partial versions and a leading
//! `v`, and its schema only full ones. A warning tells the two apart, because
//! only the first is a mistake in every case.
//!
//! ```text
//! ["1.2.x", "=", "1.2.3"]    always null      ["1.2", "=", "1.2.3"]    rejected by the schema
//! ```

use serde_json::Value as Json;

use super::{
    linter::{Linter, text},
    near::near,
    operators::Kinds,
    read::{literal, operation},
};
use crate::evaluator::{load::tree::Tree, rule::sem_ver, value::Value};

/// The operators of `sem_ver`. Of those that are equally near to a misspelled
/// one, the first is suggested.
const COMPARISONS: [&str; 8] = [">=", "<=", "!=", "=", ">", "<", "~", "^"];

impl<'t> Linter<'t> {
    /// Checks the arguments of `sem_ver`.
    pub(crate) fn versions(&mut self, value: &'t Tree) {
        for (index, argument) in self.list("sem_ver", value, 3, 3).into_iter().enumerate() {
            if index == 1 {
                self.comparison(argument);
            } else if let Some(version) = literal(argument) {
                // With another type it is always null, which the check of types reports.
                if version.is_string() || version.is_number() {
                    self.version(argument, &version);
                }
            } else {
                if operation(argument).is_none_or(|operation| operation.name != "var") {
                    let message = "flagd's schema accepts a version or a variable here";
                    self.warn(argument.at, message);
                }
                self.argument(argument);
            }
        }
    }

    /// Checks the second argument, the operator.
    fn comparison(&mut self, argument: &'t Tree) {
        let message = match text(argument) {
            Some(known) if COMPARISONS.contains(&known) => return,
            None if Kinds::of(argument) == Kinds::OBJECT => {
                self.argument(argument);
                "flagd's schema does not accept a rule as the operator of `sem_ver`".to_owned()
            }
            written => {
                let near = match written {
                    Some("==" | "===") => Some("="),
                    Some("!==" | "<>") => Some("!="),
                    written => written.and_then(|written| near(written, COMPARISONS)),
                };
                let near = near.map_or_else(
                    || format!("expected one of {}", COMPARISONS.join(" ")),
                    |near| format!("did you mean `{near}`?"),
                );
                format!("this is not an operator of `sem_ver`, which is always null; {near}")
            }
        };
        self.warn(argument.at, message);
    }

    /// Checks a version that is written in the rule.
    fn version(&mut self, argument: &'t Tree, version: &Json) {
        if !sem_ver::is_version(&Value::from(version)) {
            let message = "this is not a semantic version: `sem_ver` is always null";
            self.warn(argument.at, message);
        } else if !version.as_str().is_some_and(is_full_version) {
            let message = "flagd's schema accepts only full versions, such as `1.2.0`";
            self.warn(argument.at, message);
        }
    }
}

/// Whether a version has all parts that <https://semver.org> requires, without a
/// leading `v`: the form that flagd's schema accepts.
fn is_full_version(text: &str) -> bool {
    let (text, build) = text.split_once('+').map_or((text, None), |(t, build)| (t, Some(build)));
    let (core, pre) = text.split_once('-').map_or((text, None), |(core, pre)| (core, Some(pre)));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let number = |part: &str| digits(part) && (part == "0" || !part.starts_with('0'));
    let word = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    core.split('.').count() == 3
        && core.split('.').all(number)
        && pre.is_none_or(|pre| pre.split('.').all(|p| word(p) && (!digits(p) || number(p))))
        && build.is_none_or(|build| build.split('.').all(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_versions() {
        for version in ["0.0.0", "1.2.3", "1.2.3-0a.x-y", "1.2.3+001", "1.2.3-a+b.c"] {
            assert!(is_full_version(version), "{version}");
        }
        for version in
            ["", "1", "1.2", "v1.2.3", "01.2.3", "1.2.3-", "1.2.3-01", "1.2.3+", "1.2.3.4"]
        {
            assert!(!is_full_version(version), "{version}");
        }
    }
}
