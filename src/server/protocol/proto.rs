//! The messages of flagd's protocols, generated from `proto/` by the build.
//!
//! They are used to read requests. Responses are written in place, without them.
#![allow(missing_docs, unreachable_pub, dead_code, clippy::all, clippy::pedantic)]

pub(crate) mod v1 {
    include!(concat!(env!("OUT_DIR"), "/messages/flagd.evaluation.v1.rs"));
}

pub(crate) mod sync {
    include!(concat!(env!("OUT_DIR"), "/messages/flagd.sync.v1.rs"));
}
