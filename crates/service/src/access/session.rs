//! Sessions of people.
//!
//! A session is a row of its own: it can be ended at any time. The browser has 256 random bits,
//! the database has their hash.

use std::{collections::HashMap, time::Duration};

use axum::http::{HeaderMap, StatusCode};
use secrecy::SecretString;

use super::{
    Access, Hash, Known, Permission, Principal, Profile, Who, invitation, person,
    principal::no_random, random, sha256,
};
use crate::{
    audit,
    problem::Problem,
    storage::{Sql, StorageError},
    time,
};

crate::statements! {
    FIND = "SELECT session.person, session.expires, session.last_used, person.login
        FROM session JOIN person ON person.id = session.person WHERE session.hash = ?1";
    INSERT = "INSERT INTO session (hash, person, created, expires, last_used)
        VALUES (?1, ?2, ?3, ?4, ?3)";
    DELETE = "DELETE FROM session WHERE hash = ?1";
    DELETE_ALL = "DELETE FROM session WHERE person = ?1";
    USED = "UPDATE session SET last_used = ?2 WHERE hash = ?1 AND last_used < ?2";
    PURGE = "DELETE FROM session WHERE expires <= ?1 OR last_used <= ?2";
    COMPLETE = "INSERT INTO completed_sign_in (hash, expires) VALUES (?1, ?2)
        ON CONFLICT (hash) DO NOTHING";
    PURGE_COMPLETED = "DELETE FROM completed_sign_in WHERE expires <= ?1";
}

/// A sign-in that an issuer has confirmed.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Who signed in.
    pub profile: Profile,
    /// What identifies the attempt: none is completed twice.
    pub attempt: Hash,
    /// After how long the attempt is of no use by itself.
    pub attempt_lasts: Duration,
    /// The session that it replaces.
    pub replaces: Option<Hash>,
}

impl Access {
    /// Signs a person in and returns the key of the new session, for
    /// [`Sessions::session_cookie`](super::Sessions::session_cookie). The person is created or
    /// updated, and gets what they were invited to.
    ///
    /// # Errors
    ///
    /// 400 where the attempt was completed already; 503 where the database is unavailable.
    pub async fn sign_in(&self, new: NewSession) -> Result<SecretString, Problem> {
        let Some(sessions) = &self.0.sessions else {
            return Err(Problem::invalid("people cannot sign in to this service"));
        };
        let lifetime = sessions.lifetime_milliseconds();
        let key = random::secret().ok_or_else(no_random)?;
        let hash = sha256(key.as_bytes());
        let version = self.0.storage.write(move |sql| -> Result<_, Problem> {
            let now = time::now();
            let lasts = i64::try_from(new.attempt_lasts.as_millis()).unwrap_or(i64::MAX);
            sql.execute(PURGE_COMPLETED, &[now.into()])?;
            let attempt = [(&new.attempt[..]).into(), now.saturating_add(lasts).into()];
            if sql.execute(COMPLETE, &attempt)? == 0 {
                return Err(Problem::new(
                    StatusCode::BAD_REQUEST,
                    "sign_in_repeated",
                    "this sign-in was completed already: sign in again",
                ));
            }
            if let Some(replaced) = new.replaces {
                sql.execute(DELETE, &[(&replaced[..]).into()])?;
            }
            let id = person::signed_in(sql, &new.profile)?;
            invitation::redeem(sql, id, &new.profile)?;
            let expires = now.saturating_add(lifetime);
            let params = [(&hash[..]).into(), id.into(), now.into(), expires.into()];
            sql.execute(INSERT, &params)?;
            let Profile { provider, login, .. } = &new.profile;
            let (actor, subject) = (person::actor(login), person::label(provider, login));
            audit::record(sql, &actor, "session.begin", &subject)?;
            Ok(sql.next("access")?)
        });
        self.refresh(version.await?);
        Ok(key.into())
    }

    /// Ends the session of a request, if it has one.
    ///
    /// # Errors
    ///
    /// 503 where the database is unavailable.
    pub async fn sign_out(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let session = self.0.sessions.as_ref().and_then(|it| it.session(headers));
        let Some(hash) = session else { return Ok(()) };
        let version = self.0.storage.write(move |sql| -> Result<_, Problem> {
            let Some(id) = sql.query_one(FIND, &[(&hash[..]).into()], |row| row.int(0))? else {
                return Ok(None);
            };
            let person = person::get(sql, id)?;
            sql.execute(DELETE, &[(&hash[..]).into()])?;
            audit::record(sql, &person::actor(&person.login), "session.end", &person.label())?;
            Ok(Some(sql.next("access")?))
        });
        if let Some(version) = version.await? {
            self.refresh(version);
        }
        Ok(())
    }

    /// Ends all sessions of a person, on every replica within a second.
    ///
    /// # Errors
    ///
    /// 403 where the person has a permission that `by` does not have; 404 for a person who does
    /// not exist; 503 where the database is unavailable.
    pub async fn end_sessions(&self, person: i64, by: &Principal) -> Result<(), Problem> {
        let by = by.clone();
        let version = self.0.storage.write(move |sql| -> Result<_, Problem> {
            let found = person::get(sql, person)?;
            if by.person() != Some(person) {
                by.require_to_grant(&found.permissions)?;
            }
            sql.execute(DELETE_ALL, &[person.into()])?;
            audit::record(sql, by.name(), "session.end-all", &found.label())?;
            Ok(sql.next("access")?)
        });
        self.refresh(version.await?);
        Ok(())
    }

    /// Deletes the sessions that are over. A service calls it every hour.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub async fn purge_sessions(&self) -> Result<u64, StorageError> {
        let Some(sessions) = &self.0.sessions else { return Ok(0) };
        let now = time::now();
        let unused_since = now.saturating_sub(sessions.idle_milliseconds());
        self.flush_use().await?;
        self.0
            .storage
            .write(move |sql| sql.execute(PURGE, &[now.into(), unused_since.into()]))
            .await
    }
}

/// The principal of a session.
pub(super) fn find(
    sql: &mut Sql<'_>,
    hash: &Hash,
    known: &'static [Permission],
) -> Result<Option<Known>, StorageError> {
    let found = sql.query_one(FIND, &[(&hash[..]).into()], |row| {
        Ok((row.int(0)?, row.int(1)?, row.int(2)?, row.text(3)?))
    })?;
    let Some((id, expires, last_used, login)) = found else { return Ok(None) };
    let permissions = person::permissions(sql, id)?;
    let granted: Vec<&str> = permissions.iter().map(String::as_str).collect();
    let name = person::actor(&login);
    let principal = Principal::with(name, Who::Person(id), &granted, known, None);
    Ok(Some(Known { principal, expires: Some(expires), last_used: Some(last_used) }))
}

/// Writes down when sessions were last used.
pub(super) fn write_use(sql: &mut Sql<'_>, used: HashMap<Hash, i64>) -> Result<(), StorageError> {
    for (hash, at) in used {
        sql.execute(USED, &[(&hash[..]).into(), at.into()])?;
    }
    Ok(())
}
