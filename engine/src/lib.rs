//! A TCP/IP engine for one interface, sans-IO.
//!
//! The engine holds no lock, waker, device, task or clock. Time, randomness and room for packets are arguments; what
//! happened is returned, or told as [events](event::Event). So it runs the same under a host's lock, in a simulation
//! under virtual time and in a fuzzer. Of smoltcp it uses `wire` only: header fields and checksums.
//!
//! | Room | Holds |
//! |---|---|
//! | [`engine`] | [`Engine`]: all of it, for one interface |
//! | [`tcp`] | connections, listeners, and what is left of them |
//! | [`udp`], [`icmp`] | ports, and the datagrams that wait at them; who is told of echoes and errors |
//! | [`interface`] | this host on its link: addresses, neighbours, and the way out |
//! | [`configure`] | addresses, routes and names from the link's servers and routers |
//! | [`link`] | who is on the link: hardware addresses, multicast groups |
//! | [`ip`] | addresses and routes, headers, fragments, errors |
//! | [`wire`], [`frame`] | one parse for each packet, one emit; the seam to the device |
//! | [`buffer`] | bytes that wait, and the ranges that arrived out of order |
//! | [`timers`] | alarms by key |
//! | [`random`] | a keyed generator that every draw goes through |
//! | [`slots`] | tables by keys that are never mistaken |
//! | [`time`] | instants on a monotonic time line |
//! | [`event`] | what the shell is told |

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
pub mod random;
pub mod slots;
pub mod tcp;
pub mod time;
pub mod timers;
pub mod udp;
pub mod wire;

pub use engine::Engine;
