//! The schemas of the API.

use serde_json::{Value, json};
use service::openapi::{
    closed, list, number, object, optional_string, optional_time, reference, short, string, time,
};

use crate::{PERMISSIONS, name};

pub(super) fn all() -> Value {
    let mut all = answers();
    for more in [bodies(), errors()] {
        if let (Value::Object(all), Value::Object(more)) = (&mut all, more) {
            all.extend(more);
        }
    }
    all
}

/// One of the roles.
fn role() -> Value {
    json!({ "enum": PERMISSIONS.iter().map(|it| it.id).collect::<Vec<_>>() })
}

/// An object with one name.
fn named() -> Value {
    object(json!({ "name": string() }), &["name"])
}

/// An object whose one property is an array.
fn list_of(name: &str, items: Value) -> Value {
    object(json!({ name: list(items) }), &[name])
}

fn answers() -> Value {
    let toggle = object(
        json!({
            "env": string(), "feature": string(),
            "state": { "enum": ["OFF", "ON", "ROLL", "PAUSE"] },
            "over_x_days": { "type": "number" },
            "current_percent": { "type": "integer", "minimum": 0, "maximum": 100 },
        }),
        &["env", "feature", "state", "over_x_days", "current_percent"],
    );
    let employee = |role: Value| {
        object(
            json!({ "username": string(), "name": string(), "email": string(), "role": role }),
            &["username", "name", "email", "role"],
        )
    };
    json!({
        "Evaluations": {
            "type": "object", "additionalProperties": { "type": "boolean" },
        },
        "Events": { "type": "string", "description": "Events named change, without content" },
        "Text": string(),
        "Toggles": list_of("toggles", object(json!({ "toggle": toggle }), &["toggle"])),
        "Named": named(),
        "Features": list_of("features", object(
            json!({
                "name": string(), "created": time(), "since": time(),
                "reason": { "enum": ["on", "unused"], "description":
                    "Why it is due for removal: ON in production for 14 days, or unused there for 30" },
            }),
            &["name"],
        )),
        "Environments": list_of("envs", named()),
        "Notes": list_of("release_notes", object(
            json!({
                "id": number(), "title": string(), "body": optional_string(),
                "feature": optional_string(), "date": string(),
                "withheld": { "type": "boolean", "description":
                    "true: nobody sees it, since its feature was deleted before its release" },
            }),
            &["id", "title", "body", "feature", "date"],
        )),
        "CreatedNote": object(json!({ "id": number() }), &["id"]),
        "Metrics": object(
            json!({
                "metrics": list(object(
                    json!({
                        "date": { "type": "string", "format": "date" }, "hit_count": number(),
                        "environment": string(),
                    }),
                    &["date", "hit_count", "environment"],
                )),
                "use": {
                    "type": "object",
                    "additionalProperties": { "enum": ["used", "unused", "unknown"] },
                },
            }),
            &["metrics", "use"],
        ),
        "Employees": list_of("employees", employee(role())),
        "EditedEmployee": employee(json!({ "type": "integer", "minimum": 1, "maximum": 4 })),
        "Audit": list(object(
            json!({
                "id": number(), "event": string(), "user": string(), "date": string(),
                "event_data": { "type": "object" },
            }),
            &["id", "event", "user", "date", "event_data"],
        )),
        "Tokens": list_of("tokens", object(
            json!({
                "id": number(), "name": string(), "role": string(), "created": time(),
                "created_by": string(), "expires": optional_time(), "last_used": optional_time(),
            }),
            &["id", "name", "role", "created", "created_by", "expires", "last_used"],
        )),
        "CreatedToken": object(json!({ "id": number(), "token": string() }), &["id", "token"]),
    })
}

fn bodies() -> Value {
    // What identifiers are beyond ASCII is more than a pattern says.
    let identifier =
        |pattern: &str| json!({ "type": "string", "pattern": pattern, "maxLength": name::MAX });
    let note = || {
        json!({
            "title": string(), "body": optional_string(),
            "feature": { "type": ["string", "null"] },
        })
    };
    json!({
        "Switch": object(
            json!({ "toggle": object(
                json!({ "env": string(), "feature": string(), "state": string() }),
                &["env", "feature", "state"],
            ) }),
            &["toggle"],
        ),
        "NewFeature": object(json!({ "name": identifier("^[a-z_][a-z0-9_]*$") }), &["name"]),
        "NewEnvironment": object(json!({ "name": identifier("^[A-Za-z_][A-Za-z0-9_]*$") }), &["name"]),
        "NewNote": object(note(), &["title"]),
        "NoteEdit": object(note(), &[]),
        "EmployeeEdit": object(
            json!({ "name": optional_string(), "email": optional_string(), "role": role() }),
            &[],
        ),
        "NewToken": closed(object(
            json!({ "name": short(200), "role": role(), "expires_at": optional_time() }),
            &["name", "role"],
        )),
    })
}

/// Errors in the original's form.
fn errors() -> Value {
    let with = |name: &str| object(json!({ name: string() }), &[name]);
    json!({
        "Message": with("Message"),
        "Unauthenticated": with("error"),
        "Forbidden": { "anyOf": [with("reason"), reference("Message")] },
        "Invalid": { "anyOf": [reference("Message"), object(
            json!({ "reason": string(), "details": string() }),
            &["reason", "details"],
        )] },
    })
}
