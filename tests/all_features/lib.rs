//! Only depends on the library with all of its features: see `Cargo.toml`.
