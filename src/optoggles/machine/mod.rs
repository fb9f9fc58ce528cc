//! The state machine of the engine, without I/O: what sources answered and targets reported goes in, what is to be asked
//! and written comes out.
//!
//! [`Machine`] holds a [`Question`] for each toggle and a [`Cell`] for each target of each toggle. All
//! that is known is in them; time is an argument. For every question and for every cell at most one
//! piece of work is under way, so that results cannot overtake each other, and what arrives meanwhile
//! is looked at when it has ended: fifty changes during an outage are one write after it.
//!
//! ```text
//!            trigger, resync          answer                     policy
//!   source ────────────────► Question ──────► hold back? ───────────────► Cell ──────► target
//!                               ▲   undefined: nothing             held, limit │
//!                               └── empty: ask again later        retry ◄──────┘ failure
//! ```

mod cell;
mod question;
mod retry;
mod settings;
#[cfg(test)]
mod tests;
mod whole;

pub(crate) use self::{
    cell::Cell,
    retry::Retry,
    settings::Settings,
    whole::{Action, Machine, Toggle},
};
