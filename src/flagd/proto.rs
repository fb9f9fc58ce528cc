//! The messages of evaluation v2, generated from `proto/`. They read answers of v1 as well: the
//! numbers of the fields are the same, and a field that v1 leaves out is absent.
#![allow(missing_docs, unreachable_pub, dead_code, clippy::pedantic)]

include!(concat!(env!("OUT_DIR"), "/messages/flagd.evaluation.v2.rs"));

/// The messages of the sync protocol.
#[cfg(feature = "in-process")]
pub(crate) mod sync {
    include!(concat!(env!("OUT_DIR"), "/messages/flagd.sync.v1.rs"));
}
