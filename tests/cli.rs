//! The program `flagstaff` as a process: what it prints, and how it ends.
#![allow(clippy::unwrap_used, clippy::expect_used)]
