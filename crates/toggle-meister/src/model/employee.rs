//! Employees: people who may use the pages, and their roles.
//!
//! A person who signs in is the employee with their verified e-mail address, or becomes a new
//! one: an administrator if there is nobody yet, else a developer.

use axum::http::StatusCode;
use serde_json::json;
use service::{
    access::Person,
    audit,
    problem::Problem,
    storage::{Row, Sql, StorageError},
};

use super::change;
use crate::{name::said, role::Role};

service::statements! {
    LIST = "SELECT username, name, email, role, person FROM employee ORDER BY username";
    GET = "SELECT username, name, email, role, person FROM employee WHERE username = ?1";
    BY_EMAIL = "SELECT username, name, email, role, person FROM employee
        WHERE email = ?1 AND person IS NULL ORDER BY username LIMIT 1";
    BY_PERSON = "SELECT username, name, email, role, person FROM employee WHERE person = ?1";
    INSERT = "INSERT INTO employee (username, name, email, role, person)
        VALUES (?1, ?2, ?3, ?4, ?5)";
    SET = "UPDATE employee SET name = ?2, email = ?3, role = ?4 WHERE username = ?1";
    SIGNED_IN = "UPDATE employee SET person = ?2 WHERE username = ?1";
    PERSONS = "SELECT id FROM person WHERE LOWER(email) = ?1";
    /// The one who stands for everybody where nobody signs in is none of them.
    ANY = "SELECT username FROM employee WHERE username <> 'admin.user' OR person IS NOT NULL LIMIT 1";
}

/// The longest name and the longest e-mail address of an employee, in bytes.
const MAX: usize = 320;

/// An employee.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Employee {
    /// What identifies them.
    pub username: String,
    /// Their name for people.
    pub name: String,
    /// Their e-mail address.
    pub email: String,
    /// What they may do.
    pub role: Role,
    /// Who that is among those who have signed in.
    pub person: Option<i64>,
}

/// All employees.
///
/// # Errors
///
/// The database fails.
pub fn list(sql: &mut Sql<'_>) -> Result<Vec<Employee>, StorageError> {
    sql.query(LIST, &[], read)
}

/// An employee.
///
/// # Errors
///
/// The database fails.
pub fn get(sql: &mut Sql<'_>, username: &str) -> Result<Option<Employee>, StorageError> {
    sql.query_one(GET, &[username.into()], read)
}

fn read(row: &Row<'_>) -> Result<Employee, StorageError> {
    Ok(Employee {
        username: row.text(0)?,
        name: row.text(1)?,
        email: row.text(2)?,
        role: Role::parse(&row.text(3)?).unwrap_or(Role::ReadOnly),
        person: row.optional_int(4)?,
    })
}

/// Adds an employee, as they stand in the original.
///
/// # Errors
///
/// The database fails.
pub fn insert(sql: &mut Sql<'_>, employee: &Employee) -> Result<(), StorageError> {
    let Employee { username, name, email, role, person } = employee;
    let params = [username.into(), name.into(), email.into(), role.name().into(), (*person).into()];
    sql.execute(INSERT, &params)?;
    change::note(sql, &change::Changed::Employees)
}

/// The employee that a person is, who becomes one if need be.
///
/// # Errors
///
/// The database fails.
pub fn of_person(sql: &mut Sql<'_>, person: &Person) -> Result<Employee, Problem> {
    if let Some(known) = sql.query_one(BY_PERSON, &[person.id.into()], read)? {
        return Ok(known);
    }
    let email = person.email.to_lowercase();
    if !email.is_empty()
        && let Some(mut known) = sql.query_one(BY_EMAIL, &[(&email).into()], read)?
    {
        known.person = Some(person.id);
        sql.execute(SIGNED_IN, &[(&known.username).into(), person.id.into()])?;
        change::note(sql, &change::Changed::Employees)?;
        return Ok(known);
    }
    let is_first = sql.query_one(ANY, &[], |row| row.text(0))?.is_none();
    let base = email.split('@').next().filter(|it| !it.is_empty()).unwrap_or(&person.login);
    let username = free_username(sql, base)?;
    let role = if is_first { Role::Admin } else { Role::Dev };
    let name = title_case(base);
    let employee = Employee { username, name, email, role, person: Some(person.id) };
    insert(sql, &employee)?;
    let data = json!({"username": employee.username, "role": role.name()});
    audit::record_with(sql, &employee.username, "employee.add", &employee.username, Some(&data))?;
    Ok(employee)
}

/// Makes the employees with an e-mail address administrators, or a new one with it, and returns
/// their usernames.
///
/// # Errors
///
/// 400 for what is no e-mail address.
pub fn make_admin(sql: &mut Sql<'_>, by: &str, email: &str) -> Result<Vec<String>, Problem> {
    let email = email.trim().to_lowercase();
    let base = email.split_once('@').filter(|(name, host)| !name.is_empty() && !host.is_empty());
    let Some((base, _)) = base else {
        return Err(Problem::invalid(format!("{email:?} is not an e-mail address")));
    };
    // Whoever has signed in may write any address into their record: the issuer's counts.
    let signed_in = sql.query(PERSONS, &[(&email).into()], |row| row.int(0))?;
    let mut known = list(sql)?;
    known.retain(|it| match it.person {
        Some(person) => signed_in.contains(&person),
        None => it.email == email,
    });
    let mut usernames = Vec::new();
    for Employee { username, name, .. } in known {
        let role = Role::Admin.name();
        let params = [(&username).into(), (&name).into(), (&email).into(), role.into()];
        sql.execute(SET, &params)?;
        let data = json!({"username": username, "name": name, "email": email, "role": role});
        audit::record_with(sql, by, "employee.edit", &username, Some(&data))?;
        change::note(sql, &change::Changed::Employees)?;
        usernames.push(username);
    }
    if usernames.is_empty() {
        let username = free_username(sql, base)?;
        let (name, role) = (title_case(base), Role::Admin);
        insert(sql, &Employee { username: username.clone(), name, email, role, person: None })?;
        let data = json!({"username": username, "role": role.name()});
        audit::record_with(sql, by, "employee.add", &username, Some(&data))?;
        usernames.push(username);
    }
    Ok(usernames)
}

/// A username that nobody has, made of another.
fn free_username(sql: &mut Sql<'_>, base: &str) -> Result<String, StorageError> {
    let mut username = base.to_owned();
    for number in 2.. {
        if get(sql, &username)?.is_none() {
            break;
        }
        username = format!("{base}-{number}");
    }
    Ok(username)
}

/// `jane.doe` as `Jane Doe`.
fn title_case(username: &str) -> String {
    let words = username.split('.').map(|word| {
        let mut letters = word.chars();
        let first = letters.next().into_iter().flat_map(char::to_uppercase);
        first.chain(letters).collect::<String>()
    });
    words.collect::<Vec<_>>().join(" ")
}

/// What is to change of an employee.
#[derive(Clone, Debug, Default)]
pub struct Edit {
    /// Their name.
    pub name: Option<String>,
    /// Their e-mail address.
    pub email: Option<String>,
    /// Their role.
    pub role: Option<Role>,
}

/// Who changes an employee.
#[derive(Clone, Debug)]
pub struct Editor {
    /// Their name in the audit trail; their username, if they are an employee.
    pub name: String,
    /// What they may do.
    pub role: Role,
}

/// Changes an employee: their own name and e-mail address, which an administrator may change for
/// everybody, and the role of somebody who may do less.
///
/// # Errors
///
/// 403 for more than that; 404 where there is no such employee.
pub fn edit(
    sql: &mut Sql<'_>,
    by: &Editor,
    username: &str,
    edit: &Edit,
) -> Result<Employee, Problem> {
    let Some(mut employee) = get(sql, username)? else {
        let detail = format!("there is no employee {username}");
        return Err(Problem::new(StatusCode::NOT_FOUND, "employee_not_found", detail));
    };
    if [&edit.name, &edit.email].into_iter().flatten().any(|it| it.len() > MAX) {
        return Err(Problem::invalid(format!("name and email have at most {MAX} bytes each")));
    }
    let is_own = by.name == username;
    if (edit.name.is_some() || edit.email.is_some()) && !is_own && by.role != Role::Admin {
        return Err(said(StatusCode::FORBIDDEN, "Cannot edit other users"));
    }
    if let Some(role) = edit.role {
        // A role that is less is greater in the order of the list.
        if employee.role <= by.role || role < by.role {
            return Err(said(
                StatusCode::FORBIDDEN,
                "Cannot modify someone of greater permissions than yourself",
            ));
        }
        employee.role = role;
    }
    if let Some(name) = &edit.name {
        employee.name.clone_from(name);
    }
    if let Some(email) = &edit.email {
        employee.email = email.to_lowercase();
    }
    let Employee { name, email, role, .. } = &employee;
    sql.execute(SET, &[username.into(), name.into(), email.into(), role.name().into()])?;
    let data = json!({"username": username, "name": name, "email": email, "role": role.name()});
    audit::record_with(sql, &by.name, "employee.edit", username, Some(&data))?;
    change::note(sql, &change::Changed::Employees)?;
    Ok(employee)
}
