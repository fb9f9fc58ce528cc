//! Keeps feature toggles in step with a policy:
//! [OPA](https://www.openpolicyagent.org) says which users are authorized, and the
//! toggles of flagd, LaunchDarkly or a REST service follow.
//!
//! An [`Engine`] connects three kinds of things:
//!
//! * [sources](PolicySource) say which users a rule of a policy authorizes, and when
//!   to query again: [`OpaSource`] polls OPA, [`OpalSource`] is called back by OPAL.
//! * [toggles](Toggle) name a [`Rule`], and what targets need to know besides.
//! * [targets](ToggleTarget) store the users of a toggle: [`FlagdTarget`],
//!   [`LaunchDarklyTarget`] and [`RestTarget`].
//!
//! Applications that embed the engine usually start it from a configuration file, as
//! `flagstaff optoggles` does ([`Engine::from_config`]), or assemble it from parts
//! ([`Engine::builder`]). Implement [`PolicySource`] or [`ToggleTarget`] for a source
//! or a target that is not among those above.
//!
//! ```no_run
//! use flagstaff::optoggles::{Engine, FlagdTarget, OpaSource, Rule, Toggle};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let running = Engine::builder()
//!     .source("opa", OpaSource::builder("http://127.0.0.1:8181").guard(["users"]).build()?)
//!     .target("flagd", FlagdTarget::builder().file("flags.json").build())
//!     .toggle("opa", Toggle::new("us-only", Rule::new("app.rbac", "us_users")))
//!     .build()?
//!     .start()
//!     .await?;
//! running.started().await;
//! # Ok(()) }
//! ```
//!
//! # What it guarantees
//!
//! * The engine never gives up. Failures are retried, and reported in
//!   [`Status`], at `/health` and in metrics.
//! * Toggles are independent: one that fails neither delays nor blocks another.
//! * A rule that is undefined revokes nobody, and a set that suddenly becomes empty is
//!   written only when it is [vouched for or confirmed](Answer::Users).
//! * Nothing is written when nothing has changed.
//! * No log line, error or metric holds a token. Names of users are logged at DEBUG
//!   only.
//!
//! # How it is built
//!
//! `machine` decides, and does no I/O; `runtime` performs what it decides, and serves
//! health and metrics; `source` and `target` talk to the other side through `api`;
//! `config` reads the file. `docs/optoggles.md` explains how to run and operate it.

mod api;
mod callbacks;
mod config;
mod failure;
mod machine;
mod record;
mod runtime;
mod source;
mod target;
mod toggle;
mod users;

pub use self::{
    callbacks::NoRandomNumbers,
    config::{Config, ConfigError},
    failure::{Failure, FailureKind},
    record::{Record, RecordError},
    runtime::{
        CellStatus, Engine, EngineBuilder, EngineError, FailureStatus, HeldBack, PartStatus, Plan,
        PlannedAction, PlannedChange, RemovalStatus, Running, Status, ToggleStatus,
    },
    source::{Answer, OpaSource, OpaSourceBuilder, OpalSource, OpalSourceBuilder, PolicySource},
    target::{
        FlagdTarget, FlagdTargetBuilder, Held, LaunchDarklyTarget, LaunchDarklyTargetBuilder,
        Prepared, Removal, RestTarget, RestTargetBuilder, ToggleTarget,
    },
    toggle::{Rule, Toggle},
    users::Users,
};
pub use crate::http::Secret;
