//! Who sent a request, and in which role.

use axum::{
    extract::FromRequestParts,
    http::{StatusCode, request::Parts},
};
use service::{access::Principal, problem::Problem};

use crate::{
    model::{
        PRODUCTION,
        employee::{self, Editor},
    },
    role::{Action, Role},
    store::Store,
};

/// The employee in whose name everything is done where nobody signs in, as in the original.
pub const LOCAL: &str = "admin.user";

/// Who sent a request.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Their username, or `token:NAME`.
    pub name: String,
    /// What they may do.
    pub role: Role,
}

impl Caller {
    /// Demands that they may do something.
    ///
    /// # Errors
    ///
    /// 403 where they may not.
    pub fn require(&self, action: Action) -> Result<(), Problem> {
        if self.role.may(action) { Ok(()) } else { Err(forbidden()) }
    }

    /// Demands that they may switch toggles of an environment.
    ///
    /// # Errors
    ///
    /// 403 where they may not.
    pub fn require_toggle(&self, store: &Store, env: &str) -> Result<(), Problem> {
        self.require(Action::Toggle)?;
        if env == PRODUCTION && self.role > store.production_role {
            return Err(forbidden());
        }
        Ok(())
    }

    /// As one who changes an employee.
    #[must_use]
    pub fn editor(&self) -> Editor {
        Editor { name: self.name.clone(), role: self.role }
    }

    /// The caller behind a principal.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub async fn of(store: &Store, principal: &Principal) -> Result<Self, Problem> {
        let Some(id) = principal.person() else {
            let role = Role::ALL.into_iter().find(|it| principal.may(it.name()));
            let name = principal.name();
            let name = if name == "anyone" { LOCAL } else { name };
            return Ok(Self { name: name.to_owned(), role: role.unwrap_or(Role::ReadOnly) });
        };
        let known = store.live.world().employees.get(&id).cloned();
        let employee = if let Some(employee) = known {
            employee
        } else {
            let person = store.access.person(id).await?;
            store.write(move |sql| employee::of_person(sql, &person)).await?
        };
        Ok(Self { name: employee.username, role: employee.role })
    }
}

impl FromRequestParts<Store> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, store: &Store) -> Result<Self, Problem> {
        let principal = Principal::from_request_parts(parts, store).await?;
        Self::of(store, &principal).await
    }
}

/// 403, with the original's words.
fn forbidden() -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "forbidden", "you are not authorized to do that dave")
}
