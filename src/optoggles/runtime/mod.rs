//! The engine at work: the task that owns the state machine, what it works on, and how it is seen
//! from outside.

mod coordinator;
mod counters;
mod engine;
mod error;
mod factory;
mod http;
mod metrics;
mod parts;
mod plan;
mod removal;
mod running;
mod start;
mod status;

pub use self::{
    engine::{Engine, EngineBuilder},
    error::EngineError,
    plan::{Plan, PlannedAction, PlannedChange},
    running::Running,
    status::{CellStatus, FailureStatus, HeldBack, PartStatus, Status, ToggleStatus},
};
