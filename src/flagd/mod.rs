//! The flagd provider.
mod convert;
