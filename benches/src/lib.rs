//! Code that the benchmarks share.
//!
//! | Module | Holds |
//! |---|---|
//! | [`apps`] | pairs of components, run by a command, and the figures that they print |
//! | [`gateways`] | a program that reaches a server through our gateway, passt's or slirp4netns' |
//! | [`link`] | the in-memory link that our stack and raw smoltcp are both measured on |
//! | [`links`] | two namespaces with a lossy link between them, to compare our TCP with the kernel's |
//! | [`ours`] | our stack on that link, beside idle sockets |
//! | [`pair`] | two tasks on tokio that talk over our loopback or the kernel's |
//! | [`raw`] | raw smoltcp on that link: one interface, and one socket set with all sockets, idle ones included |
//! | [`report`] | tables of results, medians and quantiles |
//! | [`requests`] | requests by `wasi:http`: sent by a component, and answered by one |
//! | [`taps`] | a program and the kernel, over a TAP device or a veth pair |
//! | [`veth`] | two namespaces that are joined |

pub mod apps;
#[cfg(target_os = "linux")]
pub mod gateways;
pub mod link;
#[cfg(target_os = "linux")]
pub mod links;
pub mod ours;
pub mod pair;
pub mod raw;
pub mod report;
#[cfg(target_os = "linux")]
pub mod requests;
#[cfg(target_os = "linux")]
pub mod taps;
#[cfg(target_os = "linux")]
pub mod veth;

use core::net::Ipv4Addr;

/// The address of both stacks in the idle-socket benchmark.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// The prefix length of [`ADDRESS`].
pub const PREFIX: u8 = 8;
/// The size of each buffer of busy sockets: a capacity that smoltcp's window scale can represent exactly.
pub const BUFFER: usize = 2 * 65535;
/// The size of each buffer of idle sockets, small enough that 10,000 of them fit into the memory of any machine.
pub const IDLE_BUFFER: usize = 4096;
/// The number of bytes that one call writes or reads.
pub const CHUNK: usize = 64 * 1024;
