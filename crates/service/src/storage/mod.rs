//! One store for every service, on SQLite or PostgreSQL.
//!
//! A service writes each statement once, in the SQL that both databases understand, and
//! runs it inside a closure that gets a transaction ([`Sql`]):
//!
//! - [`Storage::read`] runs the closure on one of several connections, in a transaction that
//!   sees one state of the database.
//! - [`Storage::write`] sends it to the one writer. The writer runs all closures that are
//!   waiting in one transaction, each in a savepoint, and commits once: an `fsync` costs more
//!   than a hundred writes. A closure that returns an error leaves no trace, and neither does
//!   it disturb the others. A caller gets its result only after the commit, so what has been
//!   acknowledged survives the death of the process and a loss of power.
//!
//! The closures are synchronous. SQLite is, and a driver of PostgreSQL exists for both
//! ways; with one way there is one text of each query and one set of errors.
//!
//! Rules for SQL, so that one text serves both databases:
//!
//! - Types in migrations are `BIGINT` (numbers, milliseconds since 1970, 0 and 1 for a
//!   boolean), `TEXT`, `KEYTEXT` (text that is compared byte by byte) and `BYTES`.
//! - Parameters are numbered: `?1`.
//! - Numbers of new rows come from [`Sql::next`].

pub mod backup;
mod connection;
mod error;
mod inspect;
mod migrate;
mod postgres;
pub(crate) mod sql;
mod sqlite;
mod writer;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Semaphore, time::timeout};

use self::{connection::Connection, postgres::PostgresTarget, writer::Writer};
pub use self::{
    error::StorageError,
    inspect::Existing,
    migrate::Migration,
    sql::{Param, Row, Sql},
};

/// How many reads run at the same time.
const READERS: usize = 8;
/// How long a caller waits for the database: longer than a statement may take there. A server
/// that stands still reports nothing, and its connection stays open.
const ANSWER: Duration = Duration::from_secs(40);

/// Where the data is.
///
/// ```
/// use service::storage::Database;
///
/// assert!(matches!(Database::parse("data/facts.db", None)?, Database::Sqlite(_)));
/// let database = Database::parse("postgres://app:secret@db.internal/facts", None)?;
/// assert_eq!(database.to_string(), "PostgreSQL at db.internal");
/// # Ok::<(), service::storage::StorageError>(())
/// ```
#[derive(Clone)]
pub enum Database {
    /// A file of SQLite, which is created where it does not exist.
    Sqlite(PathBuf),
    /// A server of PostgreSQL, 14 or later.
    Postgres(Arc<PostgresTarget>),
}

impl Database {
    /// Reads the address of a database: a URL with the scheme `postgres` or `postgresql`, the
    /// keywords and values of libpq (`host=db.internal dbname=facts`), or a path.
    /// `root_certificates` is a PEM file with the certification authorities of a PostgreSQL
    /// server; without it, those of the system apply.
    ///
    /// # Errors
    ///
    /// The address is invalid, or the file of certificates is.
    pub fn parse(address: &str, root_certificates: Option<PathBuf>) -> Result<Self, StorageError> {
        if PostgresTarget::is_address(address) {
            let target = PostgresTarget::parse(address, root_certificates)?;
            return Ok(Self::Postgres(Arc::new(target)));
        }
        let path = address.strip_prefix("sqlite://").unwrap_or(address);
        if path.is_empty() || path.contains("://") {
            return Err(StorageError::Address(
                "expected a path, a URL that begins with postgres://, or host=…".to_owned(),
            ));
        }
        Ok(Self::Sqlite(path.into()))
    }

    fn connect(&self) -> Result<Connection, StorageError> {
        match self {
            Self::Sqlite(path) => sqlite::open(path).map(Connection::Sqlite),
            Self::Postgres(target) => target.connect().map(|it| Connection::Postgres(Box::new(it))),
        }
    }
}

/// Names the database without a password.
impl std::fmt::Display for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "SQLite in {}", path.display()),
            Self::Postgres(target) => write!(f, "PostgreSQL at {target}"),
        }
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// A database with its connections. Cloning is cheap.
#[derive(Clone)]
pub struct Storage {
    shared: Arc<Shared>,
}

struct Shared {
    database: Database,
    writer: Writer,
    /// Connections that no read is using.
    idle: std::sync::Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

/// Closing a connection to PostgreSQL waits for its task, which a thread that drives other
/// tasks must not do.
impl Drop for Shared {
    fn drop(&mut self) {
        let idle = std::mem::take(&mut *lock(&self.idle));
        std::thread::spawn(move || drop(idle));
    }
}

impl Storage {
    /// Connects to the database and brings its schema to the last of `migrations`.
    ///
    /// Several processes may start on one database: a lock lets one of them migrate while
    /// the others wait.
    ///
    /// # Errors
    ///
    /// The database is unreachable, a migration fails, or the schema is newer than the
    /// program.
    pub async fn open(
        database: Database,
        migrations: &'static [Migration],
    ) -> Result<Self, StorageError> {
        let target = database.clone();
        let connection = blocking(move || {
            let mut connection = target.connect()?;
            migrate::run(&mut connection, migrations)?;
            Ok(connection)
        })
        .await?;
        Self::with(database, connection)
    }

    /// Connects to a database whose schema is that of `migrations`. It needs no right to change
    /// the schema.
    ///
    /// # Errors
    ///
    /// The database is unreachable or does not exist, or its schema is older or newer.
    pub async fn open_migrated(
        database: Database,
        migrations: &'static [Migration],
    ) -> Result<Self, StorageError> {
        let found = database.inspect(|it| it.version(migrations)).await?;
        let known = migrations.last().map_or(0, |it| it.version);
        if found < known {
            return Err(StorageError::Older { found, known });
        }
        let target = database.clone();
        let connection = blocking(move || target.connect()).await?;
        Self::with(database, connection)
    }

    fn with(database: Database, connection: Connection) -> Result<Self, StorageError> {
        let target = database.clone();
        let writer = Writer::start(connection, move || target.connect())?;
        Ok(Self {
            shared: Arc::new(Shared {
                database,
                writer,
                idle: std::sync::Mutex::default(),
                permits: Arc::new(Semaphore::new(READERS)),
            }),
        })
    }

    /// The database behind it.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.shared.database
    }

    /// Runs `work` in a transaction that sees one state of the database and changes nothing.
    ///
    /// # Errors
    ///
    /// Whatever `work` returns, and a [`StorageError`] where the database is unreachable or does
    /// not answer for 40 seconds.
    pub async fn read<T, E>(
        &self,
        work: impl FnOnce(&mut Sql<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StorageError> + Send + 'static,
    {
        let answer = timeout(ANSWER, self.read_in_time(work)).await;
        answer.unwrap_or_else(|_| Err(StorageError::Unreachable(silent()).into()))
    }

    async fn read_in_time<T, E>(
        &self,
        work: impl FnOnce(&mut Sql<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StorageError> + Send + 'static,
    {
        let permits = Arc::clone(&self.shared.permits);
        let Ok(permit) = permits.acquire_owned().await else {
            return Err(StorageError::Closed.into());
        };
        let shared = Arc::clone(&self.shared);
        blocking(move || {
            let _permit = permit;
            let idle = lock(&shared.idle).pop();
            let connect = || shared.database.connect();
            let mut connection = Connection::begin(idle, &connect, Connection::begin_read)?;
            let result = work(&mut connection.sql());
            // A connection that cannot end its transaction is dropped.
            if connection.end().is_ok() {
                lock(&shared.idle).push(connection);
            }
            result
        })
        .await
    }

    /// Calls `wake` whenever a transaction [notifies](Sql::notify) this channel, until the
    /// result is dropped. A notification may be lost, so who needs all changes polls as well.
    /// `None` on SQLite, which has no notifications.
    #[must_use]
    pub fn listen(
        &self,
        channel: &'static str,
        wake: impl Fn() + Send + 'static,
    ) -> Option<Listening> {
        let Database::Postgres(target) = &self.shared.database else { return None };
        let target = Arc::clone(target);
        let stop = Arc::new(AtomicBool::new(false));
        let listening = Listening(Arc::clone(&stop));
        std::thread::Builder::new()
            .name("storage listener".to_owned())
            .spawn(move || postgres::listen(&target, channel, &wake, &stop))
            .ok()?;
        Some(listening)
    }

    /// Runs `work` in the writer's next transaction, and returns when that is committed.
    ///
    /// # Errors
    ///
    /// Whatever `work` returns: then nothing that it did remains. A [`StorageError`] where
    /// the database is unreachable, or where the connection broke during the commit or the
    /// database does not answer for 40 seconds: [`StorageError::Uncertain`].
    pub async fn write<T, E>(
        &self,
        work: impl FnOnce(&mut Sql<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StorageError> + Send + 'static,
    {
        let answer = timeout(ANSWER, self.shared.writer.run(work)).await;
        answer.unwrap_or_else(|_| Err(StorageError::Uncertain(silent()).into()))
    }
}

/// The notifications of other replicas, while it exists.
pub struct Listening(Arc<AtomicBool>);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Why a caller does not wait any longer.
fn silent() -> error::Cause {
    format!("the database has not answered for {} seconds", ANSWER.as_secs()).into()
}

/// Runs `work` where it may block.
async fn blocking<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, E>
where
    T: Send + 'static,
    E: From<StorageError> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(StorageError::Closed.into()),
        },
    }
}

/// A poisoned lock is taken all the same: a list of idle connections cannot be half changed.
fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
