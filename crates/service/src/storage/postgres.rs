//! Connections to a server of PostgreSQL.

use std::{
    collections::HashMap,
    fmt,
    path::PathBuf,
    str::FromStr as _,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use flagstaff::http::tls::ClientTls;
use postgres::{
    Client, Config, NoTls, Statement,
    config::SslMode,
    fallible_iterator::FallibleIterator as _,
    types::{ToSql, Type},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    error::{Cause, StorageError},
    sql::Param,
};
use crate::describe;

/// How long a connection may take to open, and a statement to return.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long what was sent may stay without an acknowledgement before the connection counts as
/// broken.
const UNACKNOWLEDGED: Duration = Duration::from_secs(10);
/// How often a listener looks whether it is to stop, and how long it waits for a new connection.
const LOOK: Duration = Duration::from_millis(500);
/// Bounds statements; and a commit waits for the disk even where the server's default is not to.
const SESSION: &str = "SET statement_timeout = '30s'; SET lock_timeout = '10s';
    SELECT set_config('synchronous_commit', 'on', false)
    WHERE current_setting('synchronous_commit') = 'off'";
/// The keywords of libpq of which one begins an address that is no URL.
const KEYWORDS: [&str; 9] = [
    "application_name",
    "connect_timeout",
    "dbname",
    "host",
    "hostaddr",
    "password",
    "port",
    "sslmode",
    "user",
];

/// A server of PostgreSQL and how it is reached.
pub struct PostgresTarget {
    config: Config,
    /// `None`: the connection is not encrypted.
    tls: Option<MakeRustlsConnect>,
}

impl PostgresTarget {
    /// Whether this is the address of a server, as a URL or as keywords and values.
    pub(super) fn is_address(address: &str) -> bool {
        let is_url = address.starts_with("postgres://") || address.starts_with("postgresql://");
        let keyword = address.split_once('=').map(|(name, _)| name.trim());
        is_url || keyword.is_some_and(|name| KEYWORDS.contains(&name))
    }

    /// Reads an address. TLS is used where the server offers it, and demanded with
    /// `sslmode=require`; the certificate is always verified, so `verify-ca` and `verify-full`
    /// demand no more.
    pub(super) fn parse(address: &str, roots: Option<PathBuf>) -> Result<Self, StorageError> {
        let invalid = |error: &dyn fmt::Display| StorageError::Address(error.to_string());
        let address = address
            .replace("sslmode=verify-full", "sslmode=require")
            .replace("sslmode=verify-ca", "sslmode=require");
        let mut config = Config::from_str(&address).map_err(|error| invalid(&describe(&error)))?;
        config.connect_timeout(CONNECT_TIMEOUT).keepalives_idle(Duration::from_secs(30));
        config.tcp_user_timeout(UNACKNOWLEDGED);
        // Each start is notified that tables exist already.
        config.notice_callback(|notice| {
            tracing::debug!(severity = notice.severity(), "{}", notice.message());
        });
        let tls = if config.get_ssl_mode() == SslMode::Disable {
            None
        } else {
            let mut tls = ClientTls::new();
            if let Some(path) = roots {
                tls = tls.authorities(path);
            }
            let tls = tls.config().map_err(|error| invalid(&describe(&error)))?;
            Some(MakeRustlsConnect::new(tls))
        };
        Ok(Self { config, tls })
    }

    /// Opens a connection.
    pub(super) fn connect(&self) -> Result<PostgresConnection, StorageError> {
        let client = match &self.tls {
            Some(tls) => self.config.connect(tls.clone()),
            None => self.config.connect(NoTls),
        };
        let client = client.map_err(|error| StorageError::Unreachable(with_remedy(error)))?;
        let mut connection = PostgresConnection { client, statements: HashMap::new() };
        connection.batch(SESSION)?;
        Ok(connection)
    }
}

/// The error of a connection, with what helps where the certificate is not trusted.
fn with_remedy(error: postgres::Error) -> Cause {
    let text = describe(&error);
    if !text.contains("certificate") {
        return error.into();
    }
    format!(
        "{text}; set the option database-ca-file to the certificates that the server's was signed \
         with, or, for a server on this machine, write sslmode=disable in its address"
    )
    .into()
}

/// Names the hosts, without user and password.
impl fmt::Display for PostgresTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, host) in self.config.get_hosts().iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            match host {
                postgres::config::Host::Tcp(name) => f.write_str(name)?,
                #[cfg(unix)]
                postgres::config::Host::Unix(path) => write!(f, "{}", path.display())?,
            }
        }
        Ok(())
    }
}

/// Calls `wake` for each notification on a channel, until `stop` is set. A connection that
/// breaks is replaced.
pub(super) fn listen(target: &PostgresTarget, channel: &str, wake: &dyn Fn(), stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let result = target.connect().and_then(|mut connection| {
            connection.batch(&format!("LISTEN \"{channel}\""))?;
            while !stop.load(Ordering::Relaxed) && connection.is_usable() {
                let mut notifications = connection.client.notifications();
                match notifications.timeout_iter(LOOK).next() {
                    Ok(Some(_)) => wake(),
                    Ok(None) => {}
                    Err(error) => return Err(StorageError::Unreachable(error.into())),
                }
            }
            Ok(())
        });
        if let Err(error) = result {
            tracing::debug!(error = describe(&error), "not listening to the database");
            thread::sleep(LOOK);
        }
    }
}

/// A connection with the statements that it has prepared.
pub(super) struct PostgresConnection {
    client: Client,
    statements: HashMap<&'static str, Statement>,
}

impl PostgresConnection {
    pub(super) fn execute(
        &mut self,
        statement: &'static str,
        params: &[Param<'_>],
    ) -> Result<u64, StorageError> {
        let prepared = self.statement(statement)?;
        self.client
            .execute(&prepared, &by_reference(params))
            .map_err(|error| self.failed(statement, error))
    }

    pub(super) fn query(
        &mut self,
        statement: &'static str,
        params: &[Param<'_>],
    ) -> Result<Vec<postgres::Row>, StorageError> {
        let prepared = self.statement(statement)?;
        self.client
            .query(&prepared, &by_reference(params))
            .map_err(|error| self.failed(statement, error))
    }

    /// The prepared statement, whose parameters PostgreSQL writes as `$1`.
    pub(super) fn statement(&mut self, statement: &'static str) -> Result<Statement, StorageError> {
        if let Some(prepared) = self.statements.get(statement) {
            return Ok(prepared.clone());
        }
        let prepared = self
            .client
            .prepare(&statement.replace('?', "$"))
            .map_err(|error| self.failed(statement, error))?;
        self.statements.insert(statement, prepared.clone());
        Ok(prepared)
    }

    /// Checks that the statement compiles and returns types that are read: a literal number is
    /// shorter than those of the tables.
    pub(super) fn check(&mut self, statement: &'static str) -> Result<(), StorageError> {
        let prepared = self.statement(statement)?;
        let is_read = |it: &Type| [Type::INT8, Type::TEXT, Type::BYTEA].contains(it);
        match prepared.columns().iter().find(|it| !is_read(it.type_())) {
            None => Ok(()),
            Some(column) => Err(StorageError::Statement {
                statement: statement.to_owned(),
                source: format!("the column {} is {}", column.name(), column.type_()).into(),
            }),
        }
    }

    /// Checks that the database can store every text.
    pub(super) fn check_encoding(&mut self) -> Result<(), StorageError> {
        let statement = "SHOW server_encoding";
        let row = self.client.query_one(statement, &[]);
        match row.map_err(|error| self.failed(statement, error))?.get::<_, String>(0) {
            encoding if encoding == "UTF8" => Ok(()),
            encoding => Err(StorageError::Encoding(encoding)),
        }
    }

    pub(super) fn batch(&mut self, statements: &str) -> Result<(), StorageError> {
        self.client.batch_execute(statements).map_err(|error| self.failed(statements, error))
    }

    pub(super) fn is_usable(&self) -> bool {
        !self.client.is_closed()
    }

    fn failed(&self, statement: &str, error: postgres::Error) -> StorageError {
        // Classes of SQLSTATE: connection exception, insufficient resources, operator
        // intervention; and a lock that another replica holds for too long.
        let lost = error.code().is_some_and(|state| {
            ["08", "53", "57P", "55P03"].iter().any(|class| state.code().starts_with(class))
        });
        if lost || self.client.is_closed() || error.is_closed() {
            StorageError::Unreachable(error.into())
        } else {
            StorageError::Statement { statement: statement.to_owned(), source: error.into() }
        }
    }
}

fn by_reference<'a>(params: &'a [Param<'_>]) -> Vec<&'a (dyn ToSql + Sync)> {
    params.iter().map(|param| param as &(dyn ToSql + Sync)).collect()
}
