//! Facts of FlagOps in the evaluation context.
//!
//! A fact is a string that is known about an identity: the tier of a customer, the
//! cluster or the owner of a deployment. Other systems write facts into a store at any
//! time, and the rules of flags read them like any field of the evaluation context.
//!
//! * [`Facts`] is a [`ContextSource`](crate::ContextSource) with the facts about the
//!   targeting key, for the provider and the server of this crate.
//! * [`FactsProvider`] adds facts to the provider of any other vendor.
//! * [`FactsClient`] reads and writes facts and secrets, and follows changes.
//!
//! ```
//! use flagstaff::{
//!     ContextSource as _, Subject,
//!     flagops::{Facts, FactsClient, FactsIdentity},
//! };
//! use open_feature::EvaluationContext;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! // Nothing listens there, so there are no facts, and no error either.
//! let client = FactsClient::builder("http://127.0.0.1:1").retries(0).build()?;
//! let facts = Facts::builder(client)
//!     .identity(FactsIdentity::Attribute("customer".to_owned()))
//!     .build();
//! let context = EvaluationContext::default().with_custom_field("customer", "acme");
//! assert!(facts.fields(Subject::new(&context)).await?.is_empty());
//! # Ok(()) }
//! ```
//!
//! # How it is built
//!
//! | Module | Purpose |
//! |---|---|
//! | `client` | requests, what their responses mean, and the change stream |
//! | `facts` | the context source: cache, mirror, merging, and the task that follows changes |
//! | `provider` | the wrapper for other providers |
//! | `grammar` | which names identities and keys can have |
//! | `sse` | a parser of event streams |
//!
//! What decides is pure, and has tests without a network and a clock: the cache, the
//! mirror, merging, parsing, and what a response means.

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
