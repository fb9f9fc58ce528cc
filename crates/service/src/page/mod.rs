//! Pages for people: what the services share of them.
//!
//! A template extends `layout.html` and has a field `frame`, a [`Frame`]. A handler takes a
//! [`Visit`], asks its principal as a handler of the API does, and returns [`html`], a
//! [`redirect`], or a [`Problem`]. The layer [`finish`] turns problems into pages, sends those who
//! are not signed in to the sign-in, and adds the headers that each page needs.
//!
//! The pages work without scripts. The one script, which [`assets()`] serves with the style sheet,
//! makes them quicker:
//!
//! | attribute | the script |
//! |---|---|
//! | `method="post"` on a form | sends the form and shows the page that comes back |
//! | `data-swap` on a link | shows the page without loading everything anew |
//! | `data-search` on a form | sends the form while somebody types, and replaces `#list` |
//! | `data-dialog` on a link | shows what has `data-dialog-content` on that page in a dialog |
//! | `data-live="URL"` | reads server-sent events from there, and replaces the rows with `data-row`, or a page that no longer has it |
//! | `data-rows` beside it | its children are the rows, which are no table |
//! | `data-copy="ID"` on a button | shows the button, which copies the text of an element |

mod assets;
mod errors;
mod field;
mod flash;
mod form;
mod frame;
mod trail;

use askama::Template;
use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, header, uri::PathAndQuery},
    middleware::Next,
    response::{Html, IntoResponse as _, Redirect, Response},
};

pub use self::{
    assets::assets,
    errors::Errors,
    field::{filled, moment},
    flash::redirect,
    form::Form,
    frame::{Frame, Link, Site, Visit},
    trail::{Trail, TrailQuery},
};
use crate::{access::Access, describe, problem::Problem, signin::login_path};

/// The headers of each page. Nothing is loaded from anywhere else, and nothing in a page runs
/// unless it is in our script.
const HEADERS: [(HeaderName, &str); 4] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
         connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (header::REFERRER_POLICY, "same-origin"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CACHE_CONTROL, "no-store"),
];

/// What to do where nobody can sign in.
const NO_SIGN_IN: &str = "people cannot sign in to this service: configure sign-in, or, on your own \
     machine, switch authentication off";

/// A page.
///
/// # Errors
///
/// 500 where the template fails.
pub fn html(template: &impl Template) -> Result<Response, Problem> {
    let html = template.render().map_err(|error| {
        tracing::error!(error = describe(&error), "cannot render a page");
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "an internal error, which the log of the server describes",
        )
    })?;
    Ok(Html(html).into_response())
}

/// A page that shows a form again, with what is wrong with it.
///
/// # Errors
///
/// 500 where the template fails.
pub fn invalid(template: &impl Template) -> Result<Response, Problem> {
    let mut response = html(template)?;
    *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    Ok(response)
}

/// A problem's detail as a sentence.
///
/// ```
/// assert_eq!(service::page::sentence("the name is blank"), "The name is blank.");
/// ```
#[must_use]
pub fn sentence(detail: &str) -> String {
    let mut letters = detail.chars();
    let first = letters.next().map(char::to_uppercase);
    let end = if detail.ends_with(['.', '?', '!']) { "" } else { "." };
    first.into_iter().flatten().chain(letters).chain(end.chars()).collect()
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage<'a> {
    frame: Frame,
    title: &'a str,
    text: String,
}

/// The layer of all pages: problems become pages, and each page gets its headers.
pub async fn finish(
    State((access, site)): State<(Access, &'static Site)>,
    request: Request,
    next: Next,
) -> Response {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let headers = request.headers().clone();
    let mut response = next.run(request).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let is_signed_out = problem.status() == StatusCode::UNAUTHORIZED;
        response = if is_signed_out && access.sessions().is_some() {
            // What somebody sent before they signed in is lost.
            let read = matches!(method, Method::GET | Method::HEAD);
            let next =
                uri.path_and_query().filter(|_| read).map_or(site.home, PathAndQuery::as_str);
            Redirect::to(&login_path(next)).into_response()
        } else {
            let principal = access.principal(&headers).await.ok();
            let frame = Frame::new(site, uri.path(), principal.as_ref(), None);
            let detail = if is_signed_out { NO_SIGN_IN } else { problem.detail() };
            let page = ProblemPage { frame, title: problem.title(), text: sentence(detail) };
            let mut response = match html(&page) {
                Ok(page) => (problem.status(), page).into_response(),
                Err(problem) => problem.into_response(),
            };
            if let Some(seconds) = problem.retry_after() {
                response.headers_mut().insert(header::RETRY_AFTER, seconds);
            }
            response
        };
    }
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    flash::forget(&headers, &mut response);
    response
}
