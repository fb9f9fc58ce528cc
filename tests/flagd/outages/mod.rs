//! flagd hangs, stops, or is cut off.

pub(crate) mod hangs;
pub(crate) mod loss;
pub(crate) mod network;
