//! User-space TCP/IP for hosts of WebAssembly apps.
//!
//! The layers; each uses only those before it:
//!
//! 1. [`error`], [`address`], [`platform`]: errors, addresses, and what the host needs of its surroundings (time,
//!    tasks, randomness).
//! 2. [`device`]: the devices that frames are received from and sent to.
//! 3. `stack`: one interface with its TCP/IP engine; `runner`: the task that drives it.
//! 4. [`socket`]: TCP, UDP and ICMP sockets and a DNS resolver, with the names of `std::net` and tokio.
//! 5. [`interface`]: the state and settings of an interface; [`control`]: the same by commands and bytes.
//! 6. [`manager`]: interfaces by name, and the [`Network`] that sockets are made on.
//! 7. [`services`]: DHCP, router advertisements and DNS for the hosts of a link; `gateway` and `publish` (with the
//!    feature): the way of apps to the outside, and from there to apps, through the host's own sockets.
//! 8. `wasm` (with the feature): the host functions for WebAssembly guests; `cli`: the command line `xila-net`.

pub mod address;
#[cfg(feature = "cli")]
pub mod cli;
pub mod control;
pub mod device;
pub mod error;
#[cfg(all(feature = "gateway", target_os = "linux"))]
pub mod gateway;
pub mod interface;
pub mod manager;
pub mod platform;
pub mod policy;
#[cfg(all(feature = "gateway", target_os = "linux"))]
pub mod publish;
mod runner;
pub mod services;
pub mod socket;
mod stack;
mod waiters;
#[cfg(feature = "wasm")]
pub mod wasm;

pub use error::{
    AcceptError, AlreadyInitialized, BindError, ConfigureError, ConnectError, Error, InterfaceNotFound, InvalidOption,
    InvalidPortRange, MembershipError, MountError, NotConnected, PeerError, PingError, ReadError, ReceiveError, Result,
    SendError, WriteError,
};
pub use interface::{Interface, InterfaceConfig, PortRange};
pub use manager::Manager;
pub use socket::Network;
/// The commands to interfaces, and the values they carry.
pub use xila_network_commands as commands;
