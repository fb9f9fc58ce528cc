//! REST services that answer with one status or another, late, half or never.

mod answers;
mod limit;
mod requests;
mod service;

pub use service::{Does, Service};
