//! Keeps feature toggles in step with a policy: [OPA](https://www.openpolicyagent.org) says which
//! users are authorized, and the toggles of flagd, LaunchDarkly or a REST service follow.

mod api;
mod engine;
mod failure;
mod record;
mod secret;
mod source;
mod target;
mod toggle;
mod users;

pub use self::{
    record::{Record, RecordError},
    secret::Secret,
    failure::{Failure, FailureKind},
    source::{Answer, OpaSource, OpaSourceBuilder, OpalSource, OpalSourceBuilder, PolicySource},
    target::{
        FlagdTarget, FlagdTargetBuilder, Held, LaunchDarklyTarget, LaunchDarklyTargetBuilder,
        Prepared, Removal, RestTarget, RestTargetBuilder, ToggleTarget,
    },
    toggle::{Rule, Toggle},
    users::Users,
};
