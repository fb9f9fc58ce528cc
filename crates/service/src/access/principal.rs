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

/// What kind of principal it is, with its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// Whoever calls where authentication is switched off.
    Anyone,
    /// A machine with a token.
    Token(i64),
    /// A person with a session.
    Person(i64),
}

/// Who sent a request.
#[derive(Clone, Debug)]
pub struct Principal {
    /// How the audit names it: `token:NAME`, `person:LOGIN` or `anyone`.
    name: Arc<str>,
    pub(super) who: Who,
    /// `None`: everything.
    permissions: Option<Arc<[&'static str]>>,
    /// The prefixes of the names that it may see; `None`: all names.
    prefixes: Option<Arc<[String]>>,
}

impl Principal {
    /// Whoever calls where authentication is switched off. It may do everything.
    pub(super) fn anyone() -> Self {
        Self { name: "anyone".into(), who: Who::Anyone, permissions: None, prefixes: None }
    }

    /// A principal with these permissions. The first of `known` includes all others.
    pub(super) fn with(
        name: String,
        who: Who,
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
            who,
            permissions: (!all).then_some(permissions),
            prefixes: prefixes.map(Into::into),
        }
    }

    /// How the audit names it: `token:NAME`, `person:LOGIN` or `anyone`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is whoever calls where authentication is switched off.
    #[must_use]
    pub fn is_anyone(&self) -> bool {
        matches!(self.who, Who::Anyone)
    }

    /// Whether it is the same token or person, which a name does not prove: tokens may share one.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.who == other.who
    }

    /// The number of the person, if it is one.
    #[must_use]
    pub fn person(&self) -> Option<i64> {
        match self.who {
            Who::Person(id) => Some(id),
            Who::Anyone | Who::Token(_) => None,
        }
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

    /// The prefixes of the names with a prefix that it may see, in order. No name has two of them.
    #[must_use]
    pub fn within(&self, prefix: &str) -> Vec<String> {
        let Some(own) = &self.prefixes else { return vec![prefix.to_owned()] };
        let mut within: Vec<String> = Vec::new();
        for own in own.iter() {
            if own.starts_with(prefix) {
                within.push(own.clone());
            } else if prefix.starts_with(own.as_str()) {
                within.push(prefix.to_owned());
            }
        }
        within.sort_unstable();
        // A prefix comes before those that begin with it.
        within.dedup_by(|later, earlier| later.starts_with(earlier.as_str()));
        within
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

    /// Demands a permission for all names, for something that is about all of them.
    ///
    /// # Errors
    ///
    /// 403 without it, or where the principal is limited to some names.
    pub fn require_for_all(&self, permission: &str) -> Result<(), Problem> {
        self.require(permission)?;
        if self.prefixes.is_none() {
            return Ok(());
        }
        Err(forbidden("this needs a token that is not limited to some identities".to_owned()))
    }

    /// Demands that it may hand out a token with these permissions and prefixes, or revoke it: the
    /// token may do nothing that it may not do itself.
    ///
    /// # Errors
    ///
    /// 403 where the token may do more.
    pub fn require_to_manage(
        &self,
        permissions: &[String],
        prefixes: Option<&[String]>,
    ) -> Result<(), Problem> {
        if let Some(more) = permissions.iter().find(|it| !self.may(it)) {
            return Err(forbidden(format!(
                "nobody creates or revokes a token with a permission that they do not have: {more}"
            )));
        }
        let Some(own) = self.prefixes() else { return Ok(()) };
        let within = |prefix: &String| own.iter().any(|it| prefix.starts_with(it));
        if prefixes.is_some_and(|it| it.iter().all(within)) {
            return Ok(());
        }
        Err(forbidden(format!(
            "your token is limited to identities that begin with {}, so it manages only tokens with \
             prefixes within these",
            own.join(", ")
        )))
    }

    /// Demands that it may give these permissions to others, or take them away: it has each of
    /// them itself, and for all names.
    ///
    /// # Errors
    ///
    /// 403 where it would give more than it has.
    pub fn require_to_grant(&self, permissions: &[String]) -> Result<(), Problem> {
        if self.prefixes.is_some() {
            return Err(forbidden(
                "a token that is limited to some identities cannot grant permissions".to_owned(),
            ));
        }
        match permissions.iter().find(|it| !self.may(it)) {
            None => Ok(()),
            Some(more) => Err(forbidden(format!(
                "nobody grants or revokes a permission that they do not have: {more}"
            ))),
        }
    }
}

/// Demands that permissions exist.
pub(super) fn require_known(
    known: &'static [Permission],
    permissions: &[String],
) -> Result<(), Problem> {
    match permissions.iter().find(|it| known.iter().all(|known| known.id != **it)) {
        None => Ok(()),
        Some(unknown) => {
            let known: Vec<_> = known.iter().map(|it| it.id).collect();
            Err(Problem::invalid(format!(
                "permission {unknown:?} does not exist: expected one of {}",
                known.join(", ")
            )))
        }
    }
}

pub(super) fn no_random() -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the system has no random numbers")
}

fn forbidden(detail: String) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "forbidden", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_narrowed_to_what_a_principal_may_see() {
        let limited = |prefixes: &[&str]| {
            let prefixes = prefixes.iter().map(|&it| it.to_owned()).collect();
            Principal::with("token:t".into(), Who::Token(1), &[], &[], Some(prefixes))
        };
        assert_eq!(Principal::anyone().within("a"), ["a"]);
        let some = limited(&["us-", "eu-1", "eu-"]);
        assert_eq!(some.within(""), ["eu-", "us-"]);
        assert_eq!(some.within("eu-12"), ["eu-12"]);
        assert_eq!(some.within("u"), ["us-"]);
        assert!(some.within("fr-").is_empty());
        assert_eq!(limited(&["", "a"]).within(""), [""]);
    }
}
