//! Who sent a request, and what they may do.

use std::sync::Arc;

use axum::http::StatusCode;

use crate::problem::Problem;

/// Something that a principal may do.
#[derive(Clone, Copy, Debug)]
pub struct Permission {
    /// Its name in the API, such as `facts-read`.
    pub id: &'static str,
    /// Its name for people, such as `Read facts`.
    pub name: &'static str,
}

/// Who sent a request.
#[derive(Clone, Debug)]
pub struct Principal {
    /// How the audit names it: `token:NAME`, `person:LOGIN` or `anyone`.
    name: Arc<str>,
    /// The number of the token, if it has one.
    pub(super) token: Option<i64>,
    /// `None`: everything.
    permissions: Option<Arc<[&'static str]>>,
    /// The prefixes of the names that it may see; `None`: all names.
    prefixes: Option<Arc<[String]>>,
}

impl Principal {
    /// Whoever calls where authentication is switched off. It may do everything.
    pub(super) fn anyone() -> Self {
        Self { name: "anyone".into(), token: None, permissions: None, prefixes: None }
    }

    /// A principal with these permissions. The first of `known` includes all others.
    pub(super) fn with(
        name: String,
        token: Option<i64>,
        granted: &[&str],
        known: &'static [Permission],
        prefixes: Option<Vec<String>>,
    ) -> Self {
        let all = known.first().is_some_and(|first| granted.contains(&first.id));
        // A permission that the program does not know grants nothing.
        let permissions =
            known.iter().map(|it| it.id).filter(|id| granted.contains(id)).collect::<Arc<_>>();
        Self {
            name: name.into(),
            token,
            permissions: (!all).then_some(permissions),
            prefixes: prefixes.map(Into::into),
        }
    }

    /// How the audit names it: `token:NAME`, `person:LOGIN` or `anyone`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it has a permission.
    #[must_use]
    pub fn may(&self, permission: &str) -> bool {
        self.permissions.as_ref().is_none_or(|it| it.contains(&permission))
    }

    /// Whether it may see a name, as far as that is limited to prefixes.
    #[must_use]
    pub fn covers(&self, name: &str) -> bool {
        self.prefixes.as_ref().is_none_or(|it| it.iter().any(|prefix| name.starts_with(prefix)))
    }

    /// The prefixes of the names that it may see; `None`: all names.
    #[must_use]
    pub fn prefixes(&self) -> Option<&[String]> {
        self.prefixes.as_deref()
    }

    /// Demands a permission.
    ///
    /// # Errors
    ///
    /// 403 without it.
    pub fn require(&self, permission: &str) -> Result<(), Problem> {
        if self.may(permission) {
            return Ok(());
        }
        Err(forbidden(format!("this needs the permission {permission}")))
    }

    /// Demands a permission for something with a name.
    ///
    /// # Errors
    ///
    /// 403 without it, or where the principal is limited to other names.
    pub fn require_for(&self, permission: &str, name: &str) -> Result<(), Problem> {
        self.require(permission)?;
        if self.covers(name) {
            return Ok(());
        }
        Err(forbidden("the token is limited to other identities".to_owned()))
    }
}

fn forbidden(detail: String) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "forbidden", detail)
}
