//! Steps about evaluations and their results.

use cucumber::gherkin::Step;

use super::{equal, step};
use crate::{
    evaluation::{Flag, Type},
    world::World,
};

#[step(regex = r#"^an? (\w+)-flag with key "([^"]*)" and a (?:default|fallback) value "(.*)"$"#)]
fn a_flag(world: &mut World, kind: Type, key: String, default: String) -> Result<(), String> {
    let default = kind.parse(&default)?;
    world.flag = Some(Flag { kind, key, default });
    Ok(())
}

#[step(
    regex = r#"^a context containing a key "([^"]+)", with type "([^"]+)" and with value "(.*)"$"#
)]
fn a_context_field(
    world: &mut World,
    key: String,
    kind: Type,
    value: String,
) -> Result<(), String> {
    world.context.set(key, kind.parse(&value)?);
    Ok(())
}

#[step(regex = r#"^a context containing a targeting key with value "(.*)"$"#)]
fn a_targeting_key(world: &mut World, value: String) {
    world.context.set("targetingKey".to_owned(), value.into());
}

#[step(
    regex = r#"^a context containing a nested property with outer key "([^"]+)" and inner key "([^"]+)", with value "(.*)"$"#
)]
fn a_nested_context_field(world: &mut World, outer: String, inner: String, value: String) {
    world.context.set_nested(outer, inner, value.into());
}

#[step(regex = "^the flag was evaluated with details$")]
async fn the_flag_was_evaluated(world: &mut World) -> Result<(), String> {
    let client = &world.subject()?.client;
    world.details = Some(world.flag()?.evaluate(client, &world.context).await);
    Ok(())
}

#[step(regex = r#"^the resolved details value should be "(.*)"$"#)]
fn the_value_should_be(world: &mut World, value: String) -> Result<(), String> {
    let details = world.details()?;
    let expected = world.flag()?.kind.parse(&value)?;
    equal(&details.value, &expected).map_err(|error| format!("{error}\n{details:?}"))
}

#[step(regex = r#"^the reason should be "(.*)"$"#)]
fn the_reason_should_be(world: &mut World, reason: String) -> Result<(), String> {
    let details = world.details()?;
    equal(&details.reason, &reason).map_err(|error| format!("{error}\n{details:?}"))
}

#[step(regex = r#"^the variant should be "(.*)"$"#)]
fn the_variant_should_be(world: &mut World, variant: String) -> Result<(), String> {
    equal(&world.details()?.variant, &variant)
}

#[step(regex = r#"^the error-code should be "(.*)"$"#)]
fn the_error_code_should_be(world: &mut World, code: String) -> Result<(), String> {
    equal(&world.details()?.error_code, &code)
}

#[step(regex = "^the resolved metadata should contain$")]
fn the_metadata_should_contain(world: &mut World, step: &Step) -> Result<(), String> {
    let details = world.details()?;
    let table = step.table.as_ref().ok_or("the step has no table")?;
    for row in table.rows.iter().skip(1) {
        let [key, kind, value] = &row[..] else {
            return Err(format!("{row:?} is not key, type and value"));
        };
        let kind: Type = kind.parse()?;
        equal(&details.metadata(key), &Some((kind, kind.parse(value)?)))
            .map_err(|error| format!("{key}: {error}"))?;
    }
    Ok(())
}

#[step(regex = "^the resolved metadata is empty$")]
fn the_metadata_is_empty(world: &mut World) -> Result<(), String> {
    equal(&world.details()?.metadata, &std::collections::HashMap::new())
}
