//! Hostile peers, floods, and owners who ask in any order: nothing panics, memory stays within bounds, and who has nothing to
//! do with it is served.

#[path = "hostile/mod.rs"]
mod hostile;
