//! What is recorded about a toggle at a target.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::optoggles::users::Users;

/// What is recorded, by the id of the target, then by the key of the toggle or of the list.
pub(super) type Targets = BTreeMap<String, BTreeMap<String, Entry>>;

/// What is recorded about a toggle at a target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// The spec with which this program created the toggle, which is needed to remove
    /// it. `None`: the toggle was made by somebody else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) created: Option<Map<String, Value>>,
    /// The spec with which this program was about to create the toggle, if the record does
    /// not say how that ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) intended: Option<Map<String, Value>>,
    /// The list that was last written to a target that does not report whom it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last: Option<Users>,
    /// The users that this program has added, by the list they are on, such as that of
    /// an environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) added: BTreeMap<String, Users>,
}

impl Entry {
    /// Notes the intent to create the toggle. Returns whether that changes anything.
    pub(super) fn intend(&mut self, spec: &Map<String, Value>) -> bool {
        let is_known = [&self.created, &self.intended].contains(&&Some(spec.clone()));
        if !is_known {
            self.intended = Some(spec.clone());
        }
        !is_known
    }
}
