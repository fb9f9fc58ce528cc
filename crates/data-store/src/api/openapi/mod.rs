//! The description of the API, made from one table of operations.

mod schemas;

use axum::{Json, response::Response};
use serde_json::{Value, json};
pub use service::openapi::Operation;
use service::openapi::{Api, GET, list, reference, string, time};

use crate::name;

/// The operations.
pub const OPERATIONS: &[Operation] = &[
    Operation {
        path: "/api/identity",
        summary: "Lists identities, and whether they have facts and secrets",
        takes: &["prefix", "after", "limit"],
        response: Some("Identities"),
        ..GET
    },
    Operation {
        method: "delete",
        path: "/api/identity/{identity}",
        summary: "Erases an identity with its facts, their history and its secrets",
        needs: &["facts-write", "secrets-write"],
        ..GET
    },
    Operation {
        path: "/api/fact",
        summary: "Lists identities with their facts: a page ends when these have 8 MiB, and next says \
                  where the following one begins",
        needs: &["facts-read"],
        takes: &["prefix", "after", "limit"],
        response: Some("FactsOfIdentities"),
        ..GET
    },
    Operation {
        method: "patch",
        path: "/api/fact",
        summary: "Writes and removes facts of many identities, all or none; a fact that expires keeps \
                  its expiry",
        needs: &["facts-write"],
        body: Some("Patches"),
        failures: &[413],
        ..GET
    },
    Operation {
        path: "/api/fact/{identity}",
        summary: "Reads the facts of an identity",
        needs: &["facts-read"],
        takes: &["If-None-Match"],
        response: Some("Strings"),
        failures: &[304, 404],
        ..GET
    },
    Operation {
        method: "patch",
        path: "/api/fact/{identity}",
        summary: "Writes and removes facts of an identity; a fact that expires keeps its expiry",
        needs: &["facts-write"],
        takes: &["If-Match", "If-None-Match"],
        body: Some("Patch"),
        failures: &[412, 413],
        ..GET
    },
    Operation {
        path: "/api/fact/{identity}/{key}",
        summary: "Reads a fact",
        needs: &["facts-read"],
        takes: &["If-None-Match"],
        response: Some("Strings"),
        failures: &[304, 404],
        ..GET
    },
    Operation {
        method: "put",
        path: "/api/fact/{identity}/{key}",
        summary: "Writes a fact and its expiry",
        needs: &["facts-write"],
        takes: &["If-Match", "If-None-Match"],
        body: Some("NewFact"),
        failures: &[412, 413],
        ..GET
    },
    Operation {
        method: "delete",
        path: "/api/fact/{identity}/{key}",
        summary: "Removes a fact",
        needs: &["facts-write"],
        takes: &["If-Match"],
        failures: &[404, 412],
        ..GET
    },
    Operation {
        path: "/api/fact/{identity}/{key}/history",
        summary: "Lists the last versions of a fact, the newest first",
        needs: &["facts-read"],
        takes: &["before", "limit"],
        response: Some("History"),
        failures: &[404],
        ..GET
    },
    Operation {
        path: "/api/secret/{identity}",
        summary: "Reads the secrets of an identity, which the audit records",
        needs: &["secrets-read"],
        response: Some("Strings"),
        failures: &[404, 501],
        ..GET
    },
    Operation {
        path: "/api/secret/{identity}/{key}",
        summary: "Reads a secret, which the audit records",
        needs: &["secrets-read"],
        response: Some("Strings"),
        failures: &[404, 501],
        ..GET
    },
    Operation {
        method: "put",
        path: "/api/secret/{identity}/{key}",
        summary: "Writes a secret",
        needs: &["secrets-write"],
        takes: &["If-Match", "If-None-Match"],
        body: Some("NewSecret"),
        failures: &[412, 413, 501],
        ..GET
    },
    Operation {
        method: "delete",
        path: "/api/secret/{identity}/{key}",
        summary: "Removes a secret",
        needs: &["secrets-write"],
        takes: &["If-Match"],
        failures: &[404, 412, 501],
        ..GET
    },
    Operation {
        path: "/api/changes",
        summary: "Streams changes of facts as server-sent events, of all identities, of a prefix \
                  or of those named",
        needs: &["facts-read"],
        takes: &["prefix", "identity", "Last-Event-ID"],
        response: Some("Events"),
        ..GET
    },
    Operation {
        method: "post",
        path: "/api/changes",
        summary: "Streams changes of the identities that the body names",
        needs: &["facts-read"],
        takes: &["Last-Event-ID"],
        body: Some("StreamIdentities"),
        response: Some("Events"),
        failures: &[413],
        ..GET
    },
    Operation {
        method: "put",
        path: "/api/changes/{stream}",
        summary: "Replaces the identities of an open stream",
        needs: &["facts-read"],
        body: Some("StreamIdentities"),
        response: Some("Sequence"),
        failures: &[404, 413],
        ..GET
    },
    Operation {
        method: "patch",
        path: "/api/changes/{stream}",
        summary: "Adds identities to an open stream and removes some",
        needs: &["facts-read"],
        body: Some("StreamAlteration"),
        response: Some("Sequence"),
        failures: &[404, 413],
        ..GET
    },
    Operation {
        path: "/api/user",
        summary: "Lists everybody who has signed in",
        needs: &["users-read"],
        response: Some("People"),
        ..GET
    },
    Operation {
        path: "/api/user/{id}",
        summary: "Reads a person",
        needs: &["users-read"],
        response: Some("Person"),
        failures: &[404],
        ..GET
    },
    Operation {
        method: "put",
        path: "/api/user/{id}/permission",
        summary: "Gives permissions to a person",
        needs: &["users-write"],
        body: Some("Granted"),
        failures: &[404, 413],
        ..GET
    },
    Operation {
        method: "delete",
        path: "/api/user/{id}/permission",
        summary: "Takes permissions from a person",
        needs: &["users-write"],
        body: Some("Granted"),
        failures: &[404, 413],
        ..GET
    },
    Operation {
        path: "/api/permission",
        summary: "Lists the permissions that there are",
        needs: &["users-read"],
        response: Some("Permissions"),
        ..GET
    },
    Operation {
        path: "/api/token",
        summary: "Lists tokens, without the tokens themselves",
        needs: &["users-read"],
        response: Some("Tokens"),
        ..GET
    },
    Operation {
        method: "post",
        path: "/api/token",
        summary: "Makes a token, which the response shows once",
        needs: &["users-write"],
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
        needs: &["users-write"],
        failures: &[404],
        ..GET
    },
    Operation {
        path: "/api/audit",
        summary: "Lists who did what, the newest first; not for a token that is limited to prefixes",
        needs: &["admin"],
        takes: &["before", "limit", "actor", "action", "subject", "since", "until"],
        response: Some("Audit"),
        ..GET
    },
];

/// The API.
const API: Api = Api {
    name: "flagops-store",
    version: env!("CARGO_PKG_VERSION"),
    about: "Facts and secrets of deployments and customers for the rules of feature flags. \
            /api/fact and /api/secret are served without /api too. A write rejects a condition \
            that it does not support.",
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

fn failure(operation: &Operation, status: u16) -> Option<Value> {
    (status == 404 && operation.path == "/api/fact/{identity}").then(|| {
        json!({
            "description": "The identity has no facts",
            "content": { "application/json": { "schema": reference("Strings") } },
        })
    })
}

fn parameter(name: &str, place: &str) -> Value {
    match name {
        "identity" if place == "path" => schemas::name("An identity", name::MAX_IDENTITY),
        "identity" => list(schemas::name("An identity", name::MAX_IDENTITY)),
        "key" => schemas::name("The key of a fact or of a secret", name::MAX_KEY),
        "stream" | "id" | "Last-Event-ID" => {
            json!({ "type": "integer", "minimum": 0, "maximum": i64::MAX })
        }
        "limit" => json!({ "type": "integer", "minimum": 1, "maximum": 10_000 }),
        "before" => json!({ "type": "integer", "minimum": i64::MIN, "maximum": i64::MAX }),
        "since" | "until" => time(),
        _ => string(),
    }
}
