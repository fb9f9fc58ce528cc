//! Only tests: see `tests/pages`.
