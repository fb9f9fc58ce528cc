//! REST services that answer with one status or another, late, half or never.

mod answers;
mod requests;
mod service;

pub use service::{Does, Service};
