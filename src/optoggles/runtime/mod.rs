//! The engine at work: the task that owns the state machine, what it works on, and how
//! it is seen from outside.
//!
//! ```text
//! Engine ── start ──► Running ──────────── commands ──────────────┐
//!                        │                                        ▼
//!                      Task ── one after the other ──► Coordinator ── owns ──► Machine
//!                        ▲                              │      ▲
//!            Config ── Factory ──► Parts                tasks  events
//!           (read again)                                ▼      │
//!                                                sources and targets
//! ```
//!
//! * [`Engine`] (`engine.rs`) is the description before the start, from a
//!   configuration or from a builder. `start.rs` opens the listeners.
//! * `Parts` (`parts.rs`) are the sources, targets and toggles by index. `Factory`
//!   makes them of a configuration.
//! * `Coordinator` performs the actions of the state machine. There is exactly one at a
//!   time, so the machine needs no lock.
//! * `Task` (`running.rs`) replaces the coordinator when the configuration has changed;
//!   the new one inherits what the former knew.
//! * `work.rs` prepares and writes toggles with what is recorded of that, and `removal.rs`
//!   removes those that have left the configuration.
//! * `http.rs`, `status.rs`, `metrics.rs` and `counters.rs` show all this to the
//!   outside; they reach the coordinator by its channel of commands only.
//! * `plan.rs` computes what a sync would change, without a coordinator.

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
mod work;

pub use self::{
    engine::{Engine, EngineBuilder},
    error::EngineError,
    plan::{Plan, PlannedAction, PlannedChange},
    running::Running,
    status::{
        CellStatus, FailureStatus, HeldBack, PartStatus, RemovalStatus, Status, ToggleStatus,
    },
};
