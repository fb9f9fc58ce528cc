//! A page of the audit trail, and the form that filters it.

use openidconnect::url::form_urlencoded;
use serde::Deserialize;

use super::{Errors, filled, moment};
use crate::{
    audit::{self, Event, Filter},
    problem::Problem,
    storage::Storage,
};

/// How many events a page has.
const SHOWN: i64 = 100;

/// Which part of the trail, as it is written into the form.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct TrailQuery {
    /// Who did it.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// To what.
    pub subject: String,
    /// The first moment.
    pub since: String,
    /// The moment after the last.
    pub until: String,
    /// The number of the event before which the page ends.
    pub before: Option<i64>,
}

impl TrailQuery {
    fn fields(&self) -> impl Iterator<Item = (&'static str, &String)> {
        let Self { actor, action, subject, since, until, before: _ } = self;
        let fields = [
            ("actor", actor),
            ("action", action),
            ("subject", subject),
            ("since", since),
            ("until", until),
        ];
        fields.into_iter().filter(|it| !it.1.is_empty())
    }

    /// Whether it leaves something out.
    #[must_use]
    pub fn is_filtered(&self) -> bool {
        self.before.is_some() || self.fields().next().is_some()
    }

    /// The query of the next page.
    fn next(&self, before: i64) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.fields());
        query.append_pair("before", &before.to_string()).finish()
    }
}

/// A page of the audit trail, for `trail.html`.
#[derive(Clone, Debug)]
pub struct Trail {
    /// Which part it is.
    pub query: TrailQuery,
    /// What is wrong with that.
    pub errors: Errors,
    /// The events, the newest first.
    pub events: Vec<Event>,
    /// The query of the next page, if there is one.
    pub next: Option<String>,
}

impl Trail {
    /// Reads a page of the trail: no events for an invalid query, whose [`errors`](Self::errors)
    /// say why.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub async fn read(storage: &Storage, query: TrailQuery) -> Result<Self, Problem> {
        let mut errors = Errors::default();
        let since = errors.check("since", moment(&query.since))?.flatten();
        let until = errors.check("until", moment(&query.until))?.flatten();
        if !errors.is_empty() {
            return Ok(Self { query, errors, events: Vec::new(), next: None });
        }
        let filter = Filter {
            before: query.before,
            actor: filled(&query.actor),
            action: filled(&query.action),
            // A name may begin and end with spaces.
            subject: Some(query.subject.clone()).filter(|it| !it.is_empty()),
            since,
            until,
        };
        let events = storage.read(move |sql| audit::page(sql, &filter, SHOWN)).await?;
        let is_full = i64::try_from(events.len()) == Ok(SHOWN);
        let next = events.last().filter(|_| is_full).map(|it| query.next(it.id));
        Ok(Self { query, errors, events, next })
    }
}
