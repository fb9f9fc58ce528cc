//! What stands around each page, and who looks at it.

use axum::{
    extract::{FromRef, FromRequestParts},
    http::request::Parts,
};

use super::{assets, flash};
use crate::{
    access::{Access, Principal},
    problem::Problem,
};

/// A service with its main pages.
#[derive(Debug)]
pub struct Site {
    /// The name of the service.
    pub name: &'static str,
    /// The path of its first page.
    pub home: &'static str,
    /// The label and the path of each main page, and the permissions of which one lets
    /// somebody see it; without any, everybody who is signed in.
    pub pages: &'static [(&'static str, &'static str, &'static [&'static str])],
}

/// A link to a main page.
#[derive(Clone, Debug)]
pub struct Link {
    /// What it says.
    pub label: &'static str,
    /// Where it leads.
    pub href: &'static str,
    /// Whether the page shown belongs to it.
    pub is_current: bool,
}

/// What stands around a page.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The name of the service.
    pub service: String,
    /// The path of its first page.
    pub home: &'static str,
    /// The main pages that the visitor may see.
    pub links: Vec<Link>,
    /// Who looks at it.
    pub user: Option<String>,
    /// Whether they can sign out.
    pub has_session: bool,
    /// What the page before has done.
    pub flash: Option<String>,
    /// The path of the style sheet.
    pub style: &'static str,
    /// The path of the script, if the page has one.
    pub script: Option<&'static str>,
}

impl Frame {
    /// The frame of a page for those who are not signed in.
    pub(crate) fn outside(service: String) -> Self {
        Self {
            service,
            home: "/",
            links: Vec::new(),
            user: None,
            has_session: false,
            flash: None,
            style: assets::stylesheet(),
            script: None,
        }
    }

    /// The frame of the page at `path` for a visitor.
    #[must_use]
    pub fn new(
        site: &Site,
        path: &str,
        principal: Option<&Principal>,
        flash: Option<String>,
    ) -> Self {
        let contains = |href: &str| {
            let rest = path.strip_prefix(href);
            rest.is_some_and(|it| it.is_empty() || it.starts_with('/'))
        };
        // `/ui` contains `/ui/tokens` too, so the longest one counts.
        let current =
            site.pages.iter().map(|it| it.1).filter(|it| contains(it)).max_by_key(|it| it.len());
        let may = |any: &[&str]| {
            principal.is_some_and(|it| any.is_empty() || any.iter().any(|any| it.may(any)))
        };
        let pages = site.pages.iter().filter(|(.., any)| may(any));
        let links =
            pages.map(|(label, href, _)| Link { label, href, is_current: current == Some(href) });
        let name = principal.map(Principal::name);
        let person = name.and_then(|it| it.strip_prefix("person:"));
        Self {
            service: site.name.to_owned(),
            home: site.home,
            links: links.collect(),
            user: person.or(name).map(str::to_owned),
            has_session: person.is_some(),
            flash,
            style: assets::stylesheet(),
            script: Some(assets::script()),
        }
    }
}

/// Somebody looks at a page, or sends one of its forms.
#[derive(Clone, Debug)]
pub struct Visit {
    /// Who it is.
    pub principal: Principal,
    /// What stands around the page.
    pub frame: Frame,
}

impl<S: Send + Sync> FromRequestParts<S> for Visit
where
    Access: FromRef<S>,
    &'static Site: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let principal = Principal::from_request_parts(parts, state).await?;
        let site = <&'static Site>::from_ref(state);
        let flash = flash::read(&parts.headers);
        let frame = Frame::new(site, parts.uri.path(), Some(&principal), flash);
        Ok(Self { principal, frame })
    }
}
