//! Steps about options.

use super::{equal, step};
use crate::{
    options::{Type, Value, row},
    world::World,
};

#[step(regex = r#"^an option "([^"]+)" of type "([^"]+)" with value "(.*)"$"#)]
fn an_option(world: &mut World, name: String, kind: Type, value: String) -> Result<(), String> {
    world.config.set(name, kind, value)
}

#[step(regex = r#"^an environment variable "([^"]+)" with value "(.*)"$"#)]
fn an_environment_variable(world: &mut World, name: String, value: String) {
    world.config.set_variable(name, value);
}

#[step(regex = "^a config was initialized$")]
fn a_config_was_initialized(world: &mut World) {
    world.config.initialize();
}

#[step(regex = r#"^the option "([^"]+)" of type "([^"]+)" should have the value "(.*)"$"#)]
fn the_option_should_have_the_value(
    world: &mut World,
    name: String,
    kind: Type,
    value: String,
) -> Result<(), String> {
    let options = world.config.built()?.as_ref()?;
    equal(&(row(&name)?.get)(options), &Value::parse(kind, &value)?)
}

#[step(regex = "^we should have an error$")]
fn we_should_have_an_error(world: &mut World) -> Result<(), String> {
    match world.config.built()? {
        Err(_) => Ok(()),
        Ok(options) => Err(format!("there is none; the options are {options:?}")),
    }
}
