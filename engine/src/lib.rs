//! A sans-IO TCP/IP engine for one network interface.
//!
//! The engine owns no lock, waker, device, task or clock. The caller passes in the time, the randomness and the buffers
//! for packets. The engine reports what happened by return values and by [events](event::Event). So the same code runs
//! under a host's lock, in a simulation with virtual time and in a fuzzer. Of smoltcp it uses only `wire`: header
//! fields and checksums.
//!
//! | Module | Contents |
//! |---|---|
//! | [`engine`] | [`Engine`]: the complete stack of one interface |
//! | [`tcp`] | connections, listeners and TIME-WAIT records |
//! | [`udp`], [`icmp`] | UDP ports and their queues of datagrams; sockets that receive echo replies and ICMP errors |
//! | [`interface`] | this host on its link: addresses, neighbours, and the output of packets |
//! | [`configure`] | addresses, routes and DNS servers learned from DHCP servers and routers |
//! | [`link`] | hardware addresses of neighbours (ARP, NDP), multicast groups (IGMP, MLD) |
//! | [`ip`] | addresses and routes, headers, fragments, ICMP errors |
//! | [`wire`], [`frame`] | parsing and emitting of packets; the boundary to the device |
//! | [`buffer`] | send and receive buffers, and the ranges that arrived out of order |
//! | [`timers`] | one alarm per slot, ordered by time |
//! | [`ports`] | owners of sockets; ports and echo identifiers, and how many one owner may use |
//! | [`random`] | the random generator and the keyed hash |
//! | [`slots`] | tables whose keys are never reused |
//! | [`time`] | instants on a monotonic time line |
//! | [`event`] | events for the shell, the code that drives the engine |

#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod buffer;
pub mod configure;
pub mod engine;
pub mod event;
pub mod frame;
pub mod icmp;
pub mod interface;
pub mod ip;
pub mod link;
mod pages;
pub mod ports;
pub mod random;
mod shares;
pub mod slots;
pub mod tcp;
pub mod time;
pub mod timers;
pub mod udp;
pub mod wire;

pub use engine::Engine;
