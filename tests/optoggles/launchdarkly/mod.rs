//! Flags of LaunchDarkly.

mod approval;
mod environments;
mod fake;
mod limits;
mod merge;
mod own;
mod refusals;
mod removal;
mod secrets;

use flagstaff::optoggles::Toggle;
use serde_json::json;

use crate::engine;

pub use fake::{Fake, TOKEN};

/// A toggle that is the flag of this key in the project `p`, in the environment `test`.
pub fn toggle(key: &str) -> Toggle {
    toggle_in(key, &["test"])
}

/// A toggle that is the flag of this key in these environments.
pub fn toggle_in(key: &str, environments: &[&str]) -> Toggle {
    engine::toggle(key)
        .with("name", format!("The flag {key}"))
        .with("projKey", "p")
        .with("environments", json!(environments))
}
