//! A small model of Xila, as far as a network needs it, with the names and signatures of Xila's public crates.
//!
//! Each module stands for the crate with its name. The code in [`adapters`](crate::adapters) only calls functions that
//! Xila has, so it can be built there after its `use` lines are changed.

#![allow(dead_code, reason = "this host calls a part of it, and its tests the rest")]

pub(crate) mod drivers;
pub(crate) mod executable;
pub(crate) mod file_system;
pub(crate) mod network;
pub(crate) mod task;
pub(crate) mod time;
pub(crate) mod virtual_file_system;
