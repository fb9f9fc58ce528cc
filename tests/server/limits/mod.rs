//! What the server bears: hostile clients, long requests, and many of both.

pub mod hostile;
mod keep_alive;
mod load;
mod quoting;
