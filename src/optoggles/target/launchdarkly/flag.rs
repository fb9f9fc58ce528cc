//! A flag as LaunchDarkly's REST API shows it.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use crate::optoggles::{toggle::Toggle, users::Users};

/// What is needed of a flag.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Flag {
    pub(super) name: String,
    #[serde(default)]
    description: Option<String>,
    variations: Vec<Variation>,
    #[serde(default)]
    environments: HashMap<String, Environment>,
}

#[derive(Clone, Debug, Deserialize)]
struct Variation {
    #[serde(rename = "_id")]
    id: Option<String>,
    value: Value,
}

/// What is needed of a flag's configuration in one environment.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Environment {
    on: bool,
    #[serde(default)]
    targets: Vec<Target>,
    #[serde(default)]
    context_targets: Vec<Target>,
    #[serde(default)]
    rules: Vec<serde::de::IgnoredAny>,
    fallthrough: Option<Fallthrough>,
    off_variation: Option<usize>,
}

#[derive(Clone, Debug, Deserialize)]
struct Fallthrough {
    variation: Option<usize>,
}

/// The users of one context kind that are served one variation.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Target {
    #[serde(default = "user")]
    pub(super) context_kind: String,
    pub(super) variation: usize,
    pub(super) values: Users,
}

fn user() -> String {
    "user".to_owned()
}

/// The variations of a boolean flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Variations {
    pub(super) on: (usize, String),
    pub(super) off: (usize, String),
}

impl Target {
    /// Whether it is those of this context kind who are served `true`.
    pub(super) fn is_list(&self, kind: &str, variations: &Variations) -> bool {
        self.context_kind == kind && self.variation == variations.on.0
    }
}

/// The description of a flag that is created with this mark.
pub(super) fn description(mark: &str) -> String {
    format!("Created by flagstaff optoggles ({mark})")
}

impl Flag {
    /// Whether it was created with the mark of this toggle. Its clone has another key.
    pub(super) fn is_marked(&self, toggle: &Toggle) -> bool {
        toggle.mark().is_some_and(|mark| self.description == Some(description(mark)))
    }

    /// Its variations `true` and `false`, unless it is another kind of flag.
    pub(super) fn variations(&self) -> Option<Variations> {
        let find = |value: bool| {
            let place = self.variations.iter().position(|variation| variation.value == value)?;
            Some((place, self.variations[place].id.clone()?))
        };
        let is_boolean = self.variations.len() == 2;
        is_boolean.then_some(Variations { on: find(true)?, off: find(false)? })
    }

    /// Its configuration in an environment, if the project has that.
    pub(super) fn environment(&self, key: &str) -> Option<&Environment> {
        self.environments.get(key)
    }
}

impl Environment {
    /// The users of this context kind that are targeted with a variation.
    fn targeted(&self, kind: &str, variation: usize) -> Users {
        let is_ours =
            |target: &&Target| target.context_kind == kind && target.variation == variation;
        let ours = self.targets().filter(is_ours);
        ours.fold(Users::default(), |users, target| users.with(&target.values))
    }

    /// The users of this context kind that are targeted with `true`.
    pub(super) fn users(&self, kind: &str, variations: &Variations) -> Users {
        self.targeted(kind, variations.on.0)
    }

    /// The users of this context kind that are targeted with `false`.
    pub(super) fn barred(&self, kind: &str, variations: &Variations) -> Users {
        self.targeted(kind, variations.off.0)
    }

    /// Whether it serves `false` to everybody because it is switched off.
    pub(super) fn is_off(&self, variations: &Variations) -> bool {
        !self.on && self.off_variation == Some(variations.off.0)
    }

    /// All targets.
    pub(super) fn targets(&self) -> impl Iterator<Item = &Target> {
        self.targets.iter().chain(&self.context_targets)
    }

    /// Whether nothing but the list of users decides, except for rules.
    pub(super) fn is_in_force(&self, variations: &Variations) -> bool {
        let off = Some(variations.off.0);
        let fallthrough = self.fallthrough.as_ref().and_then(|fallthrough| fallthrough.variation);
        self.on && fallthrough == off && self.off_variation == off
    }

    /// Whether nobody is targeted but with `true` and by this context kind.
    pub(super) fn is_only(&self, kind: &str, variations: &Variations) -> bool {
        self.targets().all(|target| target.is_list(kind, variations) || target.values.is_empty())
    }

    /// Whether it has rules, which may serve `true` to users who are not on the list.
    pub(super) fn has_rules(&self) -> bool {
        !self.rules.is_empty()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    pub(crate) fn users(names: &str) -> Users {
        names.split_whitespace().collect()
    }

    /// A flag with one environment, `test`.
    pub(crate) fn flag(environment: &Value) -> Flag {
        serde_json::from_value(json!({
            "name": "US", "key": "us", "unknown": 1,
            "variations": [{"_id": "i-off", "value": false}, {"_id": "i-on", "value": true}],
            "environments": {"test": environment},
        }))
        .unwrap()
    }

    #[test]
    fn variations_are_found_by_their_value() {
        let variations = flag(&json!({"on": true})).variations().unwrap();
        assert_eq!(variations.on, (1, "i-on".to_owned()));
        assert_eq!(variations.off, (0, "i-off".to_owned()));
        let text = json!({"name": "", "variations": [{"_id": "1", "value": "true"}]});
        assert_eq!(serde_json::from_value::<Flag>(text).unwrap().variations(), None);
    }

    #[test]
    fn what_an_environment_holds() {
        let flag = flag(&json!({
            "on": true, "offVariation": 0, "fallthrough": {"variation": 0},
            "targets": [{"variation": 1, "values": ["bob", "al"]}],
            "contextTargets": [
                {"contextKind": "user", "variation": 1, "values": []},
                {"contextKind": "org", "variation": 1, "values": ["acme"]},
            ],
        }));
        let variations = flag.variations().unwrap();
        let environment = flag.environment("test").unwrap();
        assert_eq!(environment.users("user", &variations), users("al bob"));
        assert_eq!(environment.users("org", &variations), users("acme"));
        assert!(environment.is_in_force(&variations) && !environment.has_rules());
        assert!(!environment.is_only("user", &variations), "acme has it too");
        assert!(flag.environment("none").is_none());
    }

    #[test]
    fn what_else_decides_is_seen() {
        let variations = flag(&json!({"on": true})).variations().unwrap();
        let base = json!({"on": true, "offVariation": 0, "fallthrough": {"variation": 0}});
        for (name, value) in [
            ("on", json!(false)),
            ("offVariation", json!(1)),
            ("offVariation", json!(null)),
            ("fallthrough", json!({"variation": 1})),
            ("fallthrough", json!({"rollout": {"variations": []}})),
        ] {
            let mut other = base.clone();
            other[name] = value;
            let flag = flag(&other);
            assert!(!flag.environment("test").unwrap().is_in_force(&variations), "{other}");
        }
        let flag = flag(&json!({"on": true, "rules": [{"clauses": []}]}));
        assert!(flag.environment("test").unwrap().has_rules());
    }
}
