//! How a [`LaunchDarklyTarget`] is made.

use std::fmt;

use super::{account::Account, flags::LaunchDarklyTarget, known::KnownFlags, merge::Additions};
use crate::{
    http::{Secret, public_name},
    optoggles::{failure::Failure, record::Record},
};

/// Where the API is, if not told otherwise.
const BASE: &str = "https://app.launchdarkly.com";

/// The options of a [`LaunchDarklyTarget`].
#[derive(Clone)]
pub struct LaunchDarklyTargetBuilder {
    token: Secret,
    base: String,
    merges: Option<Additions>,
}

impl LaunchDarklyTarget {
    /// The account of an API access token.
    pub fn builder(token: impl Into<Secret>) -> LaunchDarklyTargetBuilder {
        LaunchDarklyTargetBuilder { token: token.into(), base: BASE.to_owned(), merges: None }
    }
}

impl fmt::Debug for LaunchDarklyTargetBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = public_name(&self.base);
        f.debug_struct("LaunchDarklyTargetBuilder").field("url", &url).finish_non_exhaustive()
    }
}

impl LaunchDarklyTargetBuilder {
    /// The base URL, for the federal and the EU instance. Default: `https://app.launchdarkly.com`.
    #[must_use]
    pub fn base_uri(mut self, base: impl Into<String>) -> Self {
        self.base = base.into();
        self
    }

    /// Leaves the users alone that somebody has added by hand, and removes only those that this
    /// program has added, which `record` knows; `target` is what the record calls this target.
    /// Default: the list is the policy's.
    ///
    /// Only one replica may do so.
    #[must_use]
    pub fn merge(mut self, target: impl Into<String>, record: Record) -> Self {
        self.merges = Some(Additions { target: target.into(), record });
        self
    }

    /// Makes the target, and sends nothing yet.
    ///
    /// # Errors
    ///
    /// When the base URL is invalid.
    pub fn build(self) -> Result<LaunchDarklyTarget, Failure> {
        let account = Account::new(&self.base, self.token)?;
        Ok(LaunchDarklyTarget { account, merges: self.merges, flags: KnownFlags::default() })
    }
}
