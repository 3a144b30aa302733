//! What the benchmarks share.
//!
//! | Module | Holds |
//! |---|---|
//! | [`apps`] | pairs of components, run by a command, and what they say of how fast they were |
//! | [`link`] | the in-memory link that our stack and raw smoltcp are both measured on |
//! | [`links`] | two namespaces with a lossy link between them, for our TCP beside the kernel's |
//! | [`ours`] | our stack on it, beside idle sockets |
//! | [`pair`] | two tasks on tokio that talk over our loopback or the kernel's |
//! | [`raw`] | raw smoltcp on it: one interface and one set with every socket, idle ones included |
//! | [`report`] | tables of results, medians and quantiles |
//! | [`taps`] | a program and the kernel, over a TAP device or a veth pair |

pub mod apps;
pub mod link;
#[cfg(target_os = "linux")]
pub mod links;
pub mod ours;
pub mod pair;
pub mod raw;
pub mod report;
#[cfg(target_os = "linux")]
pub mod taps;

use core::net::Ipv4Addr;

/// The address that both stacks of the idle-socket benchmark have, with its prefix.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// See [`ADDRESS`].
pub const PREFIX: u8 = 8;
/// The buffers of sockets that work, each way: a capacity that smoltcp's window scale can say exactly.
pub const BUFFER: usize = 2 * 65535;
/// The buffers of sockets that idle, so that 10,000 of them fit into any machine.
pub const IDLE_BUFFER: usize = 4096;
/// What is written, and read, at once.
pub const CHUNK: usize = 64 * 1024;
