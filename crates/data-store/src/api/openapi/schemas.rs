//! The schemas of the API.

use serde_json::{Value, json};
use service::openapi::{
    closed, list, map, number, object, optional_string, optional_time, reference, short, string,
    time,
};

use crate::{fact, name, secret};

pub(super) fn name(description: &str, longest: usize) -> Value {
    json!({
        "type": "string",
        "description": format!("{description}: at most {longest} bytes without / and control \
                                characters, and neither . nor .."),
        "minLength": 1,
        "maxLength": longest,
        "pattern": "^[^/\\u0000-\\u001f\\u007f-\\u009f]+$",
    })
}

#[allow(clippy::too_many_lines, reason = "a table")]
pub(super) fn all() -> Value {
    let identity = || name("An identity", name::MAX_IDENTITY);
    json!({
        "Events": {
            "type": "string",
            "description": "Events named ready, change, erased, reset and end",
        },
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
                "value": short(fact::MAX_VALUE),
                "expires_in": { "type": ["integer", "null"], "minimum": 1, "maximum": u32::MAX },
                "expires_at": optional_time(),
            }),
            &["value"],
        ),
        "NewSecret": object(json!({ "value": short(secret::MAX_SECRET) }), &["value"]),
        "History": object(
            json!({ "versions": list(object(
                json!({
                    "version": number(), "value": optional_string(), "at": time(), "by": string(),
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
                "created": time(), "created_by": string(), "expires": optional_string(),
                "last_used": optional_string(),
            }),
            &["id", "name", "permissions", "prefixes", "created", "created_by"],
        )),
        "NewToken": closed(object(
            json!({
                "name": short(200),
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
