//! Who looks at a page, and what stands around it.

use axum::{extract::FromRequestParts, http::request::Parts};
use service::{
    page::{self, Frame},
    problem::Problem,
};

use super::TOKENS;
use crate::{
    caller::Caller,
    role::{Action, Role},
    store::Store,
};

/// Somebody looks at a page, or sends one of its forms.
pub(super) struct Visit {
    /// Who it is.
    pub(super) caller: Caller,
    /// What stands around the page. It links to what they may see.
    pub(super) frame: Frame,
}

impl FromRequestParts<Store> for Visit {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, store: &Store) -> Result<Self, Problem> {
        let page::Visit { principal, mut frame } =
            page::Visit::from_request_parts(parts, store).await?;
        let caller = Caller::of(store, &principal).await?;
        if !caller.may(Action::ManageTokens) {
            frame.links.retain(|it| it.href != TOKENS);
        }
        Ok(Self { caller, frame })
    }
}

impl Role {
    /// Its name for people.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Admin => "Administrator",
            Self::Qa => "Quality assurance",
            Self::Dev => "Developer",
            Self::ReadOnly => "Read only",
        }
    }
}
