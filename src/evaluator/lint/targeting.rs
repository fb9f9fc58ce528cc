//! Warnings of targeting rules. The rules of flagd's schema for each operator, as code.

use serde_json::Value as Json;

use super::{Entry, Kind, Linter, Tree, kind, text};

/// What an operator takes.
#[derive(Clone, Copy)]
enum Takes {
    /// Arguments, so many at least and at most.
    Arguments(usize, usize),
    /// One argument, in a list or not.
    One,
    /// The name of a variable, with or without what stands for it.
    Variable,
    Names,
    SomeNames,
    /// Two texts, or rules for them.
    Texts,
    Versions,
    Buckets,
}

/// The operators; a number tells those apart that may not stand in one object.
const OPERATORS: &[(u8, Takes, &[&str])] = &[
    (0, Takes::Variable, &["var"]),
    (1, Takes::Names, &["missing"]),
    (2, Takes::SomeNames, &["missing_some"]),
    (3, Takes::Arguments(1, usize::MAX), &["if"]),
    (3, Takes::Arguments(2, 2), &["==", "===", "!=", "!==", ">", ">=", "%", "/", "in"]),
    (3, Takes::Arguments(2, 2), &["map", "filter", "all", "none", "some"]),
    (4, Takes::Arguments(2, 3), &["substr", "<", "<="]),
    (5, Takes::Arguments(2, usize::MAX), &["*"]),
    (6, Takes::One, &["!", "!!"]),
    (7, Takes::Arguments(1, usize::MAX), &["or", "and", "+", "-", "max", "min", "merge", "cat"]),
    (8, Takes::Arguments(3, 3), &["reduce"]),
    (9, Takes::Texts, &["starts_with", "ends_with"]),
    (10, Takes::Versions, &["sem_ver"]),
    (11, Takes::Buckets, &["fractional"]),
];

fn operator(name: &str) -> Option<(u8, Takes)> {
    let found = OPERATORS.iter().find(|(_, _, names)| names.contains(&name));
    found.map(|(group, takes, _)| (*group, *takes))
}

impl<'t> Linter<'t> {
    /// The rule of a flag or an evaluator.
    pub(super) fn targeting(&mut self, rule: &'t Tree) {
        match self.entries(rule) {
            None => self.warn(rule.at, "a rule should be an object"),
            Some(entries) => {
                if let [reference] = &*entries
                    && reference.name == "$ref"
                {
                    self.warn(rule.at, "a reference alone is no rule to flagd's schema");
                    self.reference(reference);
                } else {
                    self.operations(rule, &entries);
                }
            }
        }
    }

    /// A rule that is no reference.
    fn rule(&mut self, rule: &'t Tree) {
        match self.entries(rule) {
            None => self.warn(rule.at, "a rule should be an object"),
            Some(entries) => self.operations(rule, &entries),
        }
    }

    fn operations(&mut self, rule: &'t Tree, entries: &[&'t Entry]) {
        let mut group = None;
        for entry in entries {
            let Some((own, takes)) = operator(&entry.name) else {
                let message = match &*entry.name {
                    "$ref" => "a reference cannot stand here".to_owned(),
                    name => format!("there is no operator `{name}`"),
                };
                self.warn(entry.at, message);
                continue;
            };
            if *group.get_or_insert(own) != own {
                self.warn(rule.at, "a rule should have one operator");
            }
            self.arguments(entry, takes);
        }
    }

    /// What an operator takes anywhere: a value, a rule or a reference.
    fn argument(&mut self, argument: &'t Tree) {
        let Some(entries) = self.entries(argument) else { return };
        match &*entries {
            [] => self.warn(argument.at, "an empty object is no argument"),
            [reference] if reference.name == "$ref" => self.reference(reference),
            entries => self.operations(argument, entries),
        }
    }

    fn reference(&mut self, reference: &'t Entry) {
        match text(&reference.value) {
            None => self.warn(reference.value.at, "`$ref` should be a text"),
            Some(name) if !self.evaluators.contains(name) => {
                self.warn(reference.value.at, format!("there is no evaluator `{name}`"));
            }
            Some(_) => {}
        }
    }

    fn arguments(&mut self, operation: &'t Entry, takes: Takes) {
        let (name, value) = (&*operation.name, &*operation.value);
        match takes {
            Takes::Variable => self.variable(value),
            Takes::One => match &value.kind {
                // A list is a value, whatever it holds; one item is looked at as what is meant.
                Kind::List(_) => {}
                _ => self.argument(value),
            },
            Takes::Arguments(least, most) => {
                for argument in self.list(name, value, least, most) {
                    self.argument(argument);
                }
            }
            Takes::Names => {
                let names = self.list(name, value, 0, usize::MAX);
                self.names(names);
            }
            Takes::SomeNames => {
                if let [count, names] = &*self.list(name, value, 2, 2) {
                    if kind(count) != "a number" {
                        self.warn(count.at, "`missing_some` should begin with a number");
                    }
                    match &names.kind {
                        Kind::List(names) => self.names(names.iter().map(|n| &**n).collect()),
                        _ => self.warn(names.at, "`missing_some` should end with a list of names"),
                    }
                }
            }
            Takes::Texts => {
                for argument in self.list(name, value, 2, 2) {
                    match kind(argument) {
                        "a text" => {}
                        "an object" => self.rule(argument),
                        _ => {
                            let message = format!("`{name}` takes texts, or rules for them");
                            self.warn(argument.at, message);
                        }
                    }
                }
            }
            Takes::Versions => self.versions(value),
            Takes::Buckets => self.buckets(value),
        }
    }

    /// The items of a list of so many.
    fn list(&mut self, name: &str, value: &'t Tree, least: usize, most: usize) -> Vec<&'t Tree> {
        let Kind::List(items) = &value.kind else {
            self.warn(value.at, format!("`{name}` takes a list"));
            return Vec::new();
        };
        let items: Vec<&Tree> = items.iter().map(|item| &**item).collect();
        if (least..=most).contains(&items.len()) {
            return items;
        }
        let takes = match (least, most) {
            (least, most) if least == most => format!("{least}"),
            (least, usize::MAX) => format!("{least} or more"),
            (least, most) => format!("{least} to {most}"),
        };
        let plural = if takes == "1" { "" } else { "s" };
        let message = format!("`{name}` takes {takes} argument{plural}, and has {}", items.len());
        self.warn(value.at, message);
        items
    }

    fn names(&mut self, names: Vec<&'t Tree>) {
        for name in names {
            if kind(name) != "a text" {
                self.warn(name.at, "the name of a variable should be a text");
            }
        }
    }

    fn variable(&mut self, name: &'t Tree) {
        if let Some(field) = text(name).and_then(|name| name.strip_prefix("$flagd."))
            && !matches!(field, "timestamp" | "flagKey")
        {
            let message = "`$flagd` has only the fields `timestamp` and `flagKey`";
            self.warn(name.at, message);
        }
    }

    fn versions(&mut self, value: &'t Tree) {
        const COMPARISONS: [&str; 8] = ["=", "!=", ">", "<", ">=", "<=", "~", "^"];
        for (index, argument) in self.list("sem_ver", value, 3, 3).into_iter().enumerate() {
            let fits = match (index, text(argument)) {
                (1, comparison) => comparison.is_some_and(|text| COMPARISONS.contains(&text)),
                (_, Some(version)) => is_full_version(version),
                (_, None) => match self.entries(argument).as_deref() {
                    Some([]) => true,
                    Some([variable]) if variable.name == "var" => {
                        self.variable(&variable.value);
                        true
                    }
                    _ => false,
                },
            };
            if !fits {
                let message = match (index, text(argument)) {
                    (1, _) => format!("`sem_ver` compares by {}", COMPARISONS.join(" ")),
                    (_, Some(version)) => format!("`{version}` is no full semantic version"),
                    _ => "`sem_ver` takes versions, or variables for them".to_owned(),
                };
                self.warn(argument.at, message);
            }
        }
    }

    fn buckets(&mut self, value: &'t Tree) {
        let parts = self.list("fractional", value, 1, usize::MAX);
        for (index, part) in parts.into_iter().enumerate() {
            if index == 0 && kind(part) == "an object" {
                self.rule(part);
            } else {
                self.bucket(part);
            }
        }
    }

    fn bucket(&mut self, bucket: &'t Tree) {
        let Kind::List(parts) = &bucket.kind else {
            self.warn(bucket.at, "a bucket should be a list of a variant and its weight");
            return;
        };
        if !(1..=2).contains(&parts.len()) {
            self.warn(bucket.at, "a bucket should be a list of a variant and its weight");
        }
        if let Some(variant) = parts.first() {
            self.argument(variant);
        }
        if let Some(weight) = parts.get(1) {
            match &weight.kind {
                Kind::Object(_) => self.rule(weight),
                Kind::Scalar(Json::Number(number))
                    if number
                        .as_f64()
                        .is_some_and(|weight| weight >= 0.0 && weight.fract() == 0.0) => {}
                _ => self
                    .warn(weight.at, "a weight should be a whole number, not below 0, or a rule"),
            }
        }
    }
}

/// Whether a version has all its parts as <https://semver.org> wants them, without `v`.
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
    use crate::evaluator::lint;

    fn of_rule(rule: &str) -> Vec<String> {
        let flag = format!(r#"{{"state":"ENABLED","variants":{{"a":1}},"targeting":{rule}}}"#);
        let evaluators = r#"{"e":{"var":"x"}}"#;
        let text = format!(r#"{{"$evaluators":{evaluators},"flags":{{"f":{flag}}}}}"#);
        lint(&text).unwrap().into_iter().map(|warning| warning.message).collect()
    }

    #[test]
    fn nothing_to_warn_of() {
        for rule in [
            "{}",
            r#"{"if":[true]}"#,
            r#"{"<":[1,{"$ref":"e"},3],"<=":[1,2]}"#,
            r#"{"!":[]}"#,
            r#"{"!!":{"var":"x"}}"#,
            r#"{"and":[[{"any":"thing"}]]}"#,
            r#"{"var":["$flagd.x"]}"#,
            r#"{"var":"$flagd.timestamp"}"#,
            r#"{"missing":["a"]}"#,
            r#"{"missing_some":[1,["a","b"]]}"#,
            r#"{"starts_with":["a",{"var":"b"}]}"#,
            r#"{"sem_ver":["1.2.3-a.1+b",">=",{"var":"v"}]}"#,
            r#"{"fractional":[["a",25.0],["b"]]}"#,
            r#"{"fractional":[{"var":"x"},["a",{"+":[1]}]]}"#,
        ] {
            assert_eq!(of_rule(rule), [""; 0], "{rule}");
        }
    }

    #[test]
    fn each_rule() {
        for (rule, message) in [
            ("1", "a rule should be an object"),
            (r#"{"$ref":"e"}"#, "a reference alone is no rule to flagd's schema"),
            (r#"{"and":[{"$ref":"x"}]}"#, "there is no evaluator `x`"),
            (r#"{"and":[{"$ref":1}]}"#, "`$ref` should be a text"),
            (r#"{"and":[{"$ref":"e","var":"x"}]}"#, "a reference cannot stand here"),
            (r#"{"nope":[1]}"#, "there is no operator `nope`"),
            (r#"{"==":[1,1],"<":[1,2]}"#, "a rule should have one operator"),
            (r#"{"if":[]}"#, "`if` takes 1 or more arguments, and has 0"),
            (r#"{"==":[1]}"#, "`==` takes 2 arguments, and has 1"),
            (r#"{"<":[1,2,3,4]}"#, "`<` takes 2 to 3 arguments, and has 4"),
            (r#"{"reduce":[1]}"#, "`reduce` takes 3 arguments, and has 1"),
            (r#"{"*":[1]}"#, "`*` takes 2 or more arguments, and has 1"),
            (r#"{"cat":"x"}"#, "`cat` takes a list"),
            (r#"{"or":[{}]}"#, "an empty object is no argument"),
            (r#"{"!":{}}"#, "an empty object is no argument"),
            (r#"{"var":"$flagd.x"}"#, "`$flagd` has only the fields `timestamp` and `flagKey`"),
            (r#"{"missing":[1]}"#, "the name of a variable should be a text"),
            (r#"{"missing_some":["1",["a"]]}"#, "`missing_some` should begin with a number"),
            (r#"{"missing_some":[1,"a"]}"#, "`missing_some` should end with a list of names"),
            (r#"{"ends_with":["a",1]}"#, "`ends_with` takes texts, or rules for them"),
            (r#"{"ends_with":["a",{"$ref":"e"}]}"#, "a reference cannot stand here"),
            (r#"{"sem_ver":["1.2","=","1.2.3"]}"#, "`1.2` is no full semantic version"),
            (r#"{"sem_ver":["1.2.3","==","1.2.3"]}"#, "`sem_ver` compares by = != > < >= <= ~ ^"),
            (r#"{"sem_ver":[1,"=","1.2.3"]}"#, "`sem_ver` takes versions, or variables for them"),
            (r#"{"fractional":[]}"#, "`fractional` takes 1 or more arguments, and has 0"),
            (
                r#"{"fractional":["a",["b",1]]}"#,
                "a bucket should be a list of a variant and its weight",
            ),
            (
                r#"{"fractional":[["b",1,2]]}"#,
                "a bucket should be a list of a variant and its weight",
            ),
            (
                r#"{"fractional":[["b",1.5]]}"#,
                "a weight should be a whole number, not below 0, or a rule",
            ),
            (
                r#"{"fractional":[["b",-1]]}"#,
                "a weight should be a whole number, not below 0, or a rule",
            ),
        ] {
            assert_eq!(of_rule(rule), [message], "{rule}");
        }
    }

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
