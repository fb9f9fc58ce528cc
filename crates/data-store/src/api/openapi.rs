//! The description of the API ([OpenAPI 3.1](https://spec.openapis.org/oas/v3.1.1.html)), made
//! from one table of operations.

use axum::{Json, http::header, response::IntoResponse};
use serde_json::{Map, Value, json};

use crate::{fact, name, secret};

/// An operation of the API.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// The method.
    pub method: &'static str,
    /// The path, with names of parameters in braces.
    pub path: &'static str,
    /// What it does.
    pub summary: &'static str,
    /// The permissions that it needs, all of them. Empty: a token is enough.
    pub needs: &'static [&'static str],
    /// The parameters of the query and the headers that it reads.
    pub takes: &'static [&'static str],
    /// The schema of the request's body.
    pub body: Option<&'static str>,
    /// The schema of the response's body. `None`: it is empty.
    pub response: Option<&'static str>,
    /// The status of a success.
    pub success: u16,
    /// The other statuses that are its own: 400, 401, 403, 429 and 503 may come from any.
    pub failures: &'static [u16],
}

const READ: Operation = Operation {
    method: "get",
    path: "",
    summary: "",
    needs: &[],
    takes: &[],
    body: None,
    response: None,
    success: 200,
    failures: &[],
};

/// The operations.
pub const OPERATIONS: &[Operation] = &[
    Operation {
        path: "/api/identity",
        summary: "Lists identities, and whether they have facts and secrets",
        takes: &["prefix", "after", "limit"],
        response: Some("Identities"),
        ..READ
    },
    Operation {
        method: "delete",
        path: "/api/identity/{identity}",
        summary: "Erases an identity with its facts, their history and its secrets",
        needs: &["facts-write", "secrets-write"],
        ..READ
    },
    Operation {
        path: "/api/fact",
        summary: "Lists identities with their facts",
        needs: &["facts-read"],
        takes: &["prefix", "after", "limit"],
        response: Some("FactsOfIdentities"),
        ..READ
    },
    Operation {
        method: "patch",
        path: "/api/fact",
        summary: "Writes and removes facts of many identities, all or none",
        needs: &["facts-write"],
        body: Some("Patches"),
        failures: &[413],
        ..READ
    },
    Operation {
        path: "/api/fact/{identity}",
        summary: "Reads the facts of an identity",
        needs: &["facts-read"],
        takes: &["If-None-Match"],
        response: Some("Strings"),
        failures: &[304, 404],
        ..READ
    },
    Operation {
        method: "patch",
        path: "/api/fact/{identity}",
        summary: "Writes and removes facts of an identity",
        needs: &["facts-write"],
        takes: &["If-Match"],
        body: Some("Patch"),
        failures: &[412, 413],
        ..READ
    },
    Operation {
        path: "/api/fact/{identity}/{key}",
        summary: "Reads a fact",
        needs: &["facts-read"],
        response: Some("Strings"),
        failures: &[404],
        ..READ
    },
    Operation {
        method: "put",
        path: "/api/fact/{identity}/{key}",
        summary: "Writes a fact",
        needs: &["facts-write"],
        takes: &["If-Match", "If-None-Match"],
        body: Some("NewFact"),
        failures: &[412, 413],
        ..READ
    },
    Operation {
        method: "delete",
        path: "/api/fact/{identity}/{key}",
        summary: "Removes a fact",
        needs: &["facts-write"],
        takes: &["If-Match"],
        failures: &[404, 412],
        ..READ
    },
    Operation {
        path: "/api/fact/{identity}/{key}/history",
        summary: "Lists the last versions of a fact, the newest first",
        needs: &["facts-read"],
        takes: &["before", "limit"],
        response: Some("History"),
        failures: &[404],
        ..READ
    },
    Operation {
        path: "/api/secret/{identity}",
        summary: "Reads the secrets of an identity, which the audit records",
        needs: &["secrets-read"],
        response: Some("Strings"),
        failures: &[404, 501],
        ..READ
    },
    Operation {
        path: "/api/secret/{identity}/{key}",
        summary: "Reads a secret, which the audit records",
        needs: &["secrets-read"],
        response: Some("Strings"),
        failures: &[404, 501],
        ..READ
    },
    Operation {
        method: "put",
        path: "/api/secret/{identity}/{key}",
        summary: "Writes a secret",
        needs: &["secrets-write"],
        takes: &["If-Match", "If-None-Match"],
        body: Some("NewSecret"),
        failures: &[412, 413, 501],
        ..READ
    },
    Operation {
        method: "delete",
        path: "/api/secret/{identity}/{key}",
        summary: "Removes a secret",
        needs: &["secrets-write"],
        takes: &["If-Match"],
        failures: &[404, 412, 501],
        ..READ
    },
    Operation {
        path: "/api/changes",
        summary: "Streams changes of facts as server-sent events, of all identities, of a prefix \
                  or of those named",
        needs: &["facts-read"],
        takes: &["prefix", "identity", "Last-Event-ID"],
        response: Some("Events"),
        ..READ
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
        ..READ
    },
    Operation {
        method: "put",
        path: "/api/changes/{stream}",
        summary: "Replaces the identities of an open stream",
        body: Some("StreamIdentities"),
        response: Some("Sequence"),
        failures: &[404, 413],
        ..READ
    },
    Operation {
        method: "patch",
        path: "/api/changes/{stream}",
        summary: "Adds identities to an open stream and removes some",
        body: Some("StreamAlteration"),
        response: Some("Sequence"),
        failures: &[404, 413],
        ..READ
    },
    Operation {
        path: "/api/user",
        summary: "Lists everybody who has signed in",
        needs: &["users-read"],
        response: Some("People"),
        ..READ
    },
    Operation {
        path: "/api/user/{id}",
        summary: "Reads a person",
        needs: &["users-read"],
        response: Some("Person"),
        failures: &[404],
        ..READ
    },
    Operation {
        method: "put",
        path: "/api/user/{id}/permission",
        summary: "Gives permissions to a person",
        needs: &["users-write"],
        body: Some("Granted"),
        failures: &[404, 413],
        ..READ
    },
    Operation {
        method: "delete",
        path: "/api/user/{id}/permission",
        summary: "Takes permissions from a person",
        needs: &["users-write"],
        body: Some("Granted"),
        failures: &[404, 413],
        ..READ
    },
    Operation {
        path: "/api/permission",
        summary: "Lists the permissions that there are",
        needs: &["users-read"],
        response: Some("Permissions"),
        ..READ
    },
    Operation {
        path: "/api/token",
        summary: "Lists tokens, without the tokens themselves",
        needs: &["users-read"],
        response: Some("Tokens"),
        ..READ
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
        ..READ
    },
    Operation {
        method: "delete",
        path: "/api/token/{id}",
        summary: "Revokes a token",
        needs: &["users-write"],
        failures: &[404],
        ..READ
    },
    Operation {
        path: "/api/audit",
        summary: "Lists who did what, the newest first",
        needs: &["admin"],
        takes: &["before", "limit", "actor", "action", "subject", "since", "until"],
        response: Some("Audit"),
        ..READ
    },
];

/// `GET /api/openapi.json`: the description of the API.
pub(super) async fn read() -> Json<Value> {
    Json(document())
}

/// `GET /api`: the same, to read.
pub(super) async fn page() -> impl IntoResponse {
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;");
    let mut rows = String::new();
    for operation in OPERATIONS {
        let needs = match operation.needs {
            [] => "a token".to_owned(),
            needs => needs.join(" and "),
        };
        rows += "<tr>";
        for cell in [
            &operation.method.to_uppercase(),
            operation.path,
            operation.summary,
            &needs,
            &operation.takes.join(", "),
        ] {
            rows += "<td>";
            rows += &escape(cell);
        }
    }
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>API of flagops-store\
         </title><meta name=\"viewport\" content=\"width=device-width\"><meta name=\"color-scheme\" \
         content=\"light dark\"><h1>API of flagops-store</h1><p>The description for programs is <a \
         href=\"/api/openapi.json\">openapi.json</a>.</p><table cellpadding=\"4\"><thead><tr><th>\
         Method<th>Path<th>What it does<th>Needs<th>Takes<tbody align=\"left\">{rows}</table>"
    );
    let policy = "default-src 'none'";
    (
        [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CONTENT_SECURITY_POLICY, policy),
        ],
        html,
    )
}

/// The whole description.
#[must_use]
pub fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for operation in OPERATIONS {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method] = describe(operation);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "flagops-store",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Facts and secrets of deployments and customers for the rules of \
                            feature flags. /api/fact and /api/secret are served without /api too.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": schemas(),
        },
    })
}

fn describe(operation: &Operation) -> Value {
    let in_path = operation
        .path
        .split('/')
        .filter_map(|part| part.strip_prefix('{').and_then(|it| it.strip_suffix('}')));
    let parameters: Vec<Value> = in_path
        .map(|name| parameter(name, "path"))
        .chain(operation.takes.iter().map(|name| {
            let header = name.starts_with(|it: char| it.is_ascii_uppercase());
            parameter(name, if header { "header" } else { "query" })
        }))
        .collect();
    let mut responses = Map::new();
    let success = match operation.response {
        None => json!({ "description": "Success" }),
        Some("Events") => json!({
            "description": "Events named ready, change, erased, reset and end",
            "content": { "text/event-stream": { "schema": { "type": "string" } } },
        }),
        Some(schema) => json!({
            "description": "Success",
            "content": { "application/json": { "schema": reference(schema) } },
        }),
    };
    responses.insert(operation.success.to_string(), success);
    for status in [400, 401, 403, 429, 503].iter().chain(operation.failures) {
        responses.insert(status.to_string(), failure(operation, *status));
    }
    let mut described = json!({
        "summary": operation.summary,
        "operationId": format!("{} {}", operation.method, operation.path),
        "parameters": parameters,
        "responses": responses,
    });
    if !operation.needs.is_empty() {
        described["description"] = format!("Needs {}.", operation.needs.join(" and ")).into();
    }
    if let Some(schema) = operation.body {
        described["requestBody"] = json!({
            "required": true,
            "content": { "application/json": { "schema": reference(schema) } },
        });
    }
    described
}

fn failure(operation: &Operation, status: u16) -> Value {
    let description = match status {
        304 => return json!({ "description": "It is as the client knows it" }),
        404 if operation.path == "/api/fact/{identity}" && operation.method == "get" => {
            return json!({
                "description": "The identity has no facts",
                "content": { "application/json": { "schema": reference("Strings") } },
            });
        }
        400 => "The request is invalid",
        401 => "The token is missing, unknown, expired or revoked",
        403 => "The token lacks a permission",
        404 => "There is no such thing",
        412 => "The condition does not hold",
        413 => "The body is too long",
        429 => "The address has sent too many invalid tokens: see the header Retry-After",
        501 => "The server keeps no secrets",
        _ => "The database is unavailable",
    };
    json!({
        "description": description,
        "content": { "application/problem+json": { "schema": reference("Problem") } },
    })
}

fn parameter(name: &str, place: &str) -> Value {
    let schema = match name {
        "identity" if place == "path" => self::name("An identity", name::MAX_IDENTITY),
        "identity" => {
            json!({ "type": "array", "items": self::name("An identity", name::MAX_IDENTITY) })
        }
        "key" => self::name("The key of a fact or of a secret", name::MAX_KEY),
        "stream" | "id" | "Last-Event-ID" => {
            json!({ "type": "integer", "minimum": 0, "maximum": i64::MAX })
        }
        "limit" => json!({ "type": "integer", "minimum": 1, "maximum": 10_000 }),
        "before" => json!({ "type": "integer", "minimum": i64::MIN, "maximum": i64::MAX }),
        "since" | "until" => json!({ "type": "string", "format": "date-time" }),
        _ => json!({ "type": "string" }),
    };
    json!({ "name": name, "in": place, "required": place == "path", "schema": schema })
}

fn name(description: &str, longest: usize) -> Value {
    json!({
        "type": "string",
        "description": format!("{description}: at most {longest} bytes without / and control \
                                characters, and neither . nor .."),
        "minLength": 1,
        "maxLength": longest,
        "pattern": "^[^/\\u0000-\\u001f\\u007f-\\u009f]+$",
    })
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

#[allow(clippy::needless_pass_by_value, reason = "called with what json! makes")]
fn object(properties: Value, required: &[&str]) -> Value {
    json!({ "type": "object", "properties": properties, "required": required })
}

#[allow(clippy::too_many_lines, reason = "a table")]
fn schemas() -> Value {
    let string = || json!({ "type": "string" });
    let number = || json!({ "type": "integer" });
    let time = || json!({ "type": "string", "format": "date-time" });
    let optional_time = || json!({ "type": ["string", "null"], "format": "date-time" });
    let optional = |kind: &str| json!({ "type": [kind, "null"] });
    let list = |items: Value| json!({ "type": "array", "items": items });
    let map = |values: Value| json!({ "type": "object", "additionalProperties": values });
    let identity = || name("An identity", name::MAX_IDENTITY);
    // An unknown member is rejected, where a mistake in its name would change the meaning.
    let closed = |mut object: Value| {
        object["additionalProperties"] = false.into();
        object
    };
    let value = |longest: usize| json!({ "type": "string", "minLength": 1, "maxLength": longest });
    json!({
        "Problem": object(
            json!({
                "type": string(), "title": string(), "status": number(), "detail": string(),
                "code": string(),
            }),
            &["type", "title", "status", "detail", "code"],
        ),
        "Strings": map(string()),
        "Patch": map(json!({
            "type": ["string", "null"], "minLength": 1, "maxLength": fact::MAX_VALUE,
        })),
        "Patches": map(reference("Patch")),
        "Identities": object(
            json!({
                "identities": map(object(
                    json!({ "facts": { "type": "boolean" }, "secrets": { "type": "boolean" } }),
                    &[],
                )),
                "next": string(),
                "unavailable": list(string()),
            }),
            &["identities"],
        ),
        "FactsOfIdentities": object(
            json!({ "facts": map(reference("Strings")), "next": string() }),
            &["facts"],
        ),
        "NewFact": object(
            json!({
                "value": value(fact::MAX_VALUE),
                "expires_in": { "type": ["integer", "null"], "minimum": 1, "maximum": u32::MAX },
                "expires_at": optional_time(),
            }),
            &["value"],
        ),
        "NewSecret": object(json!({ "value": value(secret::MAX_SECRET) }), &["value"]),
        "History": object(
            json!({ "versions": list(object(
                json!({
                    "version": number(), "value": optional("string"), "at": time(), "by": string(),
                }),
                &["version", "value", "at", "by"],
            )) }),
            &["versions"],
        ),
        "StreamIdentities": closed(object(json!({ "identities": list(identity()) }), &["identities"])),
        "StreamAlteration": closed(object(
            json!({ "add": list(identity()), "remove": list(string()) }),
            &[],
        )),
        "Sequence": object(json!({ "sequence": number() }), &["sequence"]),
        "Person": object(
            json!({
                "ID": number(), "CreatedAt": time(), "UpdatedAt": time(), "DeletedAt": {},
                "Username": string(), "Email": string(), "SSOProvider": string(),
                "SSOID": string(), "Permissions": reference("Permissions"),
            }),
            &["ID", "Username", "Email", "SSOProvider", "SSOID", "Permissions"],
        ),
        "People": list(reference("Person")),
        "Granted": object(json!({ "permissions": list(string()) }), &[]),
        "Permissions": list(object(
            json!({ "ID": string(), "DisplayName": string() }),
            &["ID", "DisplayName"],
        )),
        "Tokens": list(object(
            json!({
                "id": number(), "name": string(), "permissions": list(string()),
                "prefixes": { "type": ["array", "null"], "items": string() },
                "created": time(), "created_by": string(), "expires": optional("string"),
                "last_used": optional("string"),
            }),
            &["id", "name", "permissions", "prefixes", "created", "created_by"],
        )),
        "NewToken": closed(object(
            json!({
                "name": value(200),
                "permissions": {
                    "type": "array",
                    "minItems": 1,
                    "items": { "enum": crate::PERMISSIONS.iter().map(|it| it.id).collect::<Vec<_>>() },
                },
                "prefixes": { "type": ["array", "null"], "items": string() },
                "expires_at": optional_time(),
            }),
            &["name", "permissions"],
        )),
        "CreatedToken": object(json!({ "id": number(), "token": string() }), &["id", "token"]),
        "Audit": object(
            json!({ "events": list(object(
                json!({
                    "id": number(), "at": time(), "actor": string(), "action": string(),
                    "subject": string(),
                }),
                &["id", "at", "actor", "action", "subject"],
            )) }),
            &["events"],
        ),
    })
}
