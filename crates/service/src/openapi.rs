//! The description of a service's API ([OpenAPI 3.1](https://spec.openapis.org/oas/v3.1.1.html)),
//! made from one table of operations, for programs and for people.

use axum::{
    http::{HeaderName, header},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};

/// An operation of an API.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// The method, in lower case.
    pub method: &'static str,
    /// The path, with names of parameters in braces.
    pub path: &'static str,
    /// What it does.
    pub summary: &'static str,
    /// Whether it needs neither a token nor a session.
    pub is_public: bool,
    /// The permissions that it needs, all of them. Empty: a token is enough.
    pub needs: &'static [&'static str],
    /// The parameters of the query and, with a capital letter first, the headers that it reads.
    pub takes: &'static [&'static str],
    /// The schema of the request's body.
    pub body: Option<&'static str>,
    /// The schema of the response's body. `None`: it is empty.
    pub response: Option<&'static str>,
    /// The status of a success.
    pub success: u16,
    /// The other statuses that are its own: 400 and 503 may come from any, and 401, 403 and 429 from
    /// any that is not public.
    pub failures: &'static [u16],
}

/// An operation that reads, to be completed.
pub const GET: Operation = Operation {
    method: "get",
    path: "",
    summary: "",
    is_public: false,
    needs: &[],
    takes: &[],
    body: None,
    response: None,
    success: 200,
    failures: &[],
};

/// An API.
pub struct Api {
    /// The name of the service.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// What the API is for.
    pub about: &'static str,
    /// Its operations.
    pub operations: &'static [Operation],
    /// The schemas by name, `Problem` aside.
    pub schemas: fn() -> Value,
    /// The schema of a parameter, by its name and its place: `path`, `query` or `header`.
    pub parameter: fn(&str, &str) -> Value,
    /// The response with a status that is not a success, where it has a form of its own.
    pub failure: fn(&Operation, u16) -> Option<Value>,
}

impl Api {
    /// The whole description.
    #[must_use]
    pub fn document(&self) -> Value {
        let mut paths: Map<String, Value> = Map::new();
        for operation in self.operations {
            let path = paths.entry(operation.path).or_insert_with(|| json!({}));
            path[operation.method] = self.describe(operation);
        }
        let mut schemas = (self.schemas)();
        schemas["Problem"] = problem();
        json!({
            "openapi": "3.1.0",
            "info": {
                "title": self.name,
                "version": self.version,
                "description": self.about,
                "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            },
            "servers": [{ "url": "/" }],
            "security": [{ "token": [] }],
            "paths": paths,
            "components": {
                "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
                "schemas": schemas,
            },
        })
    }

    /// The same, to read.
    #[must_use]
    pub fn page(&self) -> Response {
        let mut rows = String::new();
        for operation in self.operations {
            let needs = match operation.needs {
                _ if operation.is_public => "nothing".to_owned(),
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
        let (name, about) = (escape(self.name), escape(self.about));
        let html = format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>API of {name}</title>\
             <meta name=\"viewport\" content=\"width=device-width\"><meta name=\"color-scheme\" \
             content=\"light dark\"><h1>API of {name}</h1><p>{about}</p><p>The description for \
             programs is <a href=\"/api/openapi.json\">openapi.json</a>.</p><table \
             cellpadding=\"4\"><thead><tr><th>Method<th>Path<th>What it does<th>Needs<th>Takes\
             <tbody align=\"left\">{rows}</table>"
        );
        let headers: [(HeaderName, &str); 2] = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CONTENT_SECURITY_POLICY, "default-src 'none'"),
        ];
        (headers, html).into_response()
    }

    fn describe(&self, operation: &Operation) -> Value {
        let in_path = operation
            .path
            .split('/')
            .filter_map(|part| part.strip_prefix('{').and_then(|it| it.strip_suffix('}')));
        let taken = operation.takes.iter().map(|name| {
            let is_header = name.starts_with(|it: char| it.is_ascii_uppercase());
            (*name, if is_header { "header" } else { "query" })
        });
        let parameters = in_path.map(|name| (name, "path")).chain(taken);
        let parameters: Vec<Value> = parameters
            .map(|(name, place)| {
                let schema = (self.parameter)(name, place);
                json!({ "name": name, "in": place, "required": place == "path", "schema": schema })
            })
            .collect();
        let mut responses = Map::new();
        responses.insert(operation.success.to_string(), success(operation));
        let usual: &[u16] =
            if operation.is_public { &[400, 503] } else { &[400, 401, 403, 429, 503] };
        for status in usual.iter().chain(operation.failures) {
            let own = (self.failure)(operation, *status);
            responses.insert(status.to_string(), own.unwrap_or_else(|| failure(*status)));
        }
        let mut described = json!({
            "summary": operation.summary,
            "operationId": format!("{} {}", operation.method, operation.path),
            "parameters": parameters,
            "responses": responses,
        });
        if operation.is_public {
            described["security"] = json!([]);
        }
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
}

/// Two schemas are not of JSON: `Events` is a stream of server-sent events, and `Text` is text.
fn success(operation: &Operation) -> Value {
    let Some(schema) = operation.response else {
        return json!({ "description": "Success" });
    };
    let kind = match schema {
        "Events" => "text/event-stream",
        "Text" => "text/plain",
        _ => "application/json",
    };
    json!({ "description": "Success", "content": { kind: { "schema": reference(schema) } } })
}

fn failure(status: u16) -> Value {
    let description = match status {
        304 => return json!({ "description": "It is as the client knows it" }),
        400 => "The request is invalid",
        401 => "The token is missing, unknown, expired or revoked",
        403 => "The token lacks a permission",
        404 => "There is no such thing",
        412 => "The condition does not hold",
        413 => "The body is too long",
        429 => "Too many requests: `Retry-After` says when to try again",
        501 => "The server does not do that",
        _ => "The database is unavailable",
    };
    json!({
        "description": description,
        "content": { "application/problem+json": { "schema": reference("Problem") } },
    })
}

fn problem() -> Value {
    let properties = json!({
        "type": string(), "title": string(), "status": number(), "detail": string(),
        "code": string(),
    });
    object(properties, &["type", "title", "status", "detail", "code"])
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

/// A schema by its name.
#[must_use]
pub fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

/// An object with these properties, of which some are required.
#[must_use]
#[allow(clippy::needless_pass_by_value, reason = "called with what json! makes")]
pub fn object(properties: Value, required: &[&str]) -> Value {
    json!({ "type": "object", "properties": properties, "required": required })
}

/// An object without other properties: a mistake in a name would change the meaning.
#[must_use]
pub fn closed(mut object: Value) -> Value {
    object["additionalProperties"] = false.into();
    object
}

/// An array.
#[must_use]
#[allow(clippy::needless_pass_by_value, reason = "called with what json! makes")]
pub fn list(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

/// An object with any names.
#[must_use]
#[allow(clippy::needless_pass_by_value, reason = "called with what json! makes")]
pub fn map(values: Value) -> Value {
    json!({ "type": "object", "additionalProperties": values })
}

/// A string.
#[must_use]
pub fn string() -> Value {
    json!({ "type": "string" })
}

/// A string, or null.
#[must_use]
pub fn optional_string() -> Value {
    json!({ "type": ["string", "null"] })
}

/// A string of so many characters, and at least one.
#[must_use]
pub fn short(longest: usize) -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": longest })
}

/// An integer.
#[must_use]
pub fn number() -> Value {
    json!({ "type": "integer" })
}

/// A time.
#[must_use]
pub fn time() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

/// A time, or null.
#[must_use]
pub fn optional_time() -> Value {
    json!({ "type": ["string", "null"], "format": "date-time" })
}
