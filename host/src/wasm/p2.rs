//! `wasi:sockets` 0.2, for programs that do not use `xila:network`: those with Rust's `std::net`, libc's sockets or
//! CPython.
//!
//! | Module | Contents |
//! |---|---|
//! | [`bindings`] | the code that `bindgen!` generates from the WIT package |
//! | `network` | `network` and `instance-network`: the error codes, and the handle of the guest's network |
//! | `tcp` | `tcp` and `tcp-create-socket` |
//! | `streams` | the two streams of a connection, for `wasi:io` |
//! | `udp` | `udp` and `udp-create-socket` |
//! | `datagrams` | the two streams of datagrams |
//! | `names` | `ip-name-lookup` |
//!
//! No operation here waits: each begins with a `start-` function and ends with a `finish-` function, and in between the
//! guest waits for a `pollable` of `wasi:io`. Only this module keeps track of the operations that are in progress.

pub mod bindings;
mod datagrams;
mod names;
mod network;
mod streams;
mod tcp;
mod udp;

pub use datagrams::{IncomingDatagramStream, OutgoingDatagramStream};
pub use names::ResolveAddressStream;
pub use network::{Network, SocketError};
pub use tcp::TcpSocket;
pub use udp::UdpSocket;

use wasmtime::component::Linker;

use super::{HasNetwork, NetworkView};

/// Adds the interfaces of `wasi:sockets` 0.2 to `linker`.
///
/// Guests that use them also need `wasi:io` 0.2, whose streams and pollables must be in the table that
/// [`NetworkView::network`] returns. [`command::add_to_linker`](super::command::add_to_linker) does all of this.
///
/// # Errors
/// If the linker has one of them already.
pub fn add_to_linker<T: NetworkView>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    let mut options = bindings::network::LinkOptions::default();
    // Without this function a guest cannot find out why a stream failed.
    options.network_error_code(true);
    bindings::network::add_to_linker::<T, HasNetwork>(linker, &options, T::network)?;
    bindings::instance_network::add_to_linker::<T, HasNetwork>(linker, T::network)?;
    bindings::tcp::add_to_linker::<T, HasNetwork>(linker, T::network)?;
    bindings::tcp_create_socket::add_to_linker::<T, HasNetwork>(linker, T::network)?;
    bindings::udp::add_to_linker::<T, HasNetwork>(linker, T::network)?;
    bindings::udp_create_socket::add_to_linker::<T, HasNetwork>(linker, T::network)?;
    bindings::ip_name_lookup::add_to_linker::<T, HasNetwork>(linker, T::network)?;
    Ok(())
}

#[cfg(test)]
mod tests;
