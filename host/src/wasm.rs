//! The WIT package `xila:network`, and `wasi:sockets`, for components that run in wasmtime.
//!
//! It has the structure of wasmtime's own host crates: a [`NetworkCtx`] says what one guest may use, the store's data
//! implements [`NetworkView`] to provide it, and [`add_to_linker`] adds the interfaces of the world `admin` to a
//! linker.
//!
//! ```no_run
//! use wasmtime::component::{Linker, ResourceTable};
//! use wasmtime::{Engine, Store};
//! use xila_network_host::Manager;
//! use xila_network_host::wasm::{self, NetworkCtx, NetworkCtxView, NetworkView};
//!
//! struct State {
//!     network: NetworkCtx,
//!     table: ResourceTable,
//! }
//!
//! impl NetworkView for State {
//!     fn network(&mut self) -> NetworkCtxView<'_> {
//!         NetworkCtxView { ctx: &mut self.network, table: &mut self.table }
//!     }
//! }
//!
//! # fn example(manager: &Manager) -> wasmtime::Result<()> {
//! let engine = Engine::default();
//! let mut linker = Linker::<State>::new(&engine);
//! wasm::add_to_linker(&mut linker)?;
//!
//! let network = NetworkCtx::builder().network(manager.network()).build();
//! let store = Store::new(&engine, State { network, table: ResourceTable::new() });
//! # let _ = store;
//! # Ok(())
//! # }
//! ```
//!
//! | Module | Contents |
//! |---|---|
//! | [`bindings`] | the code that `bindgen!` generates from the WIT package |
//! | [`xila`] | `xila:network`, one file per WIT interface: look up a resource, call it, convert the result |
//! | [`p2`], [`p3`] | `wasi:sockets` 0.2 and 0.3 in the same way, for programs that do not use `xila:network` |
//! | `http` (with the feature) | `wasi:http` 0.2 and 0.3 and `wasi:tls` over the guest's sockets |
//! | [`command`] | linking of everything that a program imports, and running it |
//! | `sockets` | the sockets that both versions of `wasi:sockets` share |
//! | `clocks` | `wasi:clocks/monotonic-clock` 0.2 and 0.3 on the platform's clock, by which programs wait |
//! | `connections` | connections and listeners that are charged to a guest's quota |
//! | `streams` | the host's ends of `stream<u8>` and `stream<tcp-connection>`, independent of WIT types |
//! | `surroundings` | wall clock and random numbers of a platform, for programs in a simulation |
//! | `units` | conversion of durations and sizes |
//! | `outcome` | passes the end of a stream to the future that was returned with it |
//! | `payload` | charges what the host holds for sends that wait |
//!
//! An error of the guest is returned to it as an error code; a trap means an invalid handle or a bug of the host.
//! Dropping the store closes everything that its guest held. A guest can accumulate handles without a socket behind
//! them (waiting calls, streams). wasmtime allows a hundred thousand of them, and a guest that takes more traps; the
//! embedder allows fewer with
//! [`Store::set_max_component_handles`](wasmtime::Store::set_max_component_handles). The payload of a call that waits to
//! send is charged to the guest's memory. Handles to interfaces and open
//! devices and, in `wasi:sockets` 0.2, to networks, pollables, pairs of datagram streams and results of name queries
//! take a few words each; they are bounded by the capacity of the store's
//! [`ResourceTable`](wasmtime::component::ResourceTable). Sockets, name queries and watches are bounded by the guest's
//! [`Limits`](crate::policy::Limits).

pub mod bindings;
mod clocks;
pub mod command;
mod connections;
mod context;
mod failure;
#[cfg(feature = "http")]
pub mod http;
mod outcome;
pub mod p2;
pub mod p3;
mod payload;
mod sockets;
mod streams;
mod surroundings;
mod units;
pub mod xila;

pub use context::{HasNetwork, NetworkCtx, NetworkCtxBuilder, NetworkCtxView, NetworkView};
pub use failure::Failure;
pub use surroundings::surround;

use wasmtime::component::Linker;

/// Adds the interfaces of the world `xila:network/admin` to `linker`: those of `sockets`, and `control`.
///
/// `control` is linked for every guest, so that a guest which uses it only optionally runs everywhere. It refuses all
/// calls of a guest whose context does not [allow](NetworkCtxBuilder::control) it.
///
/// # Errors
/// If the linker has one of them already.
pub fn add_to_linker<T: NetworkView>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    bindings::types::add_to_linker::<T, HasNetwork>(linker, T::network)?;
    bindings::tcp::add_to_linker::<T, HasNetwork>(linker, T::network)?;
    bindings::udp::add_to_linker::<T, HasNetwork>(linker, T::network)?;
    bindings::icmp::add_to_linker::<T, HasNetwork>(linker, T::network)?;
    bindings::dns::add_to_linker::<T, HasNetwork>(linker, T::network)?;
    bindings::control::add_to_linker::<T, HasNetwork>(linker, T::network)?;
    Ok(())
}
