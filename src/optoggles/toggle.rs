//! A toggle, and the rule that says who has it.

use std::fmt;

use serde_json::{Map, Value};

/// A toggle: which rule authorizes its users, and what its targets need to know besides.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Toggle {
    /// The identifier, which targets use as the key of the flag.
    pub key: String,
    /// The rule whose result is the set of authorized users.
    pub rule: Rule,
    /// What the targets need: for LaunchDarkly `name`, `projKey` and `environments`, for a REST
    /// target any fields.
    pub spec: Map<String, Value>,
}

impl Toggle {
    /// A toggle with an empty `spec`.
    pub fn new(key: impl Into<String>, rule: Rule) -> Self {
        Self { key: key.into(), rule, spec: Map::new() }
    }

    /// The same toggle with a field of its `spec`.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.spec.insert(name.into(), value.into());
        self
    }
}

/// A rule of a policy: the package and the name, as in `app.rbac` and `us_users`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Rule {
    /// The package, with dots between its parts.
    pub package: String,
    /// The name of the rule.
    pub name: String,
}

impl Rule {
    /// A rule of a package.
    pub fn new(package: impl Into<String>, name: impl Into<String>) -> Self {
        Self { package: package.into(), name: name.into() }
    }

    /// The parts of the path below `data`: those of the package, then the name.
    pub fn path(&self) -> impl Iterator<Item = &str> {
        self.package.split('.').chain([&*self.name])
    }
}

/// As Rego writes it: `data.app.rbac.us_users`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "data.{}.{}", self.package, self.name)
    }
}
