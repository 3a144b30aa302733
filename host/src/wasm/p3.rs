//! `wasi:sockets` 0.3 on the guest's network, in place of `wasmtime_wasi::p3::sockets` on the operating system's
//! network.
//!
//! There is one file per WIT interface or resource. Each function looks up a resource, calls it and converts the
//! result. The sockets themselves are in `sockets`, which 0.2 shares.
//!
//! Decisions where the text of WASI leaves a choice:
//!
//! - The future of `send` resolves when the peer has acknowledged the FIN, not when the FIN was queued here.
//! - A cancelled `connect` ends the attempt at once and leaves the socket `closed`, like a failed one.
//! - The stream of `listen` continues while its network is down. It ends when no interface has the socket's address any
//!   more, and when the guest's limits do not allow any further connection.
//! - Buffer sizes can be set at any time. On a connection they take effect at once, or once it is established; those of
//!   a listener are inherited by the connections that it accepts from then on.
//! - Flow information and scope of IPv6 addresses are ignored, and are 0 in addresses that are returned.

pub mod bindings;
mod names;
pub mod tcp;
mod types;
pub mod udp;

pub use types::SocketError;

use wasmtime::component::Linker;

use super::{HasNetwork, NetworkView};

/// Adds `wasi:sockets/types@0.3.0` and `wasi:sockets/ip-name-lookup@0.3.0` to `linker`.
///
/// The rest of WASI comes from `wasmtime_wasi`. Its `p3::add_to_linker` adds sockets too, and so cannot be used with
/// the same linker.
///
/// # Errors
/// If the linker has one of them already.
pub fn add_to_linker<T: NetworkView>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    bindings::types::add_to_linker::<T, HasNetwork>(linker, T::network)?;
    bindings::ip_name_lookup::add_to_linker::<T, HasNetwork>(linker, T::network)?;
    Ok(())
}
