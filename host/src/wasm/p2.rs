//! `wasi:sockets` 0.2, for programs that know nothing of this project: Rust's `std::net`, libc's sockets, CPython's.
//!
//! | Module | Is |
//! |---|---|
//! | [`bindings`] | what `bindgen!` makes of the WIT package |
//! | `network` | `network` and `instance-network`: the error codes, and the handle that stands for the guest's network |
//! | `tcp` | `tcp` and `tcp-create-socket` |
//! | `streams` | the two streams of a connection, for `wasi:io` |
//! | `udp` | `udp` and `udp-create-socket` |
//! | `datagrams` | the two streams of datagrams |
//! | `names` | `ip-name-lookup` |
//!
//! No operation here waits: each begins with a `start-` function and ends with a `finish-` function, and in between the
//! guest waits for a `pollable` of `wasi:io`. The book about what has begun is kept here and nowhere else.

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
/// Guests of theirs need `wasi:io` 0.2 beside them, whose streams and pollables have to live in the table that
/// [`NetworkView::network`] hands out. [`command::add_to_linker`](super::command::add_to_linker) sees to all of it.
///
/// # Errors
/// If the linker has one of them already.
pub fn add_to_linker<T: NetworkView>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    let mut options = bindings::network::LinkOptions::default();
    // Without it, a guest cannot find out why a stream failed.
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
