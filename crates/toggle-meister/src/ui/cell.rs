//! A toggle as the pages show it.

use super::text::age;
use crate::{
    caller::Caller,
    model::PRODUCTION,
    role::Action,
    toggle::{State, Toggle},
    world::World,
};

/// A toggle as the pages show it.
pub(super) struct Cell {
    /// The environment.
    pub(super) env: String,
    /// Its state.
    pub(super) state: State,
    /// How many of a hundred users have the feature.
    pub(super) percent: u8,
    /// For how long it has been what it is.
    pub(super) age: Option<String>,
    /// Whether the visitor may switch it.
    pub(super) may: bool,
}

impl Cell {
    pub(super) fn of(toggle: Toggle, env: &str, now: i64, may: bool) -> Self {
        let toggle = toggle.at(now);
        let since = match toggle {
            Toggle::Off => None,
            Toggle::On { since } => Some(since),
            Toggle::Roll(rollout) => Some(rollout.start),
            Toggle::Pause { at, .. } => Some(at),
        };
        Self {
            env: env.to_owned(),
            state: toggle.state(),
            percent: toggle.percent(now),
            age: since.map(|it| age(it, now)),
            may,
        }
    }

    /// Whether anybody has the feature.
    pub(super) fn is_on(&self) -> bool {
        self.state != State::Off
    }

    /// Whether it is under way to everybody.
    pub(super) fn is_partial(&self) -> bool {
        matches!(self.state, State::Roll | State::Pause)
    }

    pub(super) fn is_rolling(&self) -> bool {
        self.state == State::Roll
    }

    pub(super) fn is_production(&self) -> bool {
        self.env == PRODUCTION
    }

    /// The state that a switch leads to.
    pub(super) fn opposite(&self) -> &'static str {
        if self.is_on() {
            "OFF"
        } else if self.is_production() {
            "ROLL"
        } else {
            "ON"
        }
    }

    /// Its state in words.
    pub(super) fn label(&self) -> String {
        let name = self.state.name();
        if self.is_partial() { format!("{name} {} %", self.percent) } else { name.to_owned() }
    }

    /// The same for the class of an element.
    pub(super) fn class(&self) -> &'static str {
        match self.state {
            State::Off => "off",
            State::On => "on",
            State::Roll => "roll",
            State::Pause => "pause",
        }
    }
}

/// The environments, production last.
pub(super) fn environments(world: &World) -> Vec<String> {
    let others = world.environments.iter().filter(|it| *it != PRODUCTION).cloned();
    others.chain([PRODUCTION.to_owned()]).collect()
}

/// The toggles of a feature in these environments.
pub(super) fn cells(
    caller: &Caller,
    world: &World,
    feature: &str,
    envs: &[String],
    now: i64,
) -> Vec<Cell> {
    let cell = |env: &String| {
        Cell::of(world.toggle(feature, env), env, now, caller.may(Action::toggle(env)))
    };
    envs.iter().map(cell).collect()
}
