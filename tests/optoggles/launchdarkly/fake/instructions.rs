//! Single instructions of semantic patches, which LaunchDarkly's document does not describe: which
//! kinds there are, what is in them, and what they do.

use serde_json::{Value, json};

use super::document;

/// What a member of an instruction is.
#[derive(Clone, Copy, PartialEq)]
enum Member {
    Text,
    Texts,
    Boolean,
    Variation,
    Targets,
}

/// A kind, whether it is about an environment, and its members besides `kind`.
type Kind = (&'static str, bool, &'static [(&'static str, Member)]);

const KINDS: [Kind; 10] = [
    ("turnFlagOn", true, &[]),
    ("turnFlagOff", true, &[]),
    ("updateFallthroughVariationOrRollout", true, &[("variationId", Member::Variation)]),
    ("updateOffVariation", true, &[("variationId", Member::Variation)]),
    ("replaceTargets", true, &[("targets", Member::Targets)]),
    ("updateName", false, &[("value", Member::Text)]),
    ("updateDescription", false, &[("value", Member::Text)]),
    ("addTags", false, &[("values", Member::Texts)]),
    ("turnOnClientSideAvailability", false, &[("value", Member::Boolean)]),
    ("archiveFlag", false, &[]),
];

/// Makes a change to a flag, in an environment if the patch names one. All of it or nothing.
pub fn apply(
    flag: &mut Value,
    environment: Option<&str>,
    instructions: &[Value],
) -> Result<(), String> {
    let mut changed = flag.clone();
    for instruction in instructions {
        apply_one(&mut changed, environment, instruction)?;
    }
    changed["_version"] = json!(changed["_version"].as_u64().unwrap() + 1);
    *flag = changed;
    Ok(())
}

fn apply_one(flag: &mut Value, environment: Option<&str>, with: &Value) -> Result<(), String> {
    let kind = with["kind"].as_str().ok_or("an instruction without a kind")?;
    let row = KINDS.iter().find(|(name, ..)| *name == kind);
    let (_, needs_environment, members) = row.ok_or(format!("there is no kind `{kind}`"))?;
    if *needs_environment != environment.is_some() {
        return Err(format!("{kind}: `environmentKey` is missing, or is too much"));
    }
    let given = with.as_object().unwrap();
    let names = members.iter().map(|(name, _)| *name).chain(["kind"]);
    if let Some(name) = given.keys().find(|name| names.clone().all(|known| known != *name)) {
        return Err(format!("{kind}: it has no member `{name}`"));
    }
    for (name, member) in *members {
        let value = given.get(*name).ok_or(format!("{kind}: `{name}` is missing"))?;
        check(flag, *member, value).map_err(|problem| format!("{kind}: `{name}` {problem}"))?;
    }
    let variation = variation(flag, &with["variationId"]).map(|index| json!(index));
    let Some(key) = environment else {
        match kind {
            "updateName" => flag["name"] = with["value"].clone(),
            _ => return Err(format!("{kind}: the fake does not do it")),
        }
        return Ok(());
    };
    let Some(config) = flag["environments"].get_mut(key) else {
        return Err(format!("there is no environment `{key}`"));
    };
    match kind {
        "turnFlagOn" => config["on"] = json!(true),
        "turnFlagOff" => config["on"] = json!(false),
        "updateFallthroughVariationOrRollout" => {
            config["fallthrough"] = json!({"variation": variation});
        }
        "updateOffVariation" => config["offVariation"] = json!(variation),
        _ => replace_targets(flag, key, &with["targets"]),
    }
    Ok(())
}

/// The index of the variation with this id.
fn variation(flag: &Value, id: &Value) -> Option<usize> {
    flag["variations"].as_array().unwrap().iter().position(|variation| variation["_id"] == *id)
}

fn check(flag: &Value, member: Member, value: &Value) -> Result<(), String> {
    let are_texts =
        |value: &Value| value.as_array().is_some_and(|items| items.iter().all(Value::is_string));
    let is_right = match member {
        Member::Text => value.is_string(),
        Member::Boolean => value.is_boolean(),
        Member::Texts => are_texts(value),
        Member::Variation => variation(flag, value).is_some(),
        Member::Targets => {
            let targets = value.as_array().ok_or("is not an array")?;
            return targets.iter().try_for_each(|target| check_target(flag, target));
        }
    };
    if is_right { Ok(()) } else { Err(format!("is not what it must be: {value}")) }
}

/// A target of an instruction names its variation by id; else it is the `Target` of the document.
fn check_target(flag: &Value, target: &Value) -> Result<(), String> {
    let mut described = target.as_object().ok_or("has a target that is not an object")?.clone();
    let id = described.remove("variationId").ok_or("has a target without `variationId`")?;
    let index = variation(flag, &id).ok_or("has a target with an unknown `variationId`")?;
    described.insert("variation".to_owned(), json!(index));
    if !described.get("contextKind").is_some_and(Value::is_string) {
        return Err("has a target without `contextKind`".to_owned());
    }
    let problems = document::problems("Target", &Value::Object(described));
    if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) }
}

/// Replaces the targets of all context kinds. Those of the kind `user` stand in `targets`, with a
/// place holder among the others.
fn replace_targets(flag: &mut Value, environment: &str, targets: &Value) {
    let (mut users, mut contexts) = (Vec::new(), Vec::new());
    for target in targets.as_array().unwrap() {
        let values = &target["values"];
        if values.as_array().unwrap().is_empty() {
            continue;
        }
        let kind = &target["contextKind"];
        let variation = variation(flag, &target["variationId"]).unwrap();
        let shown =
            |values: &Value| json!({"contextKind": kind, "variation": variation, "values": values});
        if kind == "user" {
            users.push(shown(values));
            contexts.push(shown(&json!([])));
        } else {
            contexts.push(shown(values));
        }
    }
    let config = &mut flag["environments"][environment];
    config["targets"] = json!(users);
    config["contextTargets"] = json!(contexts);
}
