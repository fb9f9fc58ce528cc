//! People who sign in, and what they may do.

use axum::http::StatusCode;
use serde::Serialize;

use super::{Access, Principal, principal::require_known};
use crate::{
    audit,
    problem::Problem,
    storage::{Param, Row, Sql, StorageError},
    time,
};

crate::statements! {
    UPDATE = "UPDATE person SET login = ?4, email = ?5, updated = ?6
        WHERE provider = ?1 AND issuer = ?2 AND subject = ?3 RETURNING id";
    INSERT = "INSERT INTO person (id, provider, issuer, subject, login, email, created, updated)
        VALUES (?7, ?1, ?2, ?3, ?4, ?5, ?6, ?6)
        ON CONFLICT (provider, issuer, subject) DO UPDATE SET login = ?4, email = ?5, updated = ?6
        RETURNING id";
    /// Who gave up a login has it no longer once somebody else signs in with it.
    FREE_LOGIN = "UPDATE person SET login = subject
        WHERE provider = ?1 AND issuer = ?2 AND subject <> ?3 AND LOWER(login) = LOWER(?4)";
    PAGE = "SELECT id, provider, subject, login, email, created, updated FROM person
        WHERE id > ?1 ORDER BY id LIMIT ?2";
    PAGE_PERMISSIONS = "SELECT person, permission FROM person_permission
        WHERE person > ?1 AND person <= ?2 ORDER BY person, permission";
    GET = "SELECT id, provider, subject, login, email, created, updated FROM person WHERE id = ?1";
    PERMISSIONS = "SELECT permission FROM person_permission WHERE person = ?1 ORDER BY permission";
    GRANT = "INSERT INTO person_permission (person, permission) VALUES (?1, ?2)
        ON CONFLICT (person, permission) DO NOTHING";
    REVOKE = "DELETE FROM person_permission WHERE person = ?1 AND permission = ?2";
    DELETE = "DELETE FROM person WHERE id = ?1";
}

/// The providers with which people sign in.
pub const PROVIDERS: [&str; 2] = ["github", "oidc"];

/// What an issuer says of a person who has signed in. Each field is one that only the issuer,
/// and not the person, can set; text of their own choice would let them take another's place.
#[derive(Clone, Debug)]
pub struct Profile {
    /// One of [`PROVIDERS`].
    pub provider: String,
    /// Which server of that kind: subjects are unique there only.
    pub issuer: String,
    /// What never changes.
    pub subject: String,
    /// The name of the account.
    pub login: String,
    /// The e-mail address, if it is verified; else blank.
    pub email: String,
}

/// A person who has signed in.
#[derive(Clone, Debug, Serialize)]
pub struct Person {
    /// Their number.
    pub id: i64,
    /// With which provider they sign in.
    pub provider: String,
    /// What identifies them there.
    pub subject: String,
    /// The name of their account.
    pub login: String,
    /// Their verified e-mail address, or blank.
    pub email: String,
    /// When they first signed in.
    pub created: String,
    /// When they last signed in.
    pub updated: String,
    /// What they may do.
    pub permissions: Vec<String>,
}

impl Person {
    /// How the audit names them as the subject of a change.
    pub(super) fn label(&self) -> String {
        label(&self.provider, &self.login)
    }
}

impl Access {
    /// People with a number greater than `after`, in the order of their numbers, at most
    /// `limit`.
    ///
    /// # Errors
    ///
    /// 503 where the database is unavailable.
    pub async fn people(&self, after: i64, limit: i64) -> Result<Vec<Person>, Problem> {
        let page = self.0.storage.read(move |sql| -> Result<_, StorageError> {
            let mut people = sql.query(PAGE, &[after.into(), limit.into()], person)?;
            let last = people.last().map_or(after, |it| it.id);
            let mut granted = sql
                .query(PAGE_PERMISSIONS, &[after.into(), last.into()], |row| {
                    Ok((row.int(0)?, row.text(1)?))
                })?
                .into_iter()
                .peekable();
            for person in &mut people {
                while let Some((_, permission)) = granted.next_if(|it| it.0 == person.id) {
                    person.permissions.push(permission);
                }
            }
            Ok(people)
        });
        Ok(page.await?)
    }

    /// A person.
    ///
    /// # Errors
    ///
    /// 404 for a number that nobody has; 503 where the database is unavailable.
    pub async fn person(&self, id: i64) -> Result<Person, Problem> {
        self.0.storage.read(move |sql| get(sql, id)).await
    }

    /// Gives permissions to a person, and returns what they have now.
    ///
    /// # Errors
    ///
    /// 400 for a permission that does not exist; 403 for one that `by` does not have; 404 for a
    /// person who does not exist; 503 where the database is unavailable.
    pub async fn grant(
        &self,
        id: i64,
        permissions: Vec<String>,
        by: &Principal,
    ) -> Result<Person, Problem> {
        self.change(id, permissions, by, GRANT, "person.grant").await
    }

    /// Takes permissions from a person, and returns what they have now.
    ///
    /// # Errors
    ///
    /// As for [`grant`](Self::grant).
    pub async fn revoke(
        &self,
        id: i64,
        permissions: Vec<String>,
        by: &Principal,
    ) -> Result<Person, Problem> {
        self.change(id, permissions, by, REVOKE, "person.revoke").await
    }

    async fn change(
        &self,
        id: i64,
        permissions: Vec<String>,
        by: &Principal,
        statement: &'static str,
        action: &'static str,
    ) -> Result<Person, Problem> {
        require_known(self.permissions(), &permissions)?;
        by.require_to_grant(&permissions)?;
        let by = by.name().to_owned();
        let changed = self.0.storage.write(move |sql| -> Result<_, Problem> {
            let mut person = get(sql, id)?;
            for permission in &permissions {
                if sql.execute(statement, &[id.into(), permission.into()])? > 0 {
                    let subject = format!("{} {permission}", person.label());
                    audit::record(sql, &by, action, &subject)?;
                }
            }
            person.permissions = self::permissions(sql, id)?;
            Ok((person, sql.next("access")?))
        });
        let (person, version) = changed.await?;
        self.refresh(version);
        Ok(person)
    }

    /// Forgets a person, and ends their sessions. Where the provider lets them, they can sign
    /// in again, without permissions.
    ///
    /// # Errors
    ///
    /// 403 where the person has a permission that `by` does not have; 404 for a person who does
    /// not exist; 503 where the database is unavailable.
    pub async fn remove_person(&self, id: i64, by: &Principal) -> Result<(), Problem> {
        let by = by.clone();
        let version = self.0.storage.write(move |sql| -> Result<_, Problem> {
            let person = get(sql, id)?;
            by.require_to_grant(&person.permissions)?;
            sql.execute(DELETE, &[id.into()])?;
            audit::record(sql, by.name(), "person.remove", &person.label())?;
            Ok(sql.next("access")?)
        });
        self.refresh(version.await?);
        Ok(())
    }
}

/// Creates or updates a person who has signed in, and returns their number.
pub(super) fn signed_in(sql: &mut Sql<'_>, profile: &Profile) -> Result<i64, StorageError> {
    let Profile { provider, issuer, subject, login, email } = profile;
    let now = time::now();
    let mut params: Vec<Param<'_>> =
        vec![provider.into(), issuer.into(), subject.into(), login.into()];
    sql.execute(FREE_LOGIN, &params)?;
    params.extend([Param::from(email), now.into()]);
    let mut id = sql.query_one(UPDATE, &params, |row| row.int(0))?;
    if id.is_none() {
        params.push(sql.next("person")?.into());
        // Another replica may have been faster.
        id = sql.query_one(INSERT, &params, |row| row.int(0))?;
    }
    id.ok_or(StorageError::Closed)
}

/// A person, if there is one with this number.
pub(super) fn get(sql: &mut Sql<'_>, id: i64) -> Result<Person, Problem> {
    let Some(mut person) = sql.query_one(GET, &[id.into()], person)? else {
        return Err(Problem::new(
            StatusCode::NOT_FOUND,
            "person_not_found",
            format!("there is no person with the number {id}"),
        ));
    };
    person.permissions = permissions(sql, id)?;
    Ok(person)
}

pub(super) fn permissions(sql: &mut Sql<'_>, id: i64) -> Result<Vec<String>, StorageError> {
    sql.query(PERMISSIONS, &[id.into()], |row| row.text(0))
}

/// How the audit names a person who does something.
pub(super) fn actor(login: &str) -> String {
    format!("person:{login}")
}

/// How the audit names a person to whom something is done.
pub(super) fn label(provider: &str, login: &str) -> String {
    format!("{provider}:{login}")
}

fn person(row: &Row<'_>) -> Result<Person, StorageError> {
    Ok(Person {
        id: row.int(0)?,
        provider: row.text(1)?,
        subject: row.text(2)?,
        login: row.text(3)?,
        email: row.text(4)?,
        created: time::rfc3339(row.int(5)?),
        updated: time::rfc3339(row.int(6)?),
        permissions: Vec::new(),
    })
}
