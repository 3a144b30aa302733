//! User-space TCP/IP for hosts of WebAssembly apps.
//!
//! Layers, each using only those before it:
//!
//! 1. [`error`], [`address`], [`platform`]: what everything is made of.
//! 2. [`device`]: where frames come from and go to.
//! 3. `stack`: one interface's TCP/IP engine; `runner`: the task that keeps it going.
//! 4. [`socket`]: TCP and UDP sockets with the names of `std::net` and tokio.
//! 5. [`manager`]: interfaces by name, and the [`Network`] that sockets are made on.

pub mod address;
#[cfg(feature = "cli")]
pub mod cli;
pub mod device;
pub mod error;
pub mod manager;
pub mod platform;
#[cfg(feature = "wasm")]
pub mod policy;
mod runner;
pub mod socket;
mod stack;
#[cfg(feature = "wasm")]
pub mod wasm;

pub use error::{Error, Result};
pub use manager::{Interface, InterfaceConfig, Manager};
pub use socket::Network;
