//! A toggle, and the rule of the policy that says who has it.

use std::fmt;

use serde_json::{Map, Value};

/// A toggle: its key, the rule that authorizes its users, and what its targets need
/// to know besides.
///
/// ```
/// use flagstaff::optoggles::{Rule, Toggle};
/// use serde_json::json;
///
/// let toggle = Toggle::new("us-only", Rule::new("app.rbac", "us_users"))
///     .with("name", "US only")
///     .with("projKey", "default")
///     .with("environments", json!(["test", "production"]));
/// assert_eq!(toggle.key, "us-only");
/// assert_eq!(toggle.spec["projKey"], "default");
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Toggle {
    /// The identifier, which targets use as the key of the flag. It is unique in an
    /// engine.
    pub key: String,
    /// The rule whose result is the set of authorized users.
    pub rule: Rule,
    /// What the targets need besides: `name`, `projKey` and `environments` for
    /// LaunchDarkly, any fields for a REST target, nothing for flagd. The engine
    /// passes it on without looking at it.
    pub spec: Map<String, Value>,
    /// See [`mark`](Self::mark).
    pub(crate) mark: Option<String>,
}

impl Toggle {
    /// Creates a toggle with an empty `spec`.
    pub fn new(key: impl Into<String>, rule: Rule) -> Self {
        Self { key: key.into(), rule, spec: Map::new(), mark: None }
    }

    /// What a target puts on the toggle when it creates it, if it can, so that this program
    /// recognizes its own toggle even if it was killed before it could record the creation.
    /// `None` if nothing is recorded, because the configuration has no `state`.
    #[must_use]
    pub fn mark(&self) -> Option<&str> {
        self.mark.as_deref()
    }

    /// Sets a field of the `spec`, in place of a former one of that name.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.spec.insert(name.into(), value.into());
        self
    }
}

/// A rule of a policy, whose value is the set of authorized users.
///
/// The value must be a set or an array of strings. In
/// [Rego](https://www.openpolicyagent.org/docs/policy-language), a rule such as
///
/// ```rego
/// package app.rbac
///
/// us_users contains user if {
///     some user, info in data.users
///     info.location.country == "US"
/// }
/// ```
///
/// is named by its package and its name:
///
/// ```
/// use flagstaff::optoggles::Rule;
///
/// let rule = Rule::new("app.rbac", "us_users");
/// assert_eq!(rule.to_string(), "data.app.rbac.us_users");
/// assert_eq!(rule.path().collect::<Vec<_>>(), ["app", "rbac", "us_users"]);
///
/// let key = Rule::new("app", "users/us");
/// assert_eq!(key.path().collect::<Vec<_>>(), ["app", "users", "us"]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Rule {
    /// The package with dots between its parts, such as `app.rbac`, without `data.` in
    /// front. Slashes between them mean the same.
    pub package: String,
    /// The name of the rule, such as `us_users`. After a slash, it goes on with a key of
    /// the rule's value: `users/us`. It may contain dots, which are not separators here.
    pub name: String,
}

impl Rule {
    /// Creates the name of a rule. Whether the rule exists is known only when a source
    /// is queried.
    pub fn new(package: impl Into<String>, name: impl Into<String>) -> Self {
        Self { package: package.into(), name: name.into() }
    }

    /// Returns the segments of the path below `data`, not escaped: the parts of the
    /// package, then those of the name. OPA serves the rule at `/v1/data/` followed by
    /// them.
    pub fn path(&self) -> impl Iterator<Item = &str> {
        self.package.split(['.', '/']).chain(self.name.split('/'))
    }
}

/// Writes the rule as Rego refers to it: `data.app.rbac.us_users`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "data.{}.{}", self.package, self.name)
    }
}
