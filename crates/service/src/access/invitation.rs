//! Permissions for people who have not signed in yet.

use axum::http::StatusCode;
use serde::Serialize;

use super::{
    Access, PROVIDERS, Person, Principal, Profile,
    person::{GRANT, get, label},
};
use crate::{
    audit,
    problem::Problem,
    storage::{Sql, StorageError},
    time,
};

crate::statements! {
    OF_PROVIDER = "SELECT id, subject, login, email FROM person WHERE provider = ?1";
    INVITE = "INSERT INTO invitation (provider, name, permission, created, created_by)
        VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (provider, name, permission) DO NOTHING";
    INVITATIONS = "SELECT provider, name, permission, created, created_by FROM invitation
        ORDER BY provider, name, permission";
    WITHDRAW = "DELETE FROM invitation WHERE provider = ?1 AND name = ?2 AND permission = ?3";
}

/// A permission for somebody who has not signed in yet.
#[derive(Clone, Debug, Serialize)]
pub struct Invitation {
    /// With which provider they will sign in.
    pub provider: String,
    /// Their login, verified e-mail address or subject there.
    pub name: String,
    /// What they may do then.
    pub permission: String,
    /// When it was made.
    pub created: String,
    /// Who made it.
    pub created_by: String,
}

/// What became of [`Access::add_admin`].
#[derive(Clone, Debug)]
pub enum Added {
    /// The person has signed in before, and is an administrator now.
    Granted(Person),
    /// The person will be an administrator when they first sign in.
    Invited(Invitation),
}

impl Access {
    /// Makes somebody an administrator, for a command on the machine of the service. `who` is
    /// `PROVIDER:NAME`, with a login, a verified e-mail address or a subject as the name.
    ///
    /// Somebody who has never signed in becomes one at their first sign-in. That takes an
    /// invitation, which [`withdraw`](Self::withdraw) cancels.
    ///
    /// # Errors
    ///
    /// 400 for a provider that does not exist, a blank name, and a name that several people
    /// have; 503 where the database is unavailable.
    pub async fn add_admin(&self, who: &str) -> Result<Added, Problem> {
        let (provider, name) = who.split_once(':').unwrap_or(("", who));
        let (provider, name) = (provider.to_owned(), name.trim().to_owned());
        if !PROVIDERS.contains(&&*provider) || name.is_empty() {
            return Err(Problem::invalid(format!(
                "{who:?} does not name a person: expected PROVIDER:NAME, with one of {} as the \
                 provider, and a login, an e-mail address or a subject as the name",
                PROVIDERS.join(", ")
            )));
        }
        let Some(admin) = self.permissions().first().map(|it| it.id) else {
            return Err(Problem::invalid("this service has no permissions"));
        };
        let added = self.0.storage.write(move |sql| -> Result<_, Problem> {
            let people = sql.query(OF_PROVIDER, &[(&provider).into()], |row| {
                Ok((row.int(0)?, [row.text(1)?, row.text(2)?, row.text(3)?]))
            })?;
            let found: Vec<_> = people
                .into_iter()
                .filter(|(_, [subject, login, email])| names(&name, subject, login, email))
                .collect();
            let added = match &found[..] {
                [] => {
                    let invitation = invite(sql, provider, name, admin)?;
                    Added::Invited(invitation)
                }
                [(id, _)] => {
                    sql.execute(GRANT, &[(*id).into(), admin.into()])?;
                    let person = get(sql, *id)?;
                    let subject = format!("{} {admin}", person.label());
                    audit::record(sql, COMMAND, "person.grant", &subject)?;
                    Added::Granted(person)
                }
                several => {
                    let subjects: Vec<_> = several.iter().map(|it| it.1[0].as_str()).collect();
                    return Err(Problem::invalid(format!(
                        "several people are named {name:?}: name one by the subject, which is one \
                         of {}",
                        subjects.join(", ")
                    )));
                }
            };
            Ok((added, sql.next("access")?))
        });
        let (added, version) = added.await?;
        self.refresh(version);
        Ok(added)
    }

    /// The permissions that wait for people who have not signed in yet.
    ///
    /// # Errors
    ///
    /// 503 where the database is unavailable.
    pub async fn invitations(&self) -> Result<Vec<Invitation>, Problem> {
        let list = self.0.storage.read(|sql| {
            sql.query(INVITATIONS, &[], |row| {
                Ok(Invitation {
                    provider: row.text(0)?,
                    name: row.text(1)?,
                    permission: row.text(2)?,
                    created: time::rfc3339(row.int(3)?),
                    created_by: row.text(4)?,
                })
            })
        });
        Ok(list.await?)
    }

    /// Cancels an invitation.
    ///
    /// # Errors
    ///
    /// 403 for a permission that `by` does not have; 404 for an invitation that does not exist;
    /// 503 where the database is unavailable.
    pub async fn withdraw(
        &self,
        provider: String,
        name: String,
        permission: String,
        by: &Principal,
    ) -> Result<(), Problem> {
        by.require_to_grant(std::slice::from_ref(&permission))?;
        let by = by.name().to_owned();
        let withdrawn = self.0.storage.write(move |sql| -> Result<_, Problem> {
            let params = [(&provider).into(), (&name).into(), (&permission).into()];
            if sql.execute(WITHDRAW, &params)? == 0 {
                return Err(Problem::new(
                    StatusCode::NOT_FOUND,
                    "invitation_not_found",
                    "there is no such invitation",
                ));
            }
            let subject = format!("{} {permission}", label(&provider, &name));
            Ok(audit::record(sql, &by, "invitation.withdraw", &subject)?)
        });
        withdrawn.await
    }
}

/// How the audit names whoever runs a command on the machine of the service.
const COMMAND: &str = "command line";

fn invite(
    sql: &mut Sql<'_>,
    provider: String,
    name: String,
    permission: &str,
) -> Result<Invitation, StorageError> {
    let now = time::now();
    let params =
        [(&provider).into(), (&name).into(), permission.into(), now.into(), COMMAND.into()];
    sql.execute(INVITE, &params)?;
    let subject = format!("{} {permission}", label(&provider, &name));
    audit::record(sql, COMMAND, "invitation.create", &subject)?;
    Ok(Invitation {
        provider,
        name,
        permission: permission.to_owned(),
        created: time::rfc3339(now),
        created_by: COMMAND.to_owned(),
    })
}

/// Gives a person who has signed in what they were invited to.
pub(super) fn redeem(sql: &mut Sql<'_>, id: i64, profile: &Profile) -> Result<(), StorageError> {
    let Profile { provider, subject, login, email, .. } = profile;
    let invitations =
        sql.query(INVITATIONS, &[], |row| Ok((row.text(0)?, row.text(1)?, row.text(2)?)))?;
    for (invited_to, name, permission) in invitations {
        if invited_to == *provider && names(&name, subject, login, email) {
            sql.execute(GRANT, &[id.into(), (&permission).into()])?;
            sql.execute(WITHDRAW, &[provider.into(), (&name).into(), (&permission).into()])?;
            let subject = format!("{} {permission}", label(provider, login));
            audit::record(sql, COMMAND, "person.grant", &subject)?;
        }
    }
    Ok(())
}

/// Whether a name means a person. Digits alone are a subject: GitHub has accounts whose login is
/// another account's number.
fn names(name: &str, subject: &str, login: &str, email: &str) -> bool {
    let digits = name.bytes().all(|it| it.is_ascii_digit());
    name == subject
        || (!digits && (name.eq_ignore_ascii_case(login) || name.eq_ignore_ascii_case(email)))
}
