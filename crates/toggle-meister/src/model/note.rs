//! Release notes.

use axum::http::StatusCode;
use serde_json::json;
use service::{
    audit,
    problem::Problem,
    storage::{Row, Sql, StorageError},
    time,
};

use super::{PRODUCTION, toggle};
use crate::{name::is_identifier, toggle::Toggle};

service::statements! {
    LIST = "SELECT id, title, body, feature, created, withheld, version FROM release_note
        ORDER BY created DESC, id DESC";
    GET = "SELECT id, title, body, feature, created, withheld, version FROM release_note
        WHERE id = ?1";
    INSERT = "INSERT INTO release_note (id, title, body, feature, created)
        VALUES (?1, ?2, ?3, ?4, ?5)";
    UPDATE = "UPDATE release_note
        SET title = ?2, body = ?3, feature = ?4, withheld = ?5, version = version + 1
        WHERE id = ?1";
    DELETE = "DELETE FROM release_note WHERE id = ?1";
    DETACH = "UPDATE release_note SET feature = NULL, withheld = ?2, version = version + 1
        WHERE feature = ?1";
}

/// The longest title and the longest text of a note, in bytes.
const MAX_TITLE: usize = 1_000;
const MAX_BODY: usize = 64 << 10;

/// A release note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Its number.
    pub id: i64,
    /// Its title.
    pub title: String,
    /// Its text, in Markdown.
    pub body: Option<String>,
    /// The feature that has to be on for somebody to see it.
    pub feature: Option<String>,
    /// When it was written, in milliseconds since 1970.
    pub created: i64,
    /// Whether nobody sees it although it has no feature: that was deleted before its release.
    pub is_withheld: bool,
    /// Which version of it this is: each change counts.
    pub version: i64,
}

impl Note {
    /// What it says.
    #[must_use]
    pub fn into_text(self) -> Text {
        let Self { title, body, feature, is_withheld, .. } = self;
        Text { title, body, feature, is_withheld }
    }
}

/// What a release note says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// Its title.
    pub title: String,
    /// Its text, in Markdown.
    pub body: Option<String>,
    /// The feature that has to be on for somebody to see it.
    pub feature: Option<String>,
    /// Whether nobody sees it although it has no feature.
    pub is_withheld: bool,
}

impl Text {
    /// Checks the limits. There need not be such a feature.
    fn check(&self) -> Result<(), Problem> {
        check_title(&self.title)?;
        self.body.as_deref().map_or(Ok(()), check_body)?;
        if self.feature.as_ref().is_some_and(|it| !is_identifier(it)) {
            return Err(Problem::invalid("feature is not a valid name of a feature"));
        }
        Ok(())
    }
}

/// Checks the length of a title.
///
/// # Errors
///
/// 400 for one of more than 1,000 bytes.
pub fn check_title(title: &str) -> Result<(), Problem> {
    if title.len() > MAX_TITLE {
        let detail = format!("the title of a note has at most {MAX_TITLE} bytes");
        return Err(Problem::invalid(detail));
    }
    Ok(())
}

/// Checks the length of a body.
///
/// # Errors
///
/// 400 for one of more than 64 KiB.
pub fn check_body(body: &str) -> Result<(), Problem> {
    if body.len() > MAX_BODY {
        let detail = format!("the body of a note has at most {MAX_BODY} bytes");
        return Err(Problem::invalid(detail));
    }
    Ok(())
}

/// All release notes, the newest first.
///
/// # Errors
///
/// The database fails.
pub fn list(sql: &mut Sql<'_>) -> Result<Vec<Note>, StorageError> {
    sql.query(LIST, &[], read)
}

/// A release note.
///
/// # Errors
///
/// 404 where there is none.
pub fn get(sql: &mut Sql<'_>, id: i64) -> Result<Note, Problem> {
    sql.query_one(GET, &[id.into()], read)?.ok_or_else(|| not_found(id))
}

fn read(row: &Row<'_>) -> Result<Note, StorageError> {
    Ok(Note {
        id: row.int(0)?,
        title: row.text(1)?,
        body: row.optional_text(2)?,
        feature: row.optional_text(3)?,
        created: row.int(4)?,
        is_withheld: row.int(5)? != 0,
        version: row.int(6)?,
    })
}

/// Creates a release note, and returns its number.
///
/// # Errors
///
/// 400 for a title or a body that is too long, or an invalid feature.
pub fn create(sql: &mut Sql<'_>, by: &str, text: &Text) -> Result<i64, Problem> {
    text.check()?;
    let id = sql.next("release_note")?;
    let Text { title, body, feature, .. } = text;
    let params = [
        id.into(),
        title.into(),
        body.as_deref().into(),
        feature.as_deref().into(),
        time::now().into(),
    ];
    sql.execute(INSERT, &params)?;
    record(sql, by, "release_note.create", id, text)?;
    Ok(id)
}

/// Changes a release note.
///
/// # Errors
///
/// 400 for a title or a body that is too long, or an invalid feature; 404 where there is no such
/// note.
pub fn edit(sql: &mut Sql<'_>, by: &str, id: i64, text: &Text) -> Result<(), Problem> {
    text.check()?;
    let Text { title, body, feature, is_withheld } = text;
    let params = [
        id.into(),
        title.into(),
        body.as_deref().into(),
        feature.as_deref().into(),
        (*is_withheld).into(),
    ];
    if sql.execute(UPDATE, &params)? == 0 {
        return Err(not_found(id));
    }
    record(sql, by, "release_note.edit", id, text)
}

/// Deletes a release note.
///
/// # Errors
///
/// 404 where there is none.
pub fn delete(sql: &mut Sql<'_>, by: &str, id: i64) -> Result<(), Problem> {
    let text = get(sql, id)?.into_text();
    sql.execute(DELETE, &[id.into()])?;
    record(sql, by, "release_note.delete", id, &text)
}

fn record(sql: &mut Sql<'_>, by: &str, action: &str, id: i64, text: &Text) -> Result<(), Problem> {
    let Text { title, body, feature, .. } = text;
    let data = json!({"id": id, "title": title, "body": body, "feature": feature});
    Ok(audit::record_with(sql, by, action, &id.to_string(), Some(&data))?)
}

/// Detaches the notes of a feature that is deleted. If it was on in production, everybody may see
/// them from now on. If it was not, they stay linked to it after a soft delete, so those who have it
/// or get it in a rollout see them. They are withheld once it is deleted for good, since a new
/// feature with its name must not publish them.
///
/// # Errors
///
/// The database fails.
pub fn detach(sql: &mut Sql<'_>, feature: &str, for_good: bool) -> Result<(), StorageError> {
    let toggle = toggle::get(sql, feature, PRODUCTION)?.at(time::now());
    let is_released = matches!(toggle, Toggle::On { .. });
    if is_released || for_good {
        sql.execute(DETACH, &[feature.into(), (!is_released).into()])?;
    }
    Ok(())
}

fn not_found(id: i64) -> Problem {
    let detail = format!("there is no release note with the number {id}");
    Problem::new(StatusCode::NOT_FOUND, "release_note_not_found", detail)
}
