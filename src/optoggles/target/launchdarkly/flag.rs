//! A flag as LaunchDarkly's REST API shows it, and what is to be changed in an environment of it.
//! Without I/O.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::optoggles::users::Users;

/// What is needed of a flag.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Flag {
    pub(super) name: String,
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
struct Target {
    #[serde(default = "user")]
    context_kind: String,
    variation: usize,
    values: Users,
}

fn user() -> String {
    "user".to_owned()
}

/// The variations of a boolean flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Variations {
    on: (usize, String),
    off: (usize, String),
}

impl Flag {
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
        let all = self.targets.iter().chain(&self.context_targets);
        let ours =
            all.filter(|target| target.context_kind == kind && target.variation == variation);
        ours.fold(Users::default(), |users, target| users.with(&target.values))
    }

    /// The users of this context kind that are targeted with `true`.
    pub(super) fn users(&self, kind: &str, variations: &Variations) -> Users {
        self.targeted(kind, variations.on.0)
    }

    /// Whether nothing but the list of users decides, except for rules.
    pub(super) fn is_in_force(&self, variations: &Variations) -> bool {
        let off = Some(variations.off.0);
        let fallthrough = self.fallthrough.as_ref().and_then(|fallthrough| fallthrough.variation);
        self.on && fallthrough == off && self.off_variation == off
    }

    /// Whether nobody is targeted but with `true` and by this context kind.
    pub(super) fn is_only(&self, kind: &str, variations: &Variations) -> bool {
        let all = self.targets.iter().chain(&self.context_targets);
        let mut others =
            all.filter(|target| target.context_kind != kind || target.variation != variations.on.0);
        others.all(|target| target.values.is_empty())
    }

    /// Whether it has rules, which may serve `true` to users who are not on the list.
    pub(super) fn has_rules(&self) -> bool {
        !self.rules.is_empty()
    }

    /// The targets besides the users of this kind that are served `true`, as in an instruction.
    fn others(&self, kind: &str, variations: &Variations) -> Vec<Value> {
        let mut others = Vec::new();
        let all = self.targets.iter().chain(&self.context_targets);
        for Target { context_kind, variation, values } in all {
            let is_on = *variation == variations.on.0;
            let id = if is_on { &variations.on.1 } else { &variations.off.1 };
            let is_ours = context_kind == kind && is_on;
            if !is_ours && !values.is_empty() {
                others.push(targets(context_kind, id, values));
            }
        }
        others
    }
}

fn targets(kind: &str, variation: &str, users: &Users) -> Value {
    let values: Vec<_> = users.iter().collect();
    json!({"contextKind": kind, "variationId": variation, "values": values})
}

/// The instructions that serve `true` to these users and `false` to everybody else.
pub(super) fn own(kind: &str, variations: &Variations, users: &Users) -> Vec<Value> {
    let targets = vec![
        targets(kind, &variations.on.1, users),
        targets(kind, &variations.off.1, &Users::default()),
    ];
    instructions(variations, targets)
}

/// The instructions that serve `true` to these users besides those that others have targeted.
pub(super) fn merged(
    kind: &str,
    variations: &Variations,
    users: &Users,
    environment: &Environment,
) -> Vec<Value> {
    let mut all = vec![targets(kind, &variations.on.1, users)];
    all.extend(environment.others(kind, variations));
    instructions(variations, all)
}

fn instructions(variations: &Variations, targets: Vec<Value>) -> Vec<Value> {
    let off = &variations.off.1;
    vec![
        json!({"kind": "turnFlagOn"}),
        json!({"kind": "updateFallthroughVariationOrRollout", "variationId": off}),
        json!({"kind": "updateOffVariation", "variationId": off}),
        json!({"kind": "replaceTargets", "targets": targets}),
    ]
}

/// What a list becomes that others edit too.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Merge {
    /// The whole list.
    pub(super) list: Users,
    /// Those of it that are there because of the policy alone, and leave with it.
    pub(super) added: Users,
}

/// Merges the users of the policy into a list: whoever is on it and was not added by this program
/// (`added`) was put there by hand and stays; whoever is `barred` was served `false` by hand.
pub(super) fn merge(policy: &Users, list: &Users, added: &Users, barred: &Users) -> Merge {
    let by_hand = list.without(added);
    let added = policy.without(&by_hand).without(barred);
    Merge { list: by_hand.with(&added), added }
}

/// The users of this kind who are served `false` by their name.
pub(super) fn barred(environment: &Environment, kind: &str, variations: &Variations) -> Users {
    environment.targeted(kind, variations.off.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(names: &str) -> Users {
        names.split_whitespace().collect()
    }

    fn flag(environment: &Value) -> Flag {
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

    #[test]
    fn a_list_that_is_owned_replaces_all_targets() {
        let variations = flag(&json!({"on": true})).variations().unwrap();
        let targets = json!([
            {"contextKind": "user", "variationId": "i-on", "values": ["bob"]},
            {"contextKind": "user", "variationId": "i-off", "values": []},
        ]);
        assert_eq!(
            own("user", &variations, &users("bob")),
            [
                json!({"kind": "turnFlagOn"}),
                json!({"kind": "updateFallthroughVariationOrRollout", "variationId": "i-off"}),
                json!({"kind": "updateOffVariation", "variationId": "i-off"}),
                json!({"kind": "replaceTargets", "targets": targets}),
            ]
        );
    }

    #[test]
    fn a_list_that_is_merged_keeps_what_others_have_targeted() {
        let flag = flag(&json!({"on": true, "contextTargets": [
            {"contextKind": "user", "variation": 1, "values": ["al"]},
            {"contextKind": "user", "variation": 0, "values": ["eve"]},
            {"contextKind": "org", "variation": 1, "values": ["acme"]},
        ]}));
        let (variations, environment) =
            (flag.variations().unwrap(), flag.environment("test").unwrap());
        let instructions = merged("user", &variations, &users("al bob"), environment);
        let expected = json!([
            {"contextKind": "user", "variationId": "i-on", "values": ["al", "bob"]},
            {"contextKind": "user", "variationId": "i-off", "values": ["eve"]},
            {"contextKind": "org", "variationId": "i-on", "values": ["acme"]},
        ]);
        assert_eq!(instructions[3]["targets"], expected);
        assert_eq!(barred(environment, "user", &variations), users("eve"));
    }

    #[test]
    fn merging() {
        for (policy, list, added, barred, expected, expected_added) in [
            ("bob", "", "", "", "bob", "bob"),
            ("bob", "al", "", "", "al bob", "bob"),
            // What was there before stays when the policy takes it back.
            ("al bob", "al", "", "", "al bob", "bob"),
            ("", "al bob", "bob", "", "al", ""),
            // Taken off the list by hand: the policy puts it back.
            ("bob", "al", "bob", "", "al bob", "bob"),
            ("bob eve", "", "", "eve", "bob", "bob"),
        ] {
            let merge = merge(&users(policy), &users(list), &users(added), &users(barred));
            assert_eq!(merge, Merge { list: users(expected), added: users(expected_added) });
        }
    }
}
