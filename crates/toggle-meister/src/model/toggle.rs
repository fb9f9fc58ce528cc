//! Toggles in the database, and how they are switched.

use axum::http::StatusCode;
use serde_json::{Value, json};
use service::{
    audit,
    problem::Problem,
    storage::{Row, Sql, StorageError},
};

use super::{PRODUCTION, change, environment, feature};
use crate::{
    name::said,
    rollout::Pace,
    toggle::{Rejected, Rollout, Toggle, Wanted, cascade},
};

service::statements! {
    LIST = "SELECT feature, env, state, since, rollout, start, step FROM toggle";
    OF_FEATURE = "SELECT feature, env, state, since, rollout, start, step FROM toggle
        WHERE feature = ?1";
    GET = "SELECT feature, env, state, since, rollout, start, step FROM toggle
        WHERE feature = ?1 AND env = ?2";
    PUT = "INSERT INTO toggle (feature, env, state, since, rollout, start, step)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
        ON CONFLICT (feature, env) DO UPDATE
        SET state = ?3, since = ?4, rollout = ?5, start = ?6, step = ?7";
    DELETE = "DELETE FROM toggle WHERE feature = ?1 AND env = ?2";
    IN_ENVIRONMENT = "SELECT feature, env, state, since, rollout, start, step FROM toggle
        WHERE env = ?1";
    ENROLMENTS_IN = "SELECT feature, env, id FROM enrolment WHERE env = ?1 ORDER BY feature, id";
    ENROLMENTS = "SELECT feature, env, id FROM enrolment ORDER BY feature, env, id";
    ENROLMENTS_OF = "SELECT feature, env, id FROM enrolment WHERE feature = ?1 ORDER BY env, id";
    ENROL = "INSERT INTO enrolment (feature, env, id) VALUES (?1, ?2, ?3)
        ON CONFLICT (feature, env, id) DO NOTHING";
    DISENROL = "DELETE FROM enrolment WHERE feature = ?1 AND env = ?2";
}

/// A toggle with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The feature.
    pub feature: String,
    /// The environment.
    pub env: String,
    /// The toggle.
    pub toggle: Toggle,
}

/// An id that has a feature whatever its hash says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Enrolment {
    /// The feature.
    pub feature: String,
    /// The environment.
    pub env: String,
    /// The id.
    pub id: String,
}

/// All toggles that are not off, or those of a feature.
///
/// # Errors
///
/// The database fails.
pub fn list(sql: &mut Sql<'_>, feature: Option<&str>) -> Result<Vec<Placed>, StorageError> {
    match feature {
        None => sql.query(LIST, &[], read),
        Some(feature) => sql.query(OF_FEATURE, &[feature.into()], read),
    }
}

/// The toggles of an environment that are not off.
///
/// # Errors
///
/// The database fails.
pub fn in_environment(sql: &mut Sql<'_>, env: &str) -> Result<Vec<Placed>, StorageError> {
    sql.query(IN_ENVIRONMENT, &[env.into()], read)
}

/// All enrolments, or those of a feature, sorted.
///
/// # Errors
///
/// The database fails.
pub fn enrolments(
    sql: &mut Sql<'_>,
    feature: Option<&str>,
) -> Result<Vec<Enrolment>, StorageError> {
    match feature {
        None => sql.query(ENROLMENTS, &[], enrolment),
        Some(feature) => sql.query(ENROLMENTS_OF, &[feature.into()], enrolment),
    }
}

/// The enrolments of an environment, sorted.
///
/// # Errors
///
/// The database fails.
pub fn enrolments_in(sql: &mut Sql<'_>, env: &str) -> Result<Vec<Enrolment>, StorageError> {
    sql.query(ENROLMENTS_IN, &[env.into()], enrolment)
}

fn enrolment(row: &Row<'_>) -> Result<Enrolment, StorageError> {
    Ok(Enrolment { feature: row.text(0)?, env: row.text(1)?, id: row.text(2)? })
}

/// The toggle of a feature in an environment.
///
/// # Errors
///
/// The database fails.
pub fn get(sql: &mut Sql<'_>, feature: &str, env: &str) -> Result<Toggle, StorageError> {
    let found = sql.query_one(GET, &[feature.into(), env.into()], read)?;
    Ok(found.map_or(Toggle::Off, |it| it.toggle))
}

/// Stores a toggle.
///
/// # Errors
///
/// The database fails.
pub fn put(
    sql: &mut Sql<'_>,
    feature: &str,
    env: &str,
    toggle: Toggle,
) -> Result<(), StorageError> {
    if toggle.rollout().is_none() {
        sql.execute(DISENROL, &[feature.into(), env.into()])?;
    }
    let since = match toggle {
        Toggle::Off => return sql.execute(DELETE, &[feature.into(), env.into()]).map(drop),
        Toggle::On { since } => since,
        Toggle::Roll(rollout) => rollout.start,
        Toggle::Pause { at, .. } => at,
    };
    let rollout = toggle.rollout();
    let params = [
        feature.into(),
        env.into(),
        toggle.state().name().into(),
        since.into(),
        rollout.map(|it| it.number).into(),
        rollout.map(|it| it.start).into(),
        rollout.map(|it| it.pace.step()).into(),
    ];
    sql.execute(PUT, &params).map(drop)
}

/// Enrols an id in a rollout.
///
/// # Errors
///
/// The database fails.
pub fn enrol(sql: &mut Sql<'_>, feature: &str, env: &str, id: &str) -> Result<(), StorageError> {
    sql.execute(ENROL, &[feature.into(), env.into(), id.into()]).map(drop)
}

fn read(row: &Row<'_>) -> Result<Placed, StorageError> {
    let since = row.int(3)?;
    let rollout = Rollout {
        number: row.optional_int(4)?.unwrap_or_default(),
        start: row.optional_int(5)?.unwrap_or_default(),
        pace: Pace::of_step(row.optional_int(6)?.unwrap_or_default()),
    };
    let toggle = match row.text(2)?.as_str() {
        "ON" => Toggle::On { since },
        "ROLL" => Toggle::Roll(rollout),
        "PAUSE" => Toggle::Pause { rollout, at: since },
        _ => Toggle::Off,
    };
    Ok(Placed { feature: row.text(0)?, env: row.text(1)?, toggle })
}

/// What somebody asks of a toggle.
#[derive(Clone, Debug)]
pub struct Switch {
    /// The environment.
    pub env: String,
    /// The feature.
    pub feature: String,
    /// The state.
    pub wanted: Wanted,
    /// The days of a rollout as they were written.
    pub days: Option<String>,
}

/// Switches a toggle, and in production those of the other environments with it.
///
/// # Errors
///
/// 400 where the environment or the feature does not exist, or the state does not follow the
/// one that the toggle has.
pub fn switch(sql: &mut Sql<'_>, by: &str, switch: &Switch, now: i64) -> Result<(), Problem> {
    let Switch { env, feature: name, wanted, days } = switch;
    require(sql, env, name, *wanted == Wanted::Off)?;
    let others = match cascade(*wanted) {
        Some(other) if env == PRODUCTION => {
            let all = environment::list(sql)?.into_iter().filter(|it| it != PRODUCTION);
            all.map(|it| (it, other)).collect()
        }
        _ => Vec::new(),
    };
    set(sql, name, env, *wanted, now).map_err(Failed::into_problem)?;
    let over = match wanted {
        Wanted::Roll(pace) => {
            days.as_deref().map_or_else(|| json!(pace.days()), |days| json!(days))
        }
        Wanted::Pause => json!(2),
        Wanted::On | Wanted::Off => json!(0),
    };
    // The original records also what changes nothing.
    record(sql, by, name, env, *wanted, &over)?;
    for (env, wanted) in others {
        if set(sql, name, &env, wanted, now).map_err(Failed::into_problem)? {
            record(sql, by, name, &env, wanted, &json!(0))?;
        }
    }
    Ok(change::note(sql, &change::Changed::Feature(name.clone()))?)
}

/// Demands that an environment and a feature exist. A feature that was deleted softly can only
/// be switched off.
///
/// # Errors
///
/// 400 where one of them does not.
pub fn require(sql: &mut Sql<'_>, env: &str, name: &str, is_off: bool) -> Result<(), Problem> {
    let bad = |message: &str| said(StatusCode::BAD_REQUEST, message);
    if !environment::exists(sql, env)? {
        return Err(bad("No valid environment provided"));
    }
    let found = feature::get(sql, name)?;
    if !found.is_some_and(|it| it.deleted.is_none() || is_off) {
        return Err(bad("No valid feature provided"));
    }
    Ok(())
}

enum Failed {
    Rejected(Rejected),
    Storage(StorageError),
}

impl Failed {
    fn into_problem(self) -> Problem {
        match self {
            Self::Rejected(rejected) => said(StatusCode::BAD_REQUEST, rejected.to_string()),
            Self::Storage(error) => error.into(),
        }
    }
}

/// Sets one toggle, and returns whether that changed it.
fn set(
    sql: &mut Sql<'_>,
    feature: &str,
    env: &str,
    wanted: Wanted,
    now: i64,
) -> Result<bool, Failed> {
    let toggle = get(sql, feature, env).map_err(Failed::Storage)?;
    let number = match wanted {
        Wanted::Roll(_) => sql.next("rollout").map_err(Failed::Storage)?,
        _ => 0,
    };
    let Some(changed) = toggle.change(wanted, now, number).map_err(Failed::Rejected)? else {
        return Ok(false);
    };
    put(sql, feature, env, changed).map_err(Failed::Storage)?;
    Ok(true)
}

fn record(
    sql: &mut Sql<'_>,
    by: &str,
    feature: &str,
    env: &str,
    wanted: Wanted,
    over: &Value,
) -> Result<(), StorageError> {
    let data = json!({
        "toggle_env": env,
        "toggle_feature": feature,
        "new_state": wanted.state().name(),
        "over_x_days": over,
    });
    audit::record_with(sql, by, "toggle.switch", &format!("{env}/{feature}"), Some(&data))
}

/// Stores what toggles have become by themselves: a rollout that is complete is ON, a pause that
/// is over is ROLL.
///
/// # Errors
///
/// The database fails.
pub fn settle(sql: &mut Sql<'_>, by: &str, now: i64) -> Result<(), StorageError> {
    for Placed { feature, env, toggle } in list(sql, None)? {
        let settled = toggle.at(now);
        if settled.state() == toggle.state() {
            continue;
        }
        put(sql, &feature, &env, settled)?;
        let data = json!({
            "toggle_env": env,
            "toggle_feature": feature,
            "new_state": settled.state().name(),
            "over_x_days": settled.rollout().map_or(0.0, |it| it.pace.days()),
        });
        audit::record_with(sql, by, "toggle.switch", &format!("{env}/{feature}"), Some(&data))?;
        change::note(sql, &change::Changed::Feature(feature))?;
    }
    Ok(())
}
