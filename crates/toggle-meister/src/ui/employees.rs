//! Employees and their roles.

use askama::Template;
use axum::{extract::State, response::Response};
use serde::Deserialize;
use service::{
    page::{self, Errors, Form, Frame},
    problem::Problem,
    request::{InPath, Params},
};

use super::{text::encoded, visit::Visit};
use crate::{
    caller::Caller,
    model::employee::{self, Edit, Employee},
    role::Role,
    store::Store,
};

/// An employee as they are written into the form, and what the form began with: only what somebody
/// has changed is saved, so that a form that was open for long takes nothing back.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Draft {
    name: String,
    email: String,
    role: String,
    old_name: String,
    old_email: String,
    old_role: String,
}

impl Draft {
    fn of(employee: &Employee) -> Self {
        let (name, email) = (employee.name.clone(), employee.email.clone());
        let role = employee.role.name().to_owned();
        let (old_name, old_email, old_role) = (name.clone(), email.clone(), role.clone());
        Self { name, email, role, old_name, old_email, old_role }
    }

    /// What somebody has changed. Notes what is wrong with it.
    fn edit(&self, errors: &mut Errors) -> Edit {
        let changed = |now: &str, old: &str| {
            Some(now.trim().to_owned()).filter(|it| it.as_str() != old.trim())
        };
        let name = changed(&self.name, &self.old_name);
        let email = changed(&self.email, &self.old_email);
        let role = changed(&self.role, &self.old_role);
        if name.as_deref() == Some("") {
            errors.add("name", "an employee needs a name");
        }
        if email.as_deref() == Some("") {
            errors.add("email", "an e-mail address can be replaced, but not removed");
        }
        let parsed = role.as_deref().and_then(Role::parse);
        if role.is_some() && parsed.is_none() {
            errors.add("role", "a role is one of admin, qa, dev and read_only");
        }
        Edit { name, email, role: parsed }
    }
}

struct Row {
    it: Employee,
    path: String,
    /// Whether the visitor may change their name and address.
    may_name: bool,
    /// The roles that the visitor may give them.
    roles: Vec<Role>,
    /// The form, if it is open.
    draft: Option<Draft>,
}

impl Row {
    fn may_edit(&self) -> bool {
        self.may_name || !self.roles.is_empty()
    }
}

#[derive(Template)]
#[template(path = "employees.html")]
struct Employees {
    frame: Frame,
    rows: Vec<Row>,
    can_sign_in: bool,
    /// The role with the least rights that may switch toggles in production.
    production: Role,
    errors: Errors,
}

/// Whose form is open.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Open {
    edit: Option<String>,
}

/// `GET /ui/employees`
pub(super) async fn list(
    State(store): State<Store>,
    visit: Visit,
    Params(Open { edit }): Params<Open>,
) -> Result<Response, Problem> {
    page::html(&page(&store, visit, edit.map(|it| (it, None)), Errors::default()).await?)
}

/// The page, with the form of somebody open, which has what was written into it.
async fn page(
    store: &Store,
    Visit { caller, frame }: Visit,
    mut open: Option<(String, Option<Draft>)>,
    errors: Errors,
) -> Result<Employees, Problem> {
    let list = store.read(|sql| Ok(employee::list(sql)?)).await?;
    let rows = list.into_iter().map(|it| {
        let may_name = caller.name == it.username || caller.role == Role::Admin;
        let roles = roles(&caller, &it);
        let draft = open
            .take_if(|open| open.0 == it.username)
            .map(|open| open.1.unwrap_or_else(|| Draft::of(&it)));
        Row { path: format!("/ui/employees/{}", encoded(&it.username)), may_name, roles, draft, it }
    });
    let rows = rows.collect();
    let (can_sign_in, production) = (store.access.sessions().is_some(), store.production_role);
    Ok(Employees { frame, rows, can_sign_in, production, errors })
}

/// The roles that somebody may give an employee: those who may do less get at most the own one.
fn roles(caller: &Caller, employee: &Employee) -> Vec<Role> {
    if employee.role <= caller.role {
        return Vec::new();
    }
    Role::ALL.into_iter().filter(|it| *it >= caller.role).collect()
}

/// `POST /ui/employees/{username}`: changes an employee.
pub(super) async fn save(
    State(store): State<Store>,
    visit: Visit,
    InPath(username): InPath<String>,
    Form(draft): Form<Draft>,
) -> Result<Response, Problem> {
    let mut errors = Errors::default();
    let wanted = draft.edit(&mut errors);
    if errors.is_empty() {
        let (by, of) = (visit.caller.editor(), username.clone());
        let written = store.write(move |sql| {
            let Some(now) = employee::get(sql, &of)? else {
                return employee::edit(sql, &by, &of, &wanted);
            };
            // What stays as it is needs no right.
            let edit = Edit {
                name: wanted.name.filter(|it| *it != now.name),
                email: wanted.email.filter(|it| *it != now.email),
                role: wanted.role.filter(|it| *it != now.role),
            };
            if edit.name.is_none() && edit.email.is_none() && edit.role.is_none() {
                return Ok(now);
            }
            employee::edit(sql, &by, &of, &edit)
        });
        if errors.check("name", written.await)?.is_some() {
            return Ok(page::redirect("/ui/employees", &format!("Saved {username}.")));
        }
    }
    page::invalid(&page(&store, visit, Some((username, Some(draft))), errors).await?)
}
