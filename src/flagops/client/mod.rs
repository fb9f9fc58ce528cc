//! The client of a store of facts: what one request does is in `api.rs`, how it is sent
//! and repeated in `send.rs`, and what its response means in `response.rs`.

mod api;
mod builder;
pub(super) mod changes;
mod event;
mod model;
mod response;
mod send;
mod subscription;

pub use self::{
    api::FactsClient,
    builder::FactsClientBuilder,
    changes::{Changes, ChangesHandle},
    event::ChangeEvent,
    model::{Fact, FactPatch, FactVersion, Identity, IdentityFacts, ListQuery, Page, PutFact},
    subscription::Subscription,
};
