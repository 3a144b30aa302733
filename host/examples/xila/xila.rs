//! What Xila has, as far as a network needs it: names and shapes of its public crates, written anew and small.
//!
//! Each module stands for the crate of its name. What lies under [`adapters`](crate::adapters) calls nothing that Xila
//! has not, so that there it is built after its `use` lines are changed.

#![allow(dead_code, reason = "this host calls a part of it, and its tests the rest")]

pub(crate) mod drivers;
pub(crate) mod executable;
pub(crate) mod file_system;
pub(crate) mod network;
pub(crate) mod task;
pub(crate) mod time;
pub(crate) mod virtual_file_system;
