//! A transaction, its parameters and its rows, alike for both databases.

use bytes::BytesMut;
use postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use rusqlite::types::{ToSqlOutput, ValueRef};

use super::{error::StorageError, postgres::PostgresConnection};

/// A value for a parameter of a statement.
#[derive(Clone, Copy)]
pub enum Param<'a> {
    /// A number, a time in milliseconds since 1970, or a boolean as 0 or 1.
    Int(i64),
    /// Text.
    Text(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
    /// Nothing.
    Null,
}

impl From<i64> for Param<'_> {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<bool> for Param<'_> {
    fn from(value: bool) -> Self {
        Self::Int(value.into())
    }
}

impl<'a> From<&'a str> for Param<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(value)
    }
}

impl<'a> From<&'a String> for Param<'a> {
    fn from(value: &'a String) -> Self {
        Self::Text(value)
    }
}

impl<'a> From<&'a [u8]> for Param<'a> {
    fn from(value: &'a [u8]) -> Self {
        Self::Bytes(value)
    }
}

impl<'a, T: Into<Param<'a>>> From<Option<T>> for Param<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// Shows the kind of the value only, since a value may be a secret.
impl std::fmt::Debug for Param<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Int(_) => "Int",
            Self::Text(_) => "Text",
            Self::Bytes(_) => "Bytes",
            Self::Null => "Null",
        })
    }
}

impl rusqlite::ToSql for Param<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Int(value) => ValueRef::Integer(*value),
            Self::Text(value) => ValueRef::Text(value.as_bytes()),
            Self::Bytes(value) => ValueRef::Blob(value),
            Self::Null => ValueRef::Null,
        }))
    }
}

impl ToSql for Param<'_> {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Int(value) => value.to_sql_checked(kind, out),
            Self::Text(value) => value.to_sql_checked(kind, out),
            Self::Bytes(value) => value.to_sql_checked(kind, out),
            Self::Null => Ok(IsNull::Yes),
        }
    }

    fn accepts(_: &Type) -> bool {
        // Whether the value fits is checked when it is written, when its kind is known.
        true
    }

    to_sql_checked!();
}

/// A row of a result.
pub struct Row<'a>(RowKind<'a>);

enum RowKind<'a> {
    Sqlite(&'a rusqlite::Row<'a>),
    Postgres(&'a postgres::Row),
}

impl Row<'_> {
    /// The number in a column.
    ///
    /// # Errors
    ///
    /// The column does not hold a number.
    pub fn int(&self, column: usize) -> Result<i64, StorageError> {
        self.get(column)
    }

    /// The number in a column that may be empty.
    ///
    /// # Errors
    ///
    /// The column holds something else.
    pub fn optional_int(&self, column: usize) -> Result<Option<i64>, StorageError> {
        self.get(column)
    }

    /// The text in a column.
    ///
    /// # Errors
    ///
    /// The column does not hold text.
    pub fn text(&self, column: usize) -> Result<String, StorageError> {
        self.get(column)
    }

    /// The text in a column that may be empty.
    ///
    /// # Errors
    ///
    /// The column holds something else.
    pub fn optional_text(&self, column: usize) -> Result<Option<String>, StorageError> {
        self.get(column)
    }

    /// The bytes in a column.
    ///
    /// # Errors
    ///
    /// The column does not hold bytes.
    pub fn bytes(&self, column: usize) -> Result<Vec<u8>, StorageError> {
        self.get(column)
    }

    fn get<T>(&self, column: usize) -> Result<T, StorageError>
    where
        T: rusqlite::types::FromSql + for<'r> postgres::types::FromSql<'r>,
    {
        match &self.0 {
            RowKind::Sqlite(row) => row
                .get(column)
                .map_err(|source| StorageError::Column { column, source: source.into() }),
            RowKind::Postgres(row) => row
                .try_get(column)
                .map_err(|source| StorageError::Column { column, source: source.into() }),
        }
    }
}

/// A transaction.
///
/// Statements are `&'static str`, so a value can reach the database only as a parameter.
pub struct Sql<'a>(pub(super) Kind<'a>);

pub(super) enum Kind<'a> {
    Sqlite(&'a rusqlite::Connection),
    Postgres(&'a mut PostgresConnection),
}

impl Sql<'_> {
    /// Runs a statement and returns how many rows it changed.
    ///
    /// # Errors
    ///
    /// The statement fails, or a parameter contains NUL.
    pub fn execute(
        &mut self,
        statement: &'static str,
        params: &[Param<'_>],
    ) -> Result<u64, StorageError> {
        check(params)?;
        match &mut self.0 {
            Kind::Sqlite(connection) => connection
                .prepare_cached(statement)
                .and_then(|mut it| it.execute(rusqlite::params_from_iter(params)))
                .map(|count| count as u64)
                .map_err(|source| failed(statement, source)),
            Kind::Postgres(connection) => connection.execute(statement, params),
        }
    }

    /// Runs a query and returns what `read` makes of its rows.
    ///
    /// # Errors
    ///
    /// The query fails, or `read` does.
    pub fn query<T>(
        &mut self,
        statement: &'static str,
        params: &[Param<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<T, StorageError>,
    ) -> Result<Vec<T>, StorageError> {
        check(params)?;
        let failed = |source| failed(statement, source);
        match &mut self.0 {
            Kind::Sqlite(connection) => {
                let mut prepared = connection.prepare_cached(statement).map_err(failed)?;
                let mut rows =
                    prepared.query(rusqlite::params_from_iter(params)).map_err(failed)?;
                let mut results = Vec::new();
                while let Some(row) = rows.next().map_err(failed)? {
                    results.push(read(&Row(RowKind::Sqlite(row)))?);
                }
                Ok(results)
            }
            Kind::Postgres(connection) => {
                let rows = connection.query(statement, params)?;
                rows.iter().map(|row| read(&Row(RowKind::Postgres(row)))).collect()
            }
        }
    }

    /// Runs a query and returns what `read` makes of its first row, if there is one.
    ///
    /// # Errors
    ///
    /// The query fails, or `read` does.
    pub fn query_one<T>(
        &mut self,
        statement: &'static str,
        params: &[Param<'_>],
        read: impl FnMut(&Row<'_>) -> Result<T, StorageError>,
    ) -> Result<Option<T>, StorageError> {
        Ok(self.query(statement, params, read)?.into_iter().next())
    }

    /// Takes the next number of a sequence, which begins with 1.
    ///
    /// One transaction writes at a time, so numbers are committed in their order: who has read
    /// up to number `n` misses nothing before it. A sequence of a database would not promise
    /// that.
    ///
    /// # Errors
    ///
    /// The statement fails.
    pub fn next(&mut self, sequence: &str) -> Result<i64, StorageError> {
        let number = self.query_one(statements::NEXT, &[sequence.into()], |row| row.int(0))?;
        number.ok_or(StorageError::Closed)
    }

    /// The last number of a sequence, or 0.
    ///
    /// # Errors
    ///
    /// The statement fails.
    pub fn last(&mut self, sequence: &str) -> Result<i64, StorageError> {
        let number = self.query_one(statements::LAST, &[sequence.into()], |row| row.int(0))?;
        Ok(number.unwrap_or(0))
    }

    /// Wakes those who [listen](super::Storage::listen) on this channel when the transaction is
    /// committed. On SQLite, which only one process writes to, it does nothing.
    ///
    /// # Errors
    ///
    /// The statement fails.
    pub fn notify(&mut self, channel: &str) -> Result<(), StorageError> {
        match &mut self.0 {
            Kind::Sqlite(_) => Ok(()),
            Kind::Postgres(connection) => {
                connection.query("SELECT pg_notify(?1, '')", &[channel.into()]).map(drop)
            }
        }
    }

    /// Checks that both databases understand a statement, and that [`Row`] can read what it
    /// returns.
    ///
    /// # Errors
    ///
    /// The statement does not compile, or a column has another type.
    pub fn prepare(&mut self, statement: &'static str) -> Result<(), StorageError> {
        match &mut self.0 {
            Kind::Sqlite(connection) => connection
                .prepare_cached(statement)
                .map(drop)
                .map_err(|source| failed(statement, source)),
            Kind::Postgres(connection) => connection.check(statement),
        }
    }
}

/// Rejects on both databases what one of them cannot store.
fn check(params: &[Param<'_>]) -> Result<(), StorageError> {
    let has_nul = |it: &Param<'_>| matches!(it, Param::Text(text) if text.contains('\0'));
    if params.iter().any(has_nul) { Err(StorageError::Nul) } else { Ok(()) }
}

fn failed(statement: &str, source: rusqlite::Error) -> StorageError {
    StorageError::Statement { statement: statement.to_owned(), source: source.into() }
}

/// Declares the statements of a module as constants, and `ALL` of them for a test that
/// prepares each on both databases.
#[macro_export]
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $text:expr;)*) => {
        $($(#[$doc])* pub(crate) const $name: &str = $text;)*
        /// Each statement of this module, for a test that prepares them on both databases.
        pub(crate) const ALL: &[&str] = &[$($name),*];
    };
}

pub(crate) mod statements {
    //! The statements of [`Sql`](super::Sql) itself.

    crate::statements! {
        NEXT = "INSERT INTO sequence (name, value) VALUES (?1, 1)
            ON CONFLICT (name) DO UPDATE SET value = sequence.value + 1 RETURNING value";
        LAST = "SELECT value FROM sequence WHERE name = ?1";
    }
}
