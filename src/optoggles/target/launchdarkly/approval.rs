//! Requests for approval, where LaunchDarkly lets nobody change a flag alone.

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    account::{Account, DESCRIPTION},
    spec::Spec,
};
use crate::optoggles::failure::Failure;

/// Approval requests of a flag in an environment.
#[derive(Deserialize)]
struct Requests {
    items: Vec<Request>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    status: String,
    #[serde(default)]
    review_status: String,
    #[serde(default)]
    description: Option<String>,
}

impl Request {
    /// Whether this program has filed it, and nobody has applied it yet.
    fn is_open(&self) -> bool {
        let is_ours = self.description.as_deref() == Some(DESCRIPTION);
        is_ours && matches!(&*self.status, "pending" | "scheduled")
    }
}

impl Account {
    /// Files a request for approval, unless one of this program is open. Returns which is the case.
    ///
    /// One that was declined stays open: another would be filed every few minutes.
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
        if let Some(open) = found.items.iter().find(|request| request.is_open()) {
            let is_declined = open.review_status == "declined";
            return Ok(if is_declined { "a request was declined" } else { "a request is open" });
        }
        let body = json!({"description": DESCRIPTION, "instructions": instructions});
        let sent = self.send(Method::POST, &path, &[], Some(("application/json", &body))).await?;
        self.success(sent, &body)?;
        Ok("a request was filed")
    }
}
