//! Evaluation over gRPC: results, statuses and encodings.

mod encodings;
pub mod statuses;
mod unary;
