//! The messages of evaluation v2 and of the sync protocol, generated from
//! `proto/`.
//!
//! There are none for v1: the fields have the same numbers and types in both
//! versions, so these messages read v1 too. The versions differ in what an
//! absent value means; see "Evaluation service" in `docs/flagd.md`. The
//! responses to unary calls are read by `wire` instead, without these messages.
#![allow(missing_docs, unreachable_pub, dead_code, clippy::pedantic)]

include!(concat!(env!("OUT_DIR"), "/messages/flagd.evaluation.v2.rs"));

/// The messages of the sync protocol (`flagd.sync.v1`).
#[cfg(feature = "in-process")]
pub(crate) mod sync {
    include!(concat!(env!("OUT_DIR"), "/messages/flagd.sync.v1.rs"));
}
