//! The WIT package `xila:network`, and `wasi:sockets`, for components that run in wasmtime.
//!
//! Shaped like wasmtime's own host crates: a [`NetworkCtx`] says what one guest may use, the store's data implements
//! [`NetworkView`] to hand it out, and [`add_to_linker`] puts the interfaces of the world `admin` into a linker.
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
//! | Module | Holds |
//! |---|---|
//! | [`bindings`] | what `bindgen!` makes of the WIT package |
//! | [`xila`] | `xila:network`, one file per WIT interface: look up, call, convert |
//! | [`p2`], [`p3`] | `wasi:sockets` 0.2 and 0.3 in the same way, for programs that know nothing of this project |
//! | [`command`] | everything that a program imports, and how it is run |
//! | `sockets` | what both versions of `wasi:sockets` say |
//! | `clocks` | how programs wait: `wasi:clocks/monotonic-clock` 0.2 and 0.3 on the platform's clock |
//! | `connections` | connections and listeners with their places in a guest's quota |
//! | `streams` | the host's ends of `stream<u8>` and `stream<tcp-connection>`, which know nothing of WIT types |
//! | `surroundings` | the calendar and random numbers of a platform, for programs in a simulation |
//! | `units` | durations and sizes |
//! | `outcome` | how a stream's end reaches the future beside it |
//!
//! What a guest does wrong is an error code for it; a trap means a stale handle or a mistake of the host. Dropping the
//! store closes everything that its guest held. The handles that a guest can pile up without any socket behind them
//! (waiting calls, streams) are bounded by the embedder, with
//! [`Store::concurrent_resource_table`](wasmtime::Store::concurrent_resource_table). The handles to interfaces and open
//! devices and, in `wasi:sockets` 0.2, to networks, pollables, pairs of datagram streams and names that were found, a few
//! words each, are bounded by the capacity of the store's [`ResourceTable`](wasmtime::component::ResourceTable); sockets,
//! name queries and watches by the guest's [`Limits`](crate::policy::Limits).

pub mod bindings;
mod clocks;
pub mod command;
mod connections;
mod context;
mod failure;
mod outcome;
pub mod p2;
pub mod p3;
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
/// `control` is there for every guest, so that one that merely can do more with it runs everywhere; it refuses all calls
/// of a guest whose context does not [allow](NetworkCtxBuilder::control) it.
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
