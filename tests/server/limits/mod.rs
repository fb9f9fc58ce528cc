//! The limits of the server: hostile clients, long requests and messages, and load.

pub mod hostile;
mod keep_alive;
mod load;
mod quoting;
