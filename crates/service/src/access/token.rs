//! Tokens for machines.

use axum::http::StatusCode;
use secrecy::SecretString;
use serde::Serialize;

use super::{
    Access, Hash, Known, Permission, Principal, Who,
    principal::{no_random, require_known},
    random, session, sha256,
};
use crate::{
    audit,
    problem::Problem,
    storage::{Row, Sql, StorageError},
    time,
};

crate::statements! {
    FIND = "SELECT id, name, permissions, prefixes, expires FROM token WHERE hash = ?1";
    INSERT = "INSERT INTO token
        (id, name, hash, permissions, prefixes, created, created_by, expires)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    LIST = "SELECT id, name, permissions, prefixes, created, created_by, expires, last_used
        FROM token ORDER BY id";
    GET = "SELECT id, name, permissions, prefixes, created, created_by, expires, last_used
        FROM token WHERE id = ?1";
    DELETE = "DELETE FROM token WHERE id = ?1";
    USED = "UPDATE token SET last_used = ?2
        WHERE id = ?1 AND (last_used IS NULL OR last_used < ?2)";
}

/// A token, without the token itself.
#[derive(Clone, Debug, Serialize)]
pub struct Token {
    /// Its number.
    pub id: i64,
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub permissions: Vec<String>,
    /// The prefixes of the identities that it may see; `None`: all identities.
    pub prefixes: Option<Vec<String>>,
    /// When it was made.
    pub created: String,
    /// Who made it.
    pub created_by: String,
    /// Until when it is valid; `None`: for ever.
    pub expires: Option<String>,
    /// When it was last used, to the minute.
    pub last_used: Option<String>,
}

/// What a new token is to be.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub permissions: Vec<String>,
    /// The prefixes of the identities that it may see; `None`: all identities.
    pub prefixes: Option<Vec<String>>,
    /// Until when it is valid, in milliseconds since 1970; `None`: for ever.
    pub expires: Option<i64>,
}

impl Access {
    /// Makes a token and returns its number and the token, which is not stored: it is seen
    /// this once.
    ///
    /// # Errors
    ///
    /// 400 for a blank name, a permission that does not exist, or an expiry in the past; 503
    /// where the database is unavailable.
    pub async fn create_token(
        &self,
        new: NewToken,
        by: &str,
    ) -> Result<(i64, SecretString), Problem> {
        if new.name.trim().is_empty() || new.name.len() > 200 {
            return Err(Problem::invalid("the name of a token has 1 to 200 bytes"));
        }
        if new.permissions.is_empty() {
            return Err(Problem::invalid("a token needs at least one permission"));
        }
        require_known(self.permissions(), &new.permissions)?;
        if new.expires.is_some_and(|it| it <= time::now()) {
            return Err(Problem::invalid("the token would have expired already"));
        }
        let token = random::secret().ok_or_else(no_random)?;
        let hash = sha256(token.as_bytes());
        let by = by.to_owned();
        let written = self.0.storage.write(move |sql| -> Result<_, StorageError> {
            let id = sql.next("token")?;
            let permissions = new.permissions.join(" ");
            let prefixes = new.prefixes.as_ref().map(|it| serde_json::json!(it).to_string());
            sql.execute(
                INSERT,
                &[
                    id.into(),
                    (&new.name).into(),
                    (&hash[..]).into(),
                    (&permissions).into(),
                    prefixes.as_ref().into(),
                    time::now().into(),
                    (&by).into(),
                    new.expires.into(),
                ],
            )?;
            audit::record(sql, &by, "token.create", &new.name)?;
            Ok((id, sql.next("access")?))
        });
        let (id, version) = written.await?;
        self.refresh(version);
        Ok((id, token.into()))
    }

    /// All tokens.
    ///
    /// # Errors
    ///
    /// 503 where the database is unavailable.
    pub async fn tokens(&self) -> Result<Vec<Token>, Problem> {
        Ok(self.0.storage.read(|sql| sql.query(LIST, &[], token)).await?)
    }

    /// Revokes a token. It is of no use from the moment that this returns, and within a second
    /// on other replicas.
    ///
    /// # Errors
    ///
    /// What `allowed` says of the token; 404 for a token that does not exist; 503 where the
    /// database is unavailable.
    pub async fn revoke_token(
        &self,
        id: i64,
        by: &str,
        allowed: impl FnOnce(&Token) -> Result<(), Problem> + Send + 'static,
    ) -> Result<(), Problem> {
        let by = by.to_owned();
        let version = self.0.storage.write(move |sql| -> Result<_, Problem> {
            let Some(found) = sql.query_one(GET, &[id.into()], token)? else {
                return Err(Problem::new(
                    StatusCode::NOT_FOUND,
                    "token_not_found",
                    format!("there is no token with the number {id}"),
                ));
            };
            allowed(&found)?;
            sql.execute(DELETE, &[id.into()])?;
            audit::record(sql, &by, "token.revoke", &found.name)?;
            Ok(sql.next("access")?)
        });
        self.refresh(version.await?);
        Ok(())
    }

    /// Writes down when tokens and sessions were last used. A service calls it every minute,
    /// and at its end.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub async fn flush_use(&self) -> Result<(), StorageError> {
        let used = self.0.tokens_used.take();
        let sessions = self.0.sessions_used.take();
        if used.is_empty() && sessions.is_empty() {
            return Ok(());
        }
        self.0
            .storage
            .write(move |sql| {
                for (id, at) in used {
                    sql.execute(USED, &[id.into(), at.into()])?;
                }
                session::write_use(sql, sessions)?;
                Ok(())
            })
            .await
    }
}

/// The principal of a token.
pub(super) fn find(
    sql: &mut Sql<'_>,
    hash: &Hash,
    known: &'static [Permission],
) -> Result<Option<Known>, StorageError> {
    sql.query_one(FIND, &[(&hash[..]).into()], |row| {
        let permissions = row.text(2)?;
        let granted: Vec<&str> = permissions.split(' ').collect();
        let name = format!("token:{}", row.text(1)?);
        let who = Who::Token(row.int(0)?);
        let principal = Principal::with(name, who, &granted, known, prefixes(row, 3)?);
        Ok(Known { principal, expires: row.optional_int(4)?, last_used: None })
    })
}

fn token(row: &Row<'_>) -> Result<Token, StorageError> {
    Ok(Token {
        id: row.int(0)?,
        name: row.text(1)?,
        permissions: row.text(2)?.split(' ').map(str::to_owned).collect(),
        prefixes: prefixes(row, 3)?,
        created: time::rfc3339(row.int(4)?),
        created_by: row.text(5)?,
        expires: row.optional_int(6)?.map(time::rfc3339),
        last_used: row.optional_int(7)?.map(time::rfc3339),
    })
}

fn prefixes(row: &Row<'_>, column: usize) -> Result<Option<Vec<String>>, StorageError> {
    let Some(text) = row.optional_text(column)? else { return Ok(None) };
    let prefixes = serde_json::from_str(&text);
    prefixes.map(Some).map_err(|source| StorageError::Column { column, source: source.into() })
}
