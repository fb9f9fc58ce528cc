//! Requests for approval, where LaunchDarkly lets nobody change a flag alone.

use http::{Method, StatusCode};
use ring::digest::{SHA256, digest};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    account::{Account, DESCRIPTION},
    error::FlagError,
    spec::Spec,
};
use crate::optoggles::failure::{Failure, FailureKind};

/// Approval requests of a flag in an environment.
#[derive(Deserialize)]
struct Requests {
    items: Vec<Request>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    #[serde(rename = "_id")]
    id: String,
    status: String,
    #[serde(default)]
    review_status: String,
    #[serde(default)]
    description: Option<String>,
}

impl Request {
    /// Whether this program has filed it, and nobody has applied it yet.
    fn is_open(&self) -> bool {
        let description = self.description.as_deref();
        let is_ours = description.is_some_and(|text| text.starts_with(DESCRIPTION));
        is_ours && matches!(&*self.status, "pending" | "scheduled")
    }
}

/// The description of a request with these instructions. Its digest tells later whether an open
/// request still asks for what is to be done: how LaunchDarkly shows the instructions themselves is
/// not documented.
fn description(instructions: &[Value]) -> String {
    let digest = digest(&SHA256, json!(instructions).to_string().as_bytes());
    let head = digest.as_ref().first_chunk().copied().map(u64::from_be_bytes);
    format!("{DESCRIPTION} {:016x}", head.unwrap_or_default())
}

impl Account {
    /// Files a request for approval, unless one of this program with the same instructions is open.
    /// Returns which is the case.
    ///
    /// One with other instructions is withdrawn first: whoever applied it would give the toggle to
    /// users whom the policy no longer names. One that was declined stays open: another would be
    /// filed every few minutes.
    pub(super) async fn request_approval(
        &self,
        key: &str,
        spec: &Spec,
        environment: &str,
        instructions: &[Value],
    ) -> Result<&'static str, Failure> {
        let project = &*spec.proj_key;
        let flag = ["projects", project, "flags", key, "environments", environment];
        let path = [&flag[..], &["approval-requests"]].concat();
        let sent = self.send(Method::GET, &path, &[], None).await?;
        let found = self.success(sent, &Value::Null)?;
        let found: Requests = found.json("a list of approval requests")?;
        let description = description(instructions);
        let open = found.items.iter().filter(|request| request.is_open());
        let (same, old): (Vec<_>, Vec<_>) =
            open.partition(|request| request.description.as_ref() == Some(&description));
        for request in &old {
            match self.withdraw(&path, &request.id).await {
                Err(failure) if failure.kind() == FailureKind::Permanent => {
                    let (key, environment) = (key.to_owned(), environment.to_owned());
                    return Err(FlagError::OutOfDate(key, environment, failure).into());
                }
                withdrawn => withdrawn?,
            }
        }
        if let Some(open) = same.first() {
            let is_declined = open.review_status == "declined";
            return Ok(if is_declined { "a request was declined" } else { "a request is open" });
        }
        let body = json!({"description": description, "instructions": instructions});
        let sent = self.send(Method::POST, &path, &[], Some(("application/json", &body))).await?;
        self.success(sent, &body)?;
        Ok(if old.is_empty() { "a request was filed" } else { "a request was replaced" })
    }

    /// Deletes a request. One that does not exist is a success.
    async fn withdraw(&self, requests: &[&str], id: &str) -> Result<(), Failure> {
        let path = [requests, &[id]].concat();
        let sent = self.send(Method::DELETE, &path, &[], None).await?;
        if sent.status() != StatusCode::NOT_FOUND {
            self.success(sent, &Value::Null)?;
        }
        Ok(())
    }
}
