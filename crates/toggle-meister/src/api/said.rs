//! Errors that the original has too, in its form.
//!
//! | code | body |
//! |---|---|
//! | `said` | `{"Message": "..."}` |
//! | `forbidden` | `{"reason": "..."}` |
//! | `unauthorized` | `{"error": "Unauthenticated"}` |
//! | `invalid_json` | `{"reason": "invalid json", "details": "..."}` |
//!
//! All others are problem details.

use axum::{
    Json,
    http::header,
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};
use service::problem::Problem;

use crate::name::SAID;

/// Gives an error the form of the original, if it has that error.
pub(super) fn said(mut response: Response) -> Response {
    let Some(problem) = response.extensions_mut().remove::<Problem>() else { return response };
    let Some(body) = body(&problem) else { return response };
    let (mut parts, _) = response.into_parts();
    for name in [header::CONTENT_TYPE, header::CONTENT_LENGTH] {
        parts.headers.remove(name);
    }
    (parts.status, parts.headers, Json(body)).into_response()
}

fn body(problem: &Problem) -> Option<Value> {
    let detail = problem.detail();
    match problem.code() {
        SAID => Some(json!({"Message": detail})),
        "forbidden" => Some(json!({"reason": detail})),
        "unauthorized" => Some(json!({"error": "Unauthenticated"})),
        "invalid_json" => Some(json!({"reason": "invalid json", "details": detail})),
        _ => None,
    }
}
