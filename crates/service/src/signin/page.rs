//! The pages of the sign-in.

use askama::Template;
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};

use crate::{describe, page::Frame};

/// The choice of providers.
#[derive(Template)]
#[template(path = "login.html")]
pub(super) struct Login<'a> {
    pub(super) frame: &'a Frame,
    pub(super) links: Vec<Link<'a>>,
}

/// A provider.
pub(super) struct Link<'a> {
    pub(super) name: &'a str,
    pub(super) href: String,
}

/// Why somebody is not signed in.
#[derive(Template)]
#[template(path = "message.html")]
pub(super) struct Message<'a> {
    pub(super) frame: &'a Frame,
    pub(super) heading: &'a str,
    pub(super) text: &'a str,
}

/// A page that neither runs scripts nor is shown inside another.
pub(super) fn page(status: StatusCode, template: &impl Template) -> Response {
    let html = match template.render() {
        Ok(html) => html,
        Err(error) => {
            tracing::error!(error = describe(&error), "cannot render a page");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    let mut response = (status, Html(html)).into_response();
    response.headers_mut().insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; \
             form-action 'none'; frame-ancestors 'none'",
        ),
    );
    response
}
