//! The weekly reminder of features that are due for removal: when it is sent, what it says, and
//! how it is sent to Slack.

use std::time::Duration;

use axum::http::{Request, StatusCode, Uri, header};
use flagstaff::http::{Client, public_name};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, json};
use service::describe;

use crate::{due::Due, model::feature::Feature, serve::DAY};

/// How long Slack may take to respond.
pub const TIMEOUT: Duration = Duration::from_secs(8);

/// The days of the week, from that of 1970-01-01 on.
const WEEK: [&str; 7] =
    ["thursday", "friday", "saturday", "sunday", "monday", "tuesday", "wednesday"];

const WEEK_LASTS: i64 = 7 * DAY;

/// When the reminder is sent: a day of the week and a time, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// In milliseconds since the beginning of the week of 1970-01-01.
    offset: i64,
}

impl Schedule {
    /// Reads a day such as `wednesday`.
    #[must_use]
    pub fn day(text: &str) -> Option<i64> {
        let index = WEEK.iter().position(|it| it.eq_ignore_ascii_case(text))?;
        i64::try_from(index).ok()
    }

    /// Reads a time such as `16:00` or `16:00:30`, as milliseconds of the day.
    #[must_use]
    pub fn time(text: &str) -> Option<i64> {
        let parts: Vec<&str> = text.split(':').collect();
        if !(2..=3).contains(&parts.len()) {
            return None;
        }
        let mut milliseconds = 0;
        for (part, (most, unit)) in parts.into_iter().zip([(23, 3_600), (59, 60), (59, 1)]) {
            if part.len() != 2 || !part.bytes().all(|it| it.is_ascii_digit()) {
                return None;
            }
            let number: i64 = part.parse().ok().filter(|it| *it <= most)?;
            milliseconds += number * unit * 1_000;
        }
        Some(milliseconds)
    }

    /// From a day and a time.
    #[must_use]
    pub fn new(day: i64, time: i64) -> Self {
        Self { offset: day * DAY + time }
    }

    /// The last time at which a reminder was to be sent.
    #[must_use]
    pub fn last(self, now: i64) -> i64 {
        now - (now - self.offset).rem_euclid(WEEK_LASTS)
    }

    /// For which time a reminder is to be sent now, if one is: the last was sent before that time,
    /// which was less than a day ago. Who was down for longer does not remind at any odd time.
    #[must_use]
    pub fn due(self, now: i64, last_sent: Option<i64>) -> Option<i64> {
        let slot = self.last(now);
        (now - slot < DAY && last_sent.is_none_or(|it| it < slot)).then_some(slot)
    }
}

/// What is said about a feature that is due for removal.
#[must_use]
pub fn message(feature: &Feature, due: Due) -> String {
    let (Feature { name, created_by, .. }, day) = (feature, due.day());
    let what = match due {
        Due::On(_) => "on production",
        Due::Unused(_) => "unused in production",
    };
    format!(
        "Feature {name} created by {created_by} has been {what} since {day}. Time to clean that up."
    )
}

/// A channel of Slack.
#[derive(Clone, Debug)]
pub struct Slack {
    /// Where messages are posted. Whoever knows it can post.
    webhook: SecretString,
    /// The channel, unless it is that of the webhook.
    pub channel: Option<String>,
    /// In whose name.
    pub username: Option<String>,
    /// The picture of that name.
    pub icon_url: Option<String>,
}

impl Slack {
    /// A channel behind a webhook. `None`: that is not a URL of HTTP.
    #[must_use]
    pub fn new(webhook: SecretString) -> Option<Self> {
        let uri: Uri = webhook.expose_secret().parse().ok()?;
        let is_http = matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
        is_http.then_some(Self { webhook, channel: None, username: None, icon_url: None })
    }

    /// Posts a message.
    ///
    /// # Errors
    ///
    /// Why it was not accepted, without the URL.
    pub async fn post(&self, client: &Client, text: &str) -> Result<(), String> {
        let mut body = Map::from_iter([("text".to_owned(), json!(text))]);
        for (name, value) in
            [("channel", &self.channel), ("username", &self.username), ("icon_url", &self.icon_url)]
        {
            if let Some(value) = value {
                body.insert(name.to_owned(), json!(value));
            }
        }
        let request = Request::post(self.webhook.expose_secret())
            .header(header::CONTENT_TYPE, "application/json")
            .body(json!(body).to_string())
            .map_err(|error| error.to_string())?;
        let response = client.send(request).await.map_err(|error| self.hide(&describe(&error)))?;
        match response.status() {
            StatusCode::OK
            | StatusCode::CREATED
            | StatusCode::ACCEPTED
            | StatusCode::NO_CONTENT => Ok(()),
            status => Err(format!("the webhook answered with {status}")),
        }
    }

    /// The path of the webhook is as secret as a password.
    fn hide(&self, text: &str) -> String {
        let url = self.webhook.expose_secret();
        text.replace(url, "the webhook").replace(&public_name(url), "the webhook")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use service::time;

    use super::*;

    fn at(text: &str) -> i64 {
        time::parse(text).unwrap()
    }

    #[test]
    fn a_reminder_is_due_once_a_week_within_a_day_of_its_time() {
        let schedule =
            Schedule::new(Schedule::day("wednesday").unwrap(), Schedule::time("16:00").unwrap());
        // 2026-11-25 was a Wednesday.
        let slot = at("2026-11-25T16:00:00Z");
        assert_eq!(schedule.last(slot - 1), slot - 7 * DAY);
        assert_eq!(schedule.last(slot), slot);
        assert_eq!(schedule.last(slot + 7 * DAY - 1), slot);
        assert_eq!(schedule.due(slot - 1, None), None);
        assert_eq!(schedule.due(slot, None), Some(slot));
        assert_eq!(schedule.due(slot + DAY - 1, Some(slot - 7 * DAY)), Some(slot));
        assert_eq!(schedule.due(slot + DAY, None), None, "too late");
        assert_eq!(schedule.due(slot + 5, Some(slot)), None, "sent");
        assert_eq!(schedule.due(slot + 7 * DAY, Some(slot)), Some(slot + 7 * DAY));
        assert_eq!(schedule.last(0), -DAY + 16 * 3_600_000, "1970 began on a Thursday");
    }

    #[test]
    fn days_and_times_are_those_of_the_original() {
        assert_eq!(Schedule::day("Thursday"), Some(0));
        assert_eq!(Schedule::day("wed"), None);
        assert_eq!(Schedule::time("00:00"), Some(0));
        assert_eq!(Schedule::time("23:59:59"), Some(86_399_000));
        for time in ["", "16", "16:0", "4:00", "24:00", "16:60", "16:00:60", "16:00:00:00", "+1:00"]
        {
            assert_eq!(Schedule::time(time), None, "{time}");
        }
    }

    #[test]
    fn the_message_is_that_of_the_original() {
        let feature = Feature {
            name: "checkout".to_owned(),
            created: 0,
            created_by: "jane.doe".to_owned(),
            deleted: None,
        };
        assert_eq!(
            message(&feature, Due::On(at("2026-11-01T23:00:00Z"))),
            "Feature checkout created by jane.doe has been on production since 2026-11-01. Time to \
             clean that up."
        );
        let unused = message(&feature, Due::Unused(at("2026-11-01T23:00:00Z")));
        assert!(unused.contains("has been unused in production since 2026-11-01."), "{unused}");
    }

    #[test]
    fn an_error_does_not_show_the_webhook() {
        let slack = Slack::new("https://hooks.slack.com/services/T/B/hunter2".into()).unwrap();
        let text = "the request to https://hooks.slack.com/services/T/B/hunter2 failed";
        assert_eq!(slack.hide(text), "the request to the webhook failed");
        assert!(!format!("{slack:?}").contains("hunter2"));
        assert!(Slack::new("hooks.slack.com/services".into()).is_none());
        assert!(Slack::new("ftp://hooks.slack.com/".into()).is_none());
    }
}
