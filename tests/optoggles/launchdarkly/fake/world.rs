//! What the fake knows, and how it answers.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{Reply, Sent, document, instructions};

pub const TOKEN: &str = "api-hush-0123";

/// Answers a request in place of the fake, or leaves it to it.
pub type Intercept = Box<dyn FnMut(&Sent) -> Option<Reply> + Send>;

/// An account with one project, `p`, which has the environments `production` and `test`.
#[derive(Default)]
pub struct World {
    /// The flags, by their key, as the API shows them.
    pub flags: BTreeMap<String, Value>,
    pub approvals: Vec<Approval>,
    /// How many requests for approval were filed.
    pub filed: usize,
    /// Whether the response to a creation lacks the environments, as the document allows.
    pub is_brief: bool,
    pub needs_approval: BTreeSet<String>,
    pub sent: Vec<Sent>,
    pub intercept: Option<Intercept>,
    /// What was sent that LaunchDarkly would not understand.
    pub violations: Vec<String>,
}

/// A request for approval.
pub struct Approval {
    pub flag: String,
    pub environment: String,
    pub shown: Value,
}

impl World {
    pub fn respond(&mut self, sent: &Sent) -> Reply {
        let problems = problems(sent);
        if !problems.is_empty() {
            let message = problems.join("; ");
            self.violations.push(format!("{} {}: {message}", sent.method, sent.path));
            return Reply::error(400, "invalid_request", &message);
        }
        if let Some(reply) = self.intercept.as_mut().and_then(|intercept| intercept(sent)) {
            return reply;
        }
        if sent.authorization.as_deref() != Some(TOKEN) {
            return Reply::error(401, "unauthorized", "Invalid access token");
        }
        let path: Vec<_> = sent.path.split('/').skip(3).collect();
        let reply = match (&*sent.method, &*path) {
            ("GET", ["caller-identity"]) => Reply::new(200, json!({"authKind": "token"})),
            ("POST", ["flags", "p"]) => self.create(&sent.body),
            ("GET", ["flags", "p", key]) => self.show(key, &sent.query),
            ("PATCH", ["flags", "p", key]) => self.patch(key, &sent.body),
            ("DELETE", ["flags", "p", key]) => match self.flags.remove(*key) {
                Some(_) => Reply::new(204, Value::Null),
                None => not_found(),
            },
            ("GET", ["projects", "p", "flags", key, "environments", environment, _]) => {
                let is_asked_for = |approval: &&Approval| {
                    approval.flag == *key && approval.environment == *environment
                };
                let found = self.approvals.iter().filter(is_asked_for);
                let items: Vec<_> = found.map(|approval| approval.shown.clone()).collect();
                Reply::new(200, json!({"_links": {}, "items": items}))
            }
            ("DELETE", ["projects", "p", "flags", .., "approval-requests", id]) => {
                let before = self.approvals.len();
                self.approvals.retain(|approval| approval.shown["_id"] != *id);
                if self.approvals.len() < before {
                    Reply::new(204, Value::Null)
                } else {
                    not_found()
                }
            }
            ("POST", ["projects", "p", "flags", key, "environments", environment, _]) => {
                self.request_approval(key, environment, &sent.body)
            }
            _ => not_found(),
        };
        self.violations.extend(reply.problems(&sent.method, &path));
        reply
    }

    fn create(&mut self, body: &Value) -> Reply {
        let key = body["key"].as_str().unwrap();
        if self.flags.contains_key(key) {
            return Reply::error(409, "conflict", "the key is taken");
        }
        let mut flag = flag(key, body["name"].as_str().unwrap(), [true, false]);
        if body["description"].is_string() {
            flag["description"] = body["description"].clone();
        }
        self.flags.insert(key.to_owned(), flag.clone());
        let mut shown = flag;
        if self.is_brief {
            shown.as_object_mut().unwrap().remove("environments");
        }
        Reply::new(201, shown)
    }

    fn show(&self, key: &str, query: &str) -> Reply {
        let Some(flag) = self.flags.get(key) else { return not_found() };
        let mut flag = flag.clone();
        // Of several, the document says nothing.
        let wanted = query.strip_prefix("env=");
        if let (Some(environments), Some(wanted)) = (flag["environments"].as_object_mut(), wanted) {
            environments.retain(|name, _| name == wanted);
        }
        Reply::new(200, flag)
    }

    fn patch(&mut self, key: &str, body: &Value) -> Reply {
        let Some(flag) = self.flags.get_mut(key) else { return not_found() };
        let environment = body["environmentKey"].as_str();
        if environment.is_some_and(|environment| self.needs_approval.contains(environment)) {
            return Reply::error(405, "method_not_allowed", "approval is required");
        }
        let changes = body["instructions"].as_array().unwrap();
        match instructions::apply(flag, environment, changes) {
            Ok(()) => Reply::new(200, flag.clone()),
            Err(problem) => {
                self.violations.push(problem.clone());
                Reply::error(400, "invalid_request", &problem)
            }
        }
    }

    fn request_approval(&mut self, flag: &str, environment: &str, body: &Value) -> Reply {
        let shown = json!({
            "_id": self.filed.to_string(), "_links": {}, "_version": 1, "allReviews": [],
            "conflicts": [], "creationDate": 1, "description": body["description"],
            "instructions": body["instructions"], "notifyMemberIds": [], "reviewStatus": "pending",
            "serviceKind": "launchdarkly", "status": "pending",
        });
        self.filed += 1;
        let (flag, environment) = (flag.to_owned(), environment.to_owned());
        self.approvals.push(Approval { flag, environment, shown: shown.clone() });
        Reply::new(201, shown)
    }

    /// Somebody approves a request and applies it.
    pub fn approve(&mut self, index: usize) {
        let Approval { flag, environment, shown } = &mut self.approvals[index];
        let flag = self.flags.get_mut(flag).unwrap();
        let changes = shown["instructions"].as_array().unwrap();
        instructions::apply(flag, Some(environment), changes).unwrap();
        shown["status"] = json!("completed");
        shown["reviewStatus"] = json!("approved");
    }
}

fn not_found() -> Reply {
    Reply::error(404, "not_found", "Invalid resource identifier")
}

/// A boolean flag that is off, with its variations in this order.
pub fn flag(key: &str, name: &str, variations: [bool; 2]) -> Value {
    let variations =
        variations.map(|value| json!({"_id": format!("{key}-{value}"), "value": value}));
    let off = variations.iter().position(|variation| variation["value"] == false);
    let link = json!({"href": "/", "type": "application/json"});
    let environment = json!({
        "_environmentName": "", "_site": link, "archived": false, "lastModified": 1, "on": false,
        "salt": "", "sel": "", "trackEvents": false, "trackEventsFallthrough": false, "version": 1,
        "targets": [], "contextTargets": [], "rules": [], "prerequisites": [],
        "fallthrough": {"variation": 0}, "offVariation": off,
    });
    json!({
        "_links": {}, "_version": 1, "archived": false, "creationDate": 1, "customProperties": {},
        "experiments": {"baselineIdx": 0, "items": []}, "key": key, "kind": "boolean", "name": name,
        "tags": ["optoggles"], "temporary": false, "variations": variations,
        "environments": {"production": environment, "test": environment},
    })
}

/// What is wrong with a request.
fn problems(sent: &Sent) -> Vec<String> {
    let path: Vec<_> = sent.path.split('/').collect();
    let (content_type, schema) = match (&*sent.method, &*path) {
        ("GET" | "DELETE", _) => (None, None),
        ("POST", ["", "api", "v2", "flags", _]) => {
            (Some("application/json"), Some("FeatureFlagBody"))
        }
        ("PATCH", ["", "api", "v2", "flags", _, _]) => (
            Some("application/json; domain-model=launchdarkly.semanticpatch"),
            Some(document::PATCH),
        ),
        ("POST", [.., "approval-requests"]) => {
            (Some("application/json"), Some("createFlagConfigApprovalRequestRequest"))
        }
        _ => return vec!["there is no such operation".to_owned()],
    };
    let mut problems = Vec::new();
    if sent.content_type.as_deref() != content_type {
        problems.push(format!("content type {:?}", sent.content_type));
    }
    if sent.version.as_deref() != Some("20240415") {
        problems.push(format!("LD-API-Version {:?}", sent.version));
    }
    problems.extend(schema.into_iter().flat_map(|schema| document::problems(schema, &sent.body)));
    problems
}
