//! The stream of changes: who wants to hear of which.
//!
//! [`Hub`] is the register of open streams, without I/O. [`tail()`] reads changes from the
//! database, whoever made them, and hands them to the hub. [`Stream`] is what one subscriber
//! reads.

mod event;
mod hub;
mod stream;
mod tail;

pub use self::{
    event::Event,
    hub::{Hub, Interest, Subscriber},
    stream::Stream,
    tail::tail,
};
