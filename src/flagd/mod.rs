//! The flagd provider.
#[allow(dead_code, unused_imports, reason = "nobody converts yet")]
mod convert;
