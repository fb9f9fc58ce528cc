//! The state machine of the engine: decides what to query and what to write, and
//! does no I/O itself.
//!
//! Events go in (a source may have changed, a query or a write has ended) and
//! [`Action`]s come out (query this rule, prepare this toggle, write these users).
//! The coordinator in `runtime` performs the actions and feeds the results back.
//! Because there is no I/O here and the time is an argument, the tests drive the
//! machine through any order of events with a clock of their own.
//!
//! [`Machine`] holds a `Question` for each toggle and a [`Cell`] for each target of
//! each toggle, like the cells of a table with toggles as rows and targets as
//! columns. They hold everything that is known:
//!
//! * a `Question` knows the users that the policy authorizes, by the last answer
//!   that counts. It is where undefined rules and suspiciously empty sets are held
//!   back.
//! * a `Cell` knows what its target holds. It is where `maxRemoved` is enforced.
//! * both have a [`Retry`], which says when failed work is tried again.
//!
//! Toggles, sources and targets are known by their indexes in the `Parts` of the
//! engine; the machine never sees an id, a URL or a rule.
//!
//! # Invariants
//!
//! * Each question and each cell has at most one piece of work under way. Results
//!   can therefore not overtake each other, and whatever arrives in the meantime is
//!   considered when the work has ended: fifty changes during an outage become one
//!   write after it.
//! * Toggles are independent. Nothing that happens to one delays another.
//! * Once everything works again, every target ends up with what the policy says,
//!   and nothing is written when nothing has changed.
//!
//! # Flow
//!
//! ```text
//!            trigger, resync          answer                     policy
//!   source ────────────────► Question ──────► hold back? ───────────────► Cell ──────► target
//!                               ▲   undefined: nothing             held, limit │
//!                               └── empty: ask again later        retry ◄──────┘ failure
//! ```
//!
//! The life of a toggle with one target, from the start to its second change:
//!
//! ```text
//! event in                        action out
//! (start)                         Prepare           (the target may be prepared early)
//! trigger                         Ask
//! answered {alice}                                  (still preparing)
//! prepared: holds {}              Write {alice}
//! written                                           (in step)
//! trigger                         Ask
//! answered {alice}                                  (nothing has changed)
//! trigger                         Ask
//! answered {alice, bob}           Write {alice, bob}
//! written: 503                                      (held = unknown, retry in ~0.5 s)
//! (time passes)                   Write {alice, bob}
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
