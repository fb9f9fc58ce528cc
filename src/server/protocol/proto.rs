//! The messages of flagd's protocols, generated from `proto/`.
#![allow(missing_docs, unreachable_pub, dead_code, clippy::all, clippy::pedantic)]

pub(crate) mod v1 {
    include!(concat!(env!("OUT_DIR"), "/messages/flagd.evaluation.v1.rs"));
}

pub(crate) mod sync {
    include!(concat!(env!("OUT_DIR"), "/messages/flagd.sync.v1.rs"));
}
