//! The defects of the original that must not come back. Each test is named after the number
//! that docs/toggle-meister.md gives it.
//!
//! Elsewhere: those of the mathematics (D19, D20, D22, D26, D40) in `src/`; of the sign-in in
//! `signin` (D15, D16, D36, D38) and in `crates/service` (D14); of the settings (D44) in
//! `src/settings.rs`; of the jobs (D2, D20, D21, D34, D35) with the jobs; of the pages (D13, D41
//! to D43) with the pages.

mod data;
mod toggles;
