//! Steps about events, and about what causes them.

use std::time::Duration;

use super::step;
use crate::{events::Kind, support::wait::PATIENCE, world::World};

#[step(regex = r"^an? (\w+) event handler$")]
fn an_event_handler(world: &mut World, kind: Kind) {
    world.events.register(kind);
}

#[step(regex = r"^an? (\w+) event was fired$")]
async fn an_event_was_fired(world: &mut World, kind: Kind) -> Result<(), String> {
    world.events.executed(kind, PATIENCE).await
}

#[step(regex = r"^the (\w+) event handler should have been executed$")]
async fn the_handler_was_executed(world: &mut World, kind: Kind) -> Result<(), String> {
    world.events.executed(kind, PATIENCE).await
}

#[step(regex = r"^the (\w+) event handler should have been executed within (\d+)ms$")]
async fn the_handler_was_executed_within(
    world: &mut World,
    kind: Kind,
    millis: u64,
) -> Result<(), String> {
    world.events.executed(kind, Duration::from_millis(millis)).await
}

/// Waits long enough for a timer that should have been stopped to fire.
#[step(regex = r"^the (\w+) event handler should not have been executed$")]
async fn the_handler_was_not_executed(world: &mut World, kind: Kind) -> Result<(), String> {
    let grace = world.subject()?.provider.options().retry_grace_period();
    world.events.not_executed(kind, grace).await
}

#[step(regex = "^the flag should be part of the event payload$")]
fn the_flag_is_part_of_the_event(world: &mut World) -> Result<(), String> {
    world.events.names_flag(&world.flag()?.key)
}

#[step(regex = "^the flag was modified$")]
async fn the_flag_was_modified(world: &mut World) -> Result<(), String> {
    world.events.cause();
    world.backend()?.change_flag().await
}

#[step(regex = r"^the connection is lost for (\d+)s$")]
fn the_connection_is_lost(world: &mut World, seconds: u64) -> Result<(), String> {
    world.events.cause();
    world.backend()?.lose(Duration::from_secs(seconds))
}
