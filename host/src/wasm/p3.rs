//! `wasi:sockets` 0.3 on the guest's network: what `wasmtime_wasi::p3::sockets` is on the operating system's.
//!
//! One file per WIT interface or resource; each function is look-up, call and convert. What the sockets do is in `sockets`,
//! which 0.2 shares.
//!
//! Choices that the text of WASI leaves open:
//!
//! - The future of `send` resolves when the peer has acknowledged the end of the stream, not when it was queued here.
//! - A `connect` that is cancelled gives the attempt up at once and leaves the socket `closed`, as a failed one does.
//! - The stream of `listen` goes on while its network is down. It ends when no interface has the socket's address any more,
//!   and where no further connection could be held within the guest's limits.
//! - Buffer sizes take effect with `connect` and `listen`; those set later are taken without an effect.
//! - Flow information and scope of IPv6 addresses are not looked at, and 0 where they are told.

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
/// The rest of WASI is `wasmtime_wasi`'s; its `p3::add_to_linker` adds sockets of its own, and cannot be in the same linker.
///
/// # Errors
/// If the linker has one of them already.
pub fn add_to_linker<T: NetworkView>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    bindings::types::add_to_linker::<T, HasNetwork>(linker, T::network)?;
    bindings::ip_name_lookup::add_to_linker::<T, HasNetwork>(linker, T::network)?;
    Ok(())
}
