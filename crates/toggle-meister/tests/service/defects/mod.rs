//! The defects of the original that must not come back. Each test is named after the number of
//! the defect in a list of them: D1 to D45.
//!
//! Elsewhere: those of the mathematics (D19, D20, D22, D26, D40) in `src/`; of the sign-in in
//! `signin` (D15, D16, D36, D38) and in `crates/service` (D14); of the settings (D44) in
//! `src/settings.rs`; of the jobs (D2, D20) with the jobs; of the pages (D13, D41, D42) with the
//! pages.
//!
//! Four have no test, because this program has nothing that could go wrong in this way. It waits
//! for a duration, which is never negative (D21). It reads what is in memory in place of a row
//! for each feature (D34). Its jobs share the storage of the server, whose statements have
//! parameters (D35). And D43 was about the files of the original's own tests.

mod data;
mod toggles;
