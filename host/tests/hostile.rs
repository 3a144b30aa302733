//! Servers of names, and guests with commands, that say what they want: nothing panics, what is held stays within its bounds,
//! and what is told makes sense.

#[path = "hostile/mod.rs"]
mod hostile;
