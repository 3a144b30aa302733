//! User-space TCP/IP for hosts of WebAssembly apps.
//!
//! Layers, each using only those before it:
//!
//! 1. [`error`], [`address`], [`platform`]: what everything is made of.
//! 2. [`device`]: where frames come from and go to.
//! 3. `stack`: one interface's TCP/IP engine; `runner`: the task that keeps it going.
//! 4. [`socket`]: TCP and UDP sockets with the names of `std::net` and tokio.
//! 5. [`interface`]: what can be asked of an interface and set; [`control`]: the same by commands and bytes.
//! 6. [`manager`]: interfaces by name, and the [`Network`] that sockets are made on.

pub mod address;
#[cfg(feature = "cli")]
pub mod cli;
pub mod control;
pub mod device;
pub mod error;
pub mod interface;
pub mod manager;
pub mod platform;
pub mod policy;
mod runner;
pub mod socket;
mod stack;
#[cfg(feature = "wasm")]
pub mod wasm;

pub use error::{
    AcceptError, AlreadyInitialized, BindError, ConfigureError, ConnectError, Error, InterfaceNotFound, InvalidOption,
    InvalidPortRange, InvalidRemote, MembershipError, MountError, NotConnected, PingError, ReadError, ReceiveError,
    Result, SendError, WriteError,
};
pub use interface::{Interface, InterfaceConfig, PortRange};
pub use manager::Manager;
pub use socket::Network;
/// The commands that interfaces are asked by, and the values they carry.
pub use xila_network_commands as commands;
