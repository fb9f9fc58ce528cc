//! REST services that answer with one status or another, late, half or never.
