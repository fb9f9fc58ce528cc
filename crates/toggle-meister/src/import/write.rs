//! Writes what was read from the original, in one transaction.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use service::{
    audit,
    storage::{Sql, StorageError},
};

use super::{
    ImportError, convert,
    original::{Event, Original, Person, Stored},
};
use crate::{
    model::{PRODUCTION, change, metric, toggle},
    name::{self, is_identifier},
    role::Role,
    toggle::State,
};

service::statements! {
    MARK = "SELECT first, last FROM imported";
    UNMARK = "DELETE FROM imported";
    SET_MARK = "INSERT INTO imported (first, last) VALUES (?1, ?2)";
    ANY = "SELECT name FROM feature UNION ALL SELECT title FROM release_note
        UNION ALL SELECT name FROM environment WHERE name <> 'production'";
    CHANGED = "SELECT action FROM audit WHERE id > ?1 AND actor <> 'cron.user'
        AND (action LIKE 'toggle.%' OR action LIKE 'feature.%' OR action LIKE 'environment.%'
            OR action LIKE 'release_note.%' OR action = 'employee.edit')
        LIMIT 1";
    DELETE_EVENTS = "DELETE FROM audit WHERE id >= ?1 AND id <= ?2";
    DELETE_FEATURES = "DELETE FROM feature";
    DELETE_ENVIRONMENTS = "DELETE FROM environment WHERE name <> 'production'";
    DELETE_NOTES = "DELETE FROM release_note";
    EMPLOYEE = "INSERT INTO employee (username, name, email, role) VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT (username) DO UPDATE SET name = ?2, email = ?3, role = ?4
        WHERE employee.person IS NULL";
    ENVIRONMENT = "INSERT INTO environment (name, created) VALUES (?1, ?2)
        ON CONFLICT (name) DO NOTHING";
    FEATURE = "INSERT INTO feature (name, created, created_by, deleted) VALUES (?1, ?2, ?3, ?4)";
    NOTE = "INSERT INTO release_note (id, title, body, feature, created)
        VALUES (?1, ?2, ?3, ?4, ?5)";
    LAST_NOTE = "INSERT INTO sequence (name, value) VALUES ('release_note', ?1)
        ON CONFLICT (name) DO UPDATE SET value = ?1 WHERE sequence.value < ?1";
    EVENT = "INSERT INTO audit (id, at, actor, action, subject, data)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
}

/// What was imported.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Features.
    pub features: usize,
    /// Features that were deleted softly.
    pub deleted: usize,
    /// Environments, with production.
    pub environments: usize,
    /// Toggles that are not off.
    pub toggles: usize,
    /// Those in rollout.
    pub rolling: usize,
    /// Those that are paused.
    pub paused: usize,
    /// Users who had a feature in rollout.
    pub enrolments: usize,
    /// Release notes.
    pub notes: usize,
    /// Employees.
    pub employees: usize,
    /// Events of the audit trail.
    pub events: usize,
    /// Rows of metrics.
    pub metrics: usize,
    /// What was skipped, and why.
    pub skipped: Vec<String>,
}

/// Writes all of it.
///
/// # Errors
///
/// The database fails, or has something that was not imported.
pub fn write(sql: &mut Sql<'_>, original: &Original, now: i64) -> Result<Report, ImportError> {
    empty(sql)?;
    let mut report = Report::default();
    employees(sql, original, &mut report)?;
    let environments = environments(sql, original, now, &mut report)?;
    let features = features(sql, original, now, &mut report)?;
    let rolling = toggles(sql, original, now, &features, &environments, &mut report)?;
    for (feature, env, id) in &original.enrolments {
        if rolling.contains(&(feature.as_str(), env.as_str())) {
            toggle::enrol(sql, feature, env, id)?;
            report.enrolments += 1;
        }
    }
    for (feature, env, day, hits) in &original.metrics {
        if features.contains_key(feature.as_str()) && environments.contains(env.as_str()) {
            metric::add(sql, feature, env, *day, *hits)?;
            report.metrics += 1;
        }
    }
    notes(sql, original, &mut report)?;
    events(sql, original, now, &mut report)?;
    audit::record(sql, "command line", "import", "toggles of the original")?;
    change::forget(sql)?;
    Ok(report)
}

/// Deletes what was imported before, if nothing of it was changed.
fn empty(sql: &mut Sql<'_>) -> Result<(), ImportError> {
    let mark = sql.query_one(MARK, &[], |row| Ok((row.int(0)?, row.int(1)?)))?;
    let Some((first, last)) = mark else {
        return match sql.query_one(ANY, &[], |row| row.text(0))? {
            None => Ok(()),
            Some(_) => Err(ImportError::NotEmpty),
        };
    };
    if sql.query_one(CHANGED, &[last.into()], |row| row.text(0))?.is_some() {
        return Err(ImportError::Changed);
    }
    sql.execute(DELETE_EVENTS, &[first.into(), last.into()])?;
    for statement in [DELETE_FEATURES, DELETE_ENVIRONMENTS, DELETE_NOTES, UNMARK] {
        sql.execute(statement, &[])?;
    }
    Ok(())
}

fn employees(
    sql: &mut Sql<'_>,
    original: &Original,
    report: &mut Report,
) -> Result<(), StorageError> {
    for Person { username, name, email, role } in &original.employees {
        let role = Role::ALL.into_iter().find(|it| Some(it.number()) == *role);
        // Who has no role could do nothing.
        let role = role.unwrap_or(Role::ReadOnly).name();
        let name = name.as_deref().unwrap_or(username);
        let email = email.as_deref().unwrap_or_default().to_lowercase();
        sql.execute(EMPLOYEE, &[username.into(), name.into(), (&email).into(), role.into()])?;
        report.employees += 1;
    }
    Ok(())
}

fn environments<'a>(
    sql: &mut Sql<'_>,
    original: &'a Original,
    now: i64,
    report: &mut Report,
) -> Result<BTreeSet<&'a str>, StorageError> {
    let mut environments = BTreeSet::from([PRODUCTION]);
    for name in &original.environments {
        if !is_identifier(name) || name.to_lowercase() != *name {
            report.skipped.push(format!("environment {name:?}: no client could name it"));
            continue;
        }
        sql.execute(ENVIRONMENT, &[name.into(), now.into()])?;
        environments.insert(name);
    }
    report.environments = environments.len();
    Ok(environments)
}

/// The features, with the times of their creation. One that was deleted softly is kept for 14 days
/// from now: in the original the days never end, so it may still be in use. So is one that has only
/// a toggle left.
fn features<'a>(
    sql: &mut Sql<'_>,
    original: &'a Original,
    now: i64,
    report: &mut Report,
) -> Result<BTreeMap<&'a str, i64>, StorageError> {
    let mut features = BTreeMap::new();
    let kept = original.features.iter().map(|it| (&it.name, it.at, it.by.as_deref(), None));
    let deleted = original.deleted.iter().map(|it| (&it.name, it.at, it.by.as_deref(), Some(now)));
    let left = original.toggles.iter().map(|it| (&it.feature, it.date_on, None, Some(now)));
    for (name, created, by, deleted) in kept.chain(deleted).chain(left) {
        if features.contains_key(name.as_str()) {
            continue;
        }
        if name::feature(name).is_err() {
            let line = format!("feature {name:?}: it is not an identifier in lower case");
            if !report.skipped.contains(&line) {
                report.skipped.push(line);
            }
            continue;
        }
        let created = created.unwrap_or(now);
        let by = by.unwrap_or_default();
        sql.execute(FEATURE, &[name.into(), created.into(), by.into(), deleted.into()])?;
        features.insert(name.as_str(), created);
        match deleted {
            None => report.features += 1,
            Some(_) => report.deleted += 1,
        }
    }
    Ok(features)
}

/// The toggles. Returns those in rollout, paused or not.
fn toggles<'a>(
    sql: &mut Sql<'_>,
    original: &'a Original,
    now: i64,
    features: &BTreeMap<&str, i64>,
    environments: &BTreeSet<&str>,
    report: &mut Report,
) -> Result<BTreeSet<(&'a str, &'a str)>, StorageError> {
    let mut rolling = BTreeSet::new();
    for stored in &original.toggles {
        let Stored { feature, env, .. } = stored;
        let created = features.get(feature.as_str()).copied();
        let Some(created) = created.filter(|_| environments.contains(env.as_str())) else {
            report.skipped.push(format!("toggle {env}/{feature}: its place was skipped"));
            continue;
        };
        let number = if stored.state == "ON" { 0 } else { sql.next("rollout")? };
        let toggle = match convert::toggle(stored, now, number, created) {
            Ok(toggle) => toggle,
            Err(reason) => {
                report.skipped.push(format!("toggle {env}/{feature}: {reason}"));
                continue;
            }
        };
        toggle::put(sql, feature, env, toggle)?;
        report.toggles += 1;
        match toggle.state() {
            State::Roll => report.rolling += 1,
            State::Pause => report.paused += 1,
            State::On | State::Off => continue,
        }
        rolling.insert((feature.as_str(), env.as_str()));
    }
    Ok(rolling)
}

/// The release notes, with their numbers.
fn notes(sql: &mut Sql<'_>, original: &Original, report: &mut Report) -> Result<(), StorageError> {
    for note in &original.notes {
        let params = [
            note.id.into(),
            (&note.title).into(),
            note.body.as_deref().into(),
            note.feature.as_deref().into(),
            note.created.into(),
        ];
        sql.execute(NOTE, &params)?;
        report.notes += 1;
    }
    let last = original.notes.iter().map(|it| it.id).fold(0, i64::max);
    sql.execute(LAST_NOTE, &[last.into()]).map(drop)
}

/// The audit trail. Its events get numbers of ours, which are noted for a repetition.
fn events(
    sql: &mut Sql<'_>,
    original: &Original,
    now: i64,
    report: &mut Report,
) -> Result<(), StorageError> {
    let first = sql.last("audit")? + 1;
    for event in &original.events {
        let id = sql.next("audit")?;
        let data = event.data.as_ref().map(Value::to_string);
        let subject = subject(event);
        let params = [
            id.into(),
            event.at.unwrap_or(now).into(),
            event.user.as_deref().unwrap_or_default().into(),
            (&event.event).into(),
            (&subject).into(),
            data.as_deref().into(),
        ];
        sql.execute(EVENT, &params)?;
        report.events += 1;
    }
    let last = sql.last("audit")?;
    sql.execute(SET_MARK, &[first.into(), last.into()]).map(drop)
}

/// What an event is about, as our own events name it.
fn subject(event: &Event) -> String {
    let text = |name: &str| match event.data.as_ref().map(|it| &it[name]) {
        Some(Value::String(text)) => text.clone(),
        None | Some(Value::Null) => String::new(),
        Some(other) => other.to_string(),
    };
    match event.event.split('.').next() {
        Some("toggle") => format!("{}/{}", text("toggle_env"), text("toggle_feature")),
        Some("feature") => text("feature_name"),
        Some("environment") => text("env_name"),
        _ => text("id"),
    }
}
