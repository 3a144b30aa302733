//! Hostile peers, floods, and owners that call operations in any order: nothing panics, memory stays within its limits,
//! and unaffected connections are served.

#[path = "hostile/mod.rs"]
mod hostile;
