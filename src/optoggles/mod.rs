//! Keeps feature toggles in step with a policy: [OPA](https://www.openpolicyagent.org) says which
//! users are authorized, and the toggles of flagd, LaunchDarkly or a REST service follow.

mod api;
mod callbacks;
mod config;
mod failure;
mod machine;
mod record;
mod runtime;
mod secret;
mod source;
mod target;
mod toggle;
mod users;

pub use self::{
    callbacks::NoRandomNumbers,
    config::{Config, ConfigError, Problem},
    failure::{Failure, FailureKind},
    record::{Record, RecordError},
    runtime::{
        CellStatus, Engine, EngineBuilder, EngineError, FailureStatus, HeldBack, PartStatus, Plan,
        PlannedAction, PlannedChange, Running, Status, ToggleStatus,
    },
    secret::Secret,
    source::{Answer, OpaSource, OpaSourceBuilder, OpalSource, OpalSourceBuilder, PolicySource},
    target::{
        FlagdTarget, FlagdTargetBuilder, Held, LaunchDarklyTarget, LaunchDarklyTargetBuilder,
        Prepared, Removal, RestTarget, RestTargetBuilder, ToggleTarget,
    },
    toggle::{Rule, Toggle},
    users::Users,
};
