//! Release notes.

use std::collections::BTreeSet;

use askama::Template;
use axum::{extract::State, http::StatusCode, response::Response};
use serde::Deserialize;
use service::{
    page::{self, Errors, Form, Frame, filled},
    problem::Problem,
    request::{InPath, Params},
};

use super::{markdown, text::date, visit::Visit};
use crate::{
    caller::Caller,
    model::note::{self, Note, Text},
    name::is_identifier,
    role::Action,
    serve::DAY,
    store::Store,
};

/// What stands in the form in place of a feature for a note that is withheld. It is not the name
/// of one.
const WITHHELD: &str = "-";

/// What whoever saves second is told.
const CONFLICT: &str =
    "somebody else has changed this note since you opened it, so yours was not saved";

/// How many notes a page has.
const SHOWN: usize = 50;

/// A note as it is shown.
pub(super) struct Shown {
    pub(super) id: i64,
    pub(super) title: String,
    pub(super) feature: Option<String>,
    /// Whether nobody sees it although it has no feature.
    pub(super) is_withheld: bool,
    pub(super) date: String,
    /// Its body as HTML.
    pub(super) html: String,
    /// Whether only its beginning is shown at first.
    pub(super) is_long: bool,
}

impl Shown {
    pub(super) fn of(note: Note) -> Self {
        let body = note.body.unwrap_or_default();
        Self {
            id: note.id,
            title: note.title,
            feature: note.feature,
            is_withheld: note.is_withheld,
            date: date(note.created / DAY),
            html: markdown::render(&body),
            is_long: body.lines().count() > 5 || body.len() > 600,
        }
    }
}

#[derive(Template)]
#[template(path = "notes.html")]
struct Notes {
    frame: Frame,
    caller: Caller,
    list: Vec<Shown>,
    next: Option<usize>,
}

/// Which page of the notes.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Skip {
    skip: usize,
}

/// `GET /ui/notes`: the notes, the newest first.
pub(super) async fn list(
    State(store): State<Store>,
    Visit { caller, frame }: Visit,
    Params(Skip { skip }): Params<Skip>,
) -> Result<Response, Problem> {
    let notes = store.read(|sql| Ok(note::list(sql)?)).await?;
    let end = skip.saturating_add(SHOWN);
    let next = (notes.len() > end).then_some(end);
    let list = notes.into_iter().skip(skip).take(SHOWN).map(Shown::of).collect();
    page::html(&Notes { frame, caller, list, next })
}

/// A note as it is written into the form.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Draft {
    title: String,
    body: String,
    feature: String,
    /// Which version of the note it began with; none for a new one.
    version: Option<i64>,
    /// Whether it is only to be looked at.
    preview: bool,
}

impl Draft {
    /// What is stored of it.
    fn text(&self, errors: &mut Errors) -> Result<Text, Problem> {
        let title = self.title.trim().to_owned();
        if title.is_empty() {
            errors.add("title", "No valid title");
        }
        // Browsers end lines with `\r\n`.
        let body = filled(&self.body.replace("\r\n", "\n"));
        errors.check("title", note::check_title(&title))?;
        errors.check("body", body.as_deref().map_or(Ok(()), note::check_body))?;
        let is_withheld = self.feature == WITHHELD;
        let feature = filled(&self.feature).filter(|_| !is_withheld);
        if let Some(name) = &feature
            && !is_identifier(name)
        {
            errors.add("feature", "expected the name of a feature");
        }
        Ok(Text { title, body, feature, is_withheld })
    }

    /// What is edited of a note.
    fn of(note: Note) -> Self {
        let feature = if note.is_withheld { Some(WITHHELD.to_owned()) } else { note.feature };
        Self {
            title: note.title,
            body: note.body.unwrap_or_default(),
            feature: feature.unwrap_or_default(),
            version: Some(note.version),
            preview: false,
        }
    }
}

#[derive(Template)]
#[template(path = "note.html")]
struct Editor {
    frame: Frame,
    /// The number of the note; none for a new one.
    id: Option<i64>,
    draft: Draft,
    features: Vec<String>,
    preview: Option<String>,
    errors: Errors,
}

impl Editor {
    fn of(store: &Store, frame: Frame, id: Option<i64>, draft: Draft, errors: Errors) -> Self {
        let world = store.live.world();
        let listed = world.features.values().map(|it| &it.feature);
        let listed = listed.filter(|it| it.deleted.is_none()).map(|it| it.name.clone());
        // A note keeps the feature that it has, even if that was deleted: without one, everybody
        // would see it.
        let own = filled(&draft.feature).filter(|it| it != WITHHELD);
        let features = listed.chain(own).collect::<BTreeSet<_>>().into_iter().collect();
        let preview = draft.preview.then(|| markdown::render(&draft.body));
        Self { frame, id, draft, features, preview, errors }
    }

    fn is_withheld(&self) -> bool {
        self.draft.feature == WITHHELD
    }

    fn path(&self) -> String {
        self.id.map_or_else(|| "/ui/notes/new".to_owned(), |id| format!("/ui/notes/{id}"))
    }
}

/// For which feature a note is written.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct About {
    feature: String,
}

/// `GET /ui/notes/new`: the form for a new note.
pub(super) async fn new(
    State(store): State<Store>,
    Visit { caller, frame }: Visit,
    Params(About { feature }): Params<About>,
) -> Result<Response, Problem> {
    caller.require(Action::ManageReleaseNotes)?;
    let draft = Draft { feature, ..Draft::default() };
    page::html(&Editor::of(&store, frame, None, draft, Errors::default()))
}

/// `POST /ui/notes/new`: shows what a new note looks like, or stores it.
pub(super) async fn create(
    State(store): State<Store>,
    Visit { caller, frame }: Visit,
    Form(draft): Form<Draft>,
) -> Result<Response, Problem> {
    caller.require(Action::ManageReleaseNotes)?;
    let mut errors = Errors::default();
    if draft.preview {
        return page::html(&Editor::of(&store, frame, None, draft, errors));
    }
    let text = draft.text(&mut errors)?;
    if !errors.is_empty() {
        return page::invalid(&Editor::of(&store, frame, None, draft, errors));
    }
    let message = format!("Saved {}.", text.title);
    store.write(move |sql| note::create(sql, &caller.name, &text)).await?;
    Ok(page::redirect("/ui/notes", &message))
}

/// `GET /ui/notes/{id}`: the form for a note.
pub(super) async fn edit(
    State(store): State<Store>,
    Visit { caller, frame }: Visit,
    InPath(id): InPath<i64>,
) -> Result<Response, Problem> {
    caller.require(Action::ManageReleaseNotes)?;
    let draft = Draft::of(store.read(move |sql| note::get(sql, id)).await?);
    page::html(&Editor::of(&store, frame, Some(id), draft, Errors::default()))
}

/// `POST /ui/notes/{id}`: shows what a note looks like, or changes it. What somebody else has saved
/// in the meantime is not overwritten.
pub(super) async fn save(
    State(store): State<Store>,
    Visit { caller, frame }: Visit,
    InPath(id): InPath<i64>,
    Form(draft): Form<Draft>,
) -> Result<Response, Problem> {
    caller.require(Action::ManageReleaseNotes)?;
    let mut errors = Errors::default();
    if draft.preview {
        return page::html(&Editor::of(&store, frame, Some(id), draft, errors));
    }
    let text = draft.text(&mut errors)?;
    if !errors.is_empty() {
        return page::invalid(&Editor::of(&store, frame, Some(id), draft, errors));
    }
    let message = format!("Saved {}.", text.title);
    let begun_with = draft.version;
    let saved = store.write(move |sql| {
        let version = note::get(sql, id)?.version;
        if begun_with.is_some_and(|it| it != version) {
            return Ok(false);
        }
        note::edit(sql, &caller.name, id, &text)?;
        Ok(true)
    });
    if saved.await? {
        return Ok(page::redirect("/ui/notes", &message));
    }
    errors.add("version", CONFLICT);
    let mut response = page::html(&Editor::of(&store, frame, Some(id), draft, errors))?;
    *response.status_mut() = StatusCode::CONFLICT;
    Ok(response)
}

/// `POST /ui/notes/{id}/delete`: deletes a note.
pub(super) async fn delete(
    State(store): State<Store>,
    visit: Visit,
    InPath(id): InPath<i64>,
) -> Result<Response, Problem> {
    visit.caller.require(Action::ManageReleaseNotes)?;
    store.write(move |sql| note::delete(sql, &visit.caller.name, id)).await?;
    Ok(page::redirect("/ui/notes", "Deleted the release note."))
}
