//! The description of the API, made from one table of operations.

mod schemas;

use axum::{Json, response::Response};
use serde_json::{Value, json};
pub use service::openapi::Operation;
use service::openapi::{Api, GET, reference, short, string, time};

use crate::name;

/// The operations. What one needs is the role with the least rights that may do it.
pub const OPERATIONS: &[Operation] = &[
    Operation {
        path: "/api/envs/{env}/toggles",
        summary: "Says which features are on, for an id",
        is_public: true,
        takes: &["feature", "enrollment_id", "all", "metrics", "If-None-Match"],
        response: Some("Evaluations"),
        failures: &[304],
        ..GET
    },
    Operation {
        path: "/api/envs/{env}/events",
        summary: "Streams an event whenever toggles of the environment change",
        is_public: true,
        response: Some("Events"),
        failures: &[404],
        ..GET
    },
    Operation {
        path: "/api/envs/{env}/release_notes",
        summary: "Lists the release notes of features that are on, for an id",
        is_public: true,
        takes: &["enrollment_id", "num_of_days"],
        response: Some("Notes"),
        ..GET
    },
    Operation {
        path: "/api/toggles",
        summary: "Lists the toggle of each feature in each environment",
        response: Some("Toggles"),
        ..GET
    },
    Operation {
        method: "patch",
        path: "/api/toggles",
        summary: "Switches a toggle: OFF, ON, ROLL:days or PAUSE. From production, ON and ROLL \
                  switch it on in all other environments",
        needs: &["dev"],
        body: Some("Switch"),
        response: Some("Toggles"),
        failures: &[413],
        ..GET
    },
    Operation {
        path: "/api/features",
        summary: "Lists the features, or with due=true those that are due for removal",
        is_public: true,
        takes: &["due"],
        response: Some("Features"),
        ..GET
    },
    Operation {
        method: "post",
        path: "/api/features",
        summary: "Creates a feature",
        needs: &["dev"],
        body: Some("NewFeature"),
        response: Some("Named"),
        success: 201,
        failures: &[409, 413],
        ..GET
    },
    Operation {
        method: "delete",
        path: "/api/features/{name}",
        summary: "Deletes a feature: after 14 days for good, or at once with hard=true, which \
                  needs admin. What is not off in production is deleted only by a role that may \
                  switch it off",
        needs: &["dev"],
        takes: &["hard"],
        success: 204,
        failures: &[404],
        ..GET
    },
    Operation {
        path: "/api/envs",
        summary: "Lists the environments",
        response: Some("Environments"),
        ..GET
    },
    Operation {
        method: "post",
        path: "/api/envs",
        summary: "Creates an environment",
        needs: &["admin"],
        body: Some("NewEnvironment"),
        response: Some("Named"),
        success: 201,
        failures: &[409, 413],
        ..GET
    },
    Operation {
        method: "delete",
        path: "/api/envs/{name}",
        summary: "Deletes an environment with its toggles and its metrics",
        needs: &["admin"],
        success: 204,
        failures: &[404],
        ..GET
    },
    Operation {
        path: "/api/release_notes",
        summary: "Lists all release notes, the newest first",
        response: Some("Notes"),
        ..GET
    },
    Operation {
        method: "post",
        path: "/api/release_notes",
        summary: "Writes a release note, in Markdown",
        needs: &["dev"],
        body: Some("NewNote"),
        response: Some("CreatedNote"),
        failures: &[413],
        ..GET
    },
    Operation {
        method: "patch",
        path: "/api/release_notes/{id}",
        summary: "Changes what it names of a release note; null clears it",
        needs: &["dev"],
        body: Some("NoteEdit"),
        response: Some("NoteEdit"),
        failures: &[404, 413],
        ..GET
    },
    Operation {
        method: "delete",
        path: "/api/release_notes/{id}",
        summary: "Deletes a release note",
        needs: &["dev"],
        success: 204,
        failures: &[404],
        ..GET
    },
    Operation {
        path: "/api/metrics/{feature}",
        summary: "Counts the requests for a feature a day and environment, and says where it is used",
        takes: &["num_days", "environment"],
        response: Some("Metrics"),
        ..GET
    },
    Operation {
        path: "/api/employees",
        summary: "Lists the employees",
        response: Some("Employees"),
        ..GET
    },
    Operation {
        method: "patch",
        path: "/api/employees/{username}",
        summary: "Changes the role of an employee who may do less, or one's own name and e-mail \
                  address",
        body: Some("EmployeeEdit"),
        response: Some("EditedEmployee"),
        failures: &[404, 413],
        ..GET
    },
    Operation {
        path: "/api/auditlog",
        summary: "Lists who did what, the newest first",
        takes: &["limit", "before", "user", "event", "subject", "since", "until"],
        response: Some("Audit"),
        ..GET
    },
    Operation {
        path: "/api/token",
        summary: "Lists the tokens for automation, without the tokens themselves",
        needs: &["admin"],
        response: Some("Tokens"),
        ..GET
    },
    Operation {
        method: "post",
        path: "/api/token",
        summary: "Makes a token, which the response shows once",
        needs: &["admin"],
        body: Some("NewToken"),
        response: Some("CreatedToken"),
        success: 201,
        failures: &[413],
        ..GET
    },
    Operation {
        method: "delete",
        path: "/api/token/{id}",
        summary: "Revokes a token",
        needs: &["admin"],
        success: 204,
        failures: &[404],
        ..GET
    },
    Operation {
        path: "/heartbeat",
        summary: "Says whether the service can reach its database",
        is_public: true,
        response: Some("Text"),
        ..GET
    },
];

/// The API.
const API: Api = Api {
    name: "Toggle-Meister",
    version: env!("CARGO_PKG_VERSION"),
    about: "Short-lived feature toggles with gradual rollout. Flags are served by flagd's \
            protocols on ports of their own.",
    operations: OPERATIONS,
    schemas: schemas::all,
    parameter,
    failure,
};

/// `GET /api/openapi.json`: the description of the API.
pub(super) async fn read() -> Json<Value> {
    Json(document())
}

/// `GET /api`: the same, to read.
pub(super) async fn page() -> Response {
    API.page()
}

/// The whole description.
#[must_use]
pub fn document() -> Value {
    API.document()
}

fn parameter(name: &str, place: &str) -> Value {
    match name {
        "env" | "name" | "username" => short(name::MAX),
        "feature" if place == "path" => short(name::MAX),
        "feature" | "environment" => json!({ "type": "array", "items": string() }),
        "all" | "metrics" | "hard" | "due" => {
            json!({ "type": "string", "enum": ["true", "false"] })
        }
        "num_days" | "num_of_days" => json!({ "type": "integer", "minimum": 0, "maximum": 36_500 }),
        "id" | "before" => json!({ "type": "integer", "minimum": 0, "maximum": i64::MAX }),
        "limit" => json!({ "type": "integer", "minimum": 1, "maximum": 1_000 }),
        "since" | "until" => time(),
        _ => string(),
    }
}

/// The errors of the original have its form.
fn failure(operation: &Operation, status: u16) -> Option<Value> {
    let is_feature = operation.path == "/api/features";
    let (description, schema) = match status {
        503 if operation.path == "/heartbeat" => {
            return Some(json!({
                "description": "The database is unavailable",
                "content": { "text/plain": { "schema": reference("Text") } },
            }));
        }
        400 => ("The request is invalid", "Invalid"),
        401 => ("Nobody is signed in, or the token is unknown", "Unauthenticated"),
        403 => ("The role may not do that", "Forbidden"),
        409 if is_feature => (
            "There is one with this name, or one that was deleted is still served in production, \
             where the role may not switch it off",
            "Message",
        ),
        409 => ("There is one with this name", "Message"),
        _ => return None,
    };
    let mut response = json!({
        "description": description,
        "content": { "application/json": { "schema": reference(schema) } },
    });
    if matches!(status, 400 | 403) || (status == 409 && is_feature) {
        response["content"]["application/problem+json"] = json!({ "schema": reference("Problem") });
    }
    Some(response)
}
