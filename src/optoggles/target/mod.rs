//! Where toggles are written to: [`ToggleTarget`], and its kinds.

mod flagd;
mod launchdarkly;
mod restapi;
mod toggle_target;

#[cfg(test)]
pub(crate) use self::launchdarkly::merge;
pub use self::{
    flagd::{FlagdTarget, FlagdTargetBuilder},
    launchdarkly::{LaunchDarklyTarget, LaunchDarklyTargetBuilder},
    restapi::{RestTarget, RestTargetBuilder},
    toggle_target::{Held, Prepared, Removal, ToggleTarget},
};
