//! The tables of the original as it has them.

use serde_json::Value;
use service::storage::{Row, Sql, StorageError};

const MISSING: &str = "SELECT CAST(COUNT(*) AS BIGINT) FROM information_schema.columns
    WHERE table_name = ?1 AND column_name = ?2 AND table_schema = ANY (current_schemas(false))";
const EMPLOYEES: &str =
    "SELECT username, name, email, CAST(role_id AS BIGINT) FROM employees ORDER BY username";
const ENVIRONMENTS: &str = "SELECT name FROM environments ORDER BY name";
const FEATURES: &str = "SELECT name, CAST(EXTRACT(EPOCH FROM created_on) * 1000 AS BIGINT),
    created_by FROM features ORDER BY name";
const DELETED: &str = "SELECT name, CAST(EXTRACT(EPOCH FROM deleted_on) * 1000 AS BIGINT),
    deleted_by FROM deleted_features ORDER BY name";
const TOGGLES: &str = "SELECT feature, env, state,
    CAST(EXTRACT(EPOCH FROM date_on) * 1000 AS BIGINT), CAST(schedule AS TEXT)
    FROM toggles ORDER BY feature, env";
/// A user may have several rows, since no key prevents that.
const ENROLMENTS: &str = "SELECT DISTINCT f.key, u.env, u.userid FROM rollout_users u,
    jsonb_each(CASE jsonb_typeof(u.features) WHEN 'object' THEN u.features ELSE '{}' END) f
    WHERE f.value = 'true' AND u.userid <> '' ORDER BY f.key, u.env, u.userid";
const NOTES: &str = "SELECT CAST(id AS BIGINT), title, body, feature,
    CAST(EXTRACT(EPOCH FROM created_date) * 1000 AS BIGINT) FROM release_notes ORDER BY id";
const EVENTS: &str = "SELECT event, \"user\",
    CAST(EXTRACT(EPOCH FROM date) * 1000 AS BIGINT), CAST(event_data AS TEXT)
    FROM auditing ORDER BY id";
const METRICS: &str = "SELECT feature, env, CAST(date - DATE '1970-01-01' AS BIGINT),
    CAST(hit_count AS BIGINT) FROM metrics ORDER BY feature, env, date";

/// Tables with a column that came with the last change of each.
const TABLES: [(&str, &str); 9] = [
    ("employees", "username"),
    ("environments", "name"),
    ("features", "created_by"),
    ("deleted_features", "deleted_by"),
    ("toggles", "schedule"),
    ("auditing", "event_data"),
    ("metrics", "hit_count"),
    ("rollout_users", "features"),
    ("release_notes", "created_date"),
];

/// A table that is missing, or is one of an older version.
///
/// # Errors
///
/// The database fails.
pub fn missing(sql: &mut Sql<'_>) -> Result<Option<&'static str>, StorageError> {
    for (table, column) in TABLES {
        let found = sql.query_one(MISSING, &[table.into(), column.into()], |row| row.int(0))?;
        if found != Some(1) {
            return Ok(Some(table));
        }
    }
    Ok(None)
}

/// All that the original has.
#[derive(Clone, Debug, Default)]
pub struct Original {
    /// The employees.
    pub employees: Vec<Person>,
    /// The names of the environments.
    pub environments: Vec<String>,
    /// The features, when each was created, and by whom.
    pub features: Vec<Named>,
    /// Those that were deleted softly, when, and by whom.
    pub deleted: Vec<Named>,
    /// The toggles that are not off.
    pub toggles: Vec<Stored>,
    /// Feature, environment and user of each answer that is `true`.
    pub enrolments: Vec<(String, String, String)>,
    /// The release notes.
    pub notes: Vec<Note>,
    /// The audit trail.
    pub events: Vec<Event>,
    /// Feature, environment, day since 1970 and number of requests.
    pub metrics: Vec<(String, String, i64, i64)>,
}

/// An employee.
#[derive(Clone, Debug)]
pub struct Person {
    /// What identifies them.
    pub username: String,
    /// Their name.
    pub name: Option<String>,
    /// Their e-mail address.
    pub email: Option<String>,
    /// The number of their role.
    pub role: Option<i64>,
}

/// A feature, with a time and a person.
#[derive(Clone, Debug)]
pub struct Named {
    /// Its name.
    pub name: String,
    /// When it was created, or deleted.
    pub at: Option<i64>,
    /// By whom.
    pub by: Option<String>,
}

/// A toggle.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The feature.
    pub feature: String,
    /// The environment.
    pub env: String,
    /// `ON`, `ROLL` or `PAUSE`.
    pub state: String,
    /// When that was set.
    pub date_on: Option<i64>,
    /// How far the rollout is.
    pub schedule: Value,
}

/// A release note.
#[derive(Clone, Debug)]
pub struct Note {
    /// Its number.
    pub id: i64,
    /// Its title.
    pub title: String,
    /// Its text.
    pub body: Option<String>,
    /// Its feature.
    pub feature: Option<String>,
    /// When it was written.
    pub created: i64,
}

/// An event of the audit trail.
#[derive(Clone, Debug)]
pub struct Event {
    /// What was done.
    pub event: String,
    /// By whom.
    pub user: Option<String>,
    /// When.
    pub at: Option<i64>,
    /// More about it.
    pub data: Option<Value>,
}

impl Original {
    /// Reads all of it.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn read(sql: &mut Sql<'_>) -> Result<Self, StorageError> {
        let named = |row: &Row<'_>| {
            Ok(Named { name: row.text(0)?, at: row.optional_int(1)?, by: row.optional_text(2)? })
        };
        Ok(Self {
            employees: sql.query(EMPLOYEES, &[], |row| {
                Ok(Person {
                    username: row.text(0)?,
                    name: row.optional_text(1)?,
                    email: row.optional_text(2)?,
                    role: row.optional_int(3)?,
                })
            })?,
            environments: sql.query(ENVIRONMENTS, &[], |row| row.text(0))?,
            features: sql.query(FEATURES, &[], named)?,
            deleted: sql.query(DELETED, &[], named)?,
            toggles: sql.query(TOGGLES, &[], |row| {
                Ok(Stored {
                    feature: row.optional_text(0)?.unwrap_or_default(),
                    env: row.optional_text(1)?.unwrap_or_default(),
                    state: row.optional_text(2)?.unwrap_or_default(),
                    date_on: row.optional_int(3)?,
                    schedule: json(row.optional_text(4)?).unwrap_or_default(),
                })
            })?,
            enrolments: sql.query(ENROLMENTS, &[], |row| {
                Ok((row.text(0)?, row.optional_text(1)?.unwrap_or_default(), row.text(2)?))
            })?,
            notes: sql.query(NOTES, &[], |row| {
                Ok(Note {
                    id: row.int(0)?,
                    title: row.text(1)?,
                    body: row.optional_text(2)?,
                    feature: row.optional_text(3)?,
                    created: row.int(4)?,
                })
            })?,
            events: sql.query(EVENTS, &[], |row| {
                Ok(Event {
                    event: row.text(0)?,
                    user: row.optional_text(1)?,
                    at: row.optional_int(2)?,
                    data: json(row.optional_text(3)?),
                })
            })?,
            metrics: sql.query(METRICS, &[], |row| {
                Ok((row.text(0)?, row.text(1)?, row.int(2)?, row.int(3)?))
            })?,
        })
    }
}

fn json(text: Option<String>) -> Option<Value> {
    serde_json::from_str(&text?).ok()
}
