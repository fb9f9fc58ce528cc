//! What is to be changed of a flag in an environment, as semantic patches say it.

use serde_json::{Value, json};

use super::flag::{Environment, Target, Variations};
use crate::optoggles::users::Users;

/// The instructions that serve `true` to these users and `false` to everybody else.
pub(super) fn own(kind: &str, variations: &Variations, users: &Users) -> Vec<Value> {
    let on = targets(kind, &variations.on.1, users);
    let off = targets(kind, &variations.off.1, &Users::default());
    in_force(variations, &[on, off])
}

/// The instructions that serve `true` to these users, and leave all other targets as they are.
pub(super) fn merged(
    kind: &str,
    variations: &Variations,
    users: &Users,
    environment: &Environment,
) -> Vec<Value> {
    let is_other =
        |target: &&Target| !target.is_list(kind, variations) && !target.values.is_empty();
    let other = |Target { context_kind, variation, values }: &Target| {
        let is_on = *variation == variations.on.0;
        let id = if is_on { &variations.on.1 } else { &variations.off.1 };
        targets(context_kind, id, values)
    };
    let others = environment.targets().filter(is_other).map(other);
    let list = targets(kind, &variations.on.1, users);
    in_force(variations, &[list].into_iter().chain(others).collect::<Vec<_>>())
}

/// The instructions that serve `false` to everybody by switching the flag off.
pub(super) fn off(variations: &Variations) -> Vec<Value> {
    let off = &variations.off.1;
    vec![json!({"kind": "turnFlagOff"}), json!({"kind": "updateOffVariation", "variationId": off})]
}

/// The instructions that let these targets decide.
fn in_force(variations: &Variations, targets: &[Value]) -> Vec<Value> {
    let off = &variations.off.1;
    vec![
        json!({"kind": "turnFlagOn"}),
        json!({"kind": "updateFallthroughVariationOrRollout", "variationId": off}),
        json!({"kind": "updateOffVariation", "variationId": off}),
        json!({"kind": "replaceTargets", "targets": targets}),
    ]
}

fn targets(kind: &str, variation: &str, users: &Users) -> Value {
    let values: Vec<_> = users.iter().collect();
    json!({"contextKind": kind, "variationId": variation, "values": values})
}

#[cfg(test)]
mod tests {
    use super::{
        super::flag::tests::{flag, users},
        *,
    };

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
        let variations = flag.variations().unwrap();
        let environment = flag.environment("test").unwrap();
        let instructions = merged("user", &variations, &users("al bob"), environment);
        let expected = json!([
            {"contextKind": "user", "variationId": "i-on", "values": ["al", "bob"]},
            {"contextKind": "user", "variationId": "i-off", "values": ["eve"]},
            {"contextKind": "org", "variationId": "i-on", "values": ["acme"]},
        ]);
        assert_eq!(instructions[3]["targets"], expected);
    }
}
