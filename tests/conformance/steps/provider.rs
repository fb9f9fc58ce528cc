//! Steps about the provider and its state.

use flagstaff::State;

use super::{equal, step};
use crate::{
    backend::{Backend, Kind},
    subject::Subject,
    world::World,
};

#[step(regex = r"^an? (\w+) flagd provider$")]
async fn a_flagd_provider(world: &mut World, kind: Kind) -> Result<(), String> {
    if world.subject.is_some() {
        return Err("the scenario has a provider already".to_owned());
    }
    let mut backend = Backend::start(world.suite, kind, &world.flags).await?;
    world.config.fill_in_port(|uri| backend.port_for(uri));
    let options = world.config.for_provider(backend.settings())?;
    world.backend = Some(backend);
    world.subject = Some(Subject::start(options, &world.events).await);
    if kind.gets_ready() {
        world.events.ready().await;
    }
    Ok(())
}

#[step(regex = "^the client should be in fatal state$")]
async fn the_client_should_be_fatal(world: &mut World) -> Result<(), String> {
    let state = world.subject()?.provider.state();
    if !world.subject()?.provider.is_fatal() || !world.events.is_fatal() {
        return Err(format!("the provider is {state:?}, or did not emit a fatal error"));
    }
    let pause = 2 * world.subject()?.provider.options().retry_backoff_max();
    world.backend()?.is_left_alone(pause).await
}

#[step(regex = r"^the client should be in (ready|stale|error) state$")]
fn the_client_should_be_in_state(world: &mut World, name: String) -> Result<(), String> {
    let expected = match name.as_str() {
        "ready" => State::Ready,
        "stale" => State::Stale,
        _ => State::Error,
    };
    equal(&world.subject()?.provider.state(), &expected)
}
