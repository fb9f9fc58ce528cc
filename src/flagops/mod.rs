//! Facts of FlagOps in the evaluation context.

mod client;
mod error;
mod facts;
mod grammar;
mod provider;
mod sse;

pub use self::{
    client::{
        ChangeEvent, Changes, ChangesHandle, Fact, FactPatch, FactVersion, FactsClient,
        FactsClientBuilder, Identity, IdentityFacts, ListQuery, Page, PutFact, Subscription,
    },
    error::{FactsError, Rejection},
    facts::{Facts, FactsBuilder, FactsIdentity, Outage},
    provider::FactsProvider,
};
pub use crate::http::Secret;
