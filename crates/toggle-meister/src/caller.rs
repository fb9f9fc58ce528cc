//! Who sent a request, and in which role.

use axum::{
    extract::FromRequestParts,
    http::{StatusCode, request::Parts},
};
use service::{access::Principal, problem::Problem};

use crate::{
    model::employee::{self, Editor},
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
    /// The role with the least rights that may switch toggles in production.
    production_role: Role,
}

impl Caller {
    /// Whether they may do something.
    #[must_use]
    pub fn may(&self, action: Action) -> bool {
        self.role.may(action, self.production_role)
    }

    /// Demands that they may do something.
    ///
    /// # Errors
    ///
    /// 403 where they may not.
    pub fn require(&self, action: Action) -> Result<(), Problem> {
        if self.may(action) { Ok(()) } else { Err(forbidden()) }
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
        let production_role = store.production_role;
        let Some(id) = principal.person() else {
            let role = Role::ALL.into_iter().find(|it| principal.may(it.name()));
            let role = role.unwrap_or(Role::ReadOnly);
            let name = if principal.is_anyone() { LOCAL } else { principal.name() };
            return Ok(Self { name: name.to_owned(), role, production_role });
        };
        let known = store.live.world().employees.get(&id).cloned();
        let employee = if let Some(employee) = known {
            employee
        } else {
            let person = store.access.person(id).await?;
            store.write(move |sql| employee::of_person(sql, &person)).await?
        };
        Ok(Self { name: employee.username, role: employee.role, production_role })
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
pub(crate) fn forbidden() -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "forbidden", "you are not authorized to do that dave")
}
