//! The ways to flagd other than plain TCP.

#[cfg(feature = "tls")]
pub(crate) mod tls;
pub(crate) mod unix;
