//! Sockets, with the names and the behaviour of `std::net` and tokio.
//!
//! | Type | Purpose |
//! |---|---|
//! | [`TcpListener`] | accepts connections to a local address |
//! | [`TcpSocket`] | reserves a local address, before it listens or connects |
//! | [`TcpStream`] | one connection; two tasks may use its two halves at once |
//! | [`UdpSocket`] | sends and receives datagrams |
//! | [`IcmpSocket`] | sends echo requests, receives errors that routers and hosts report; [`ping`] sends one echo request |
//! | [`Resolver`] | resolves names by DNS |
//!
//! All of them are made on a [`Network`], the set of interfaces that they may use. None needs a particular async
//! runtime: an operation that waits registers the waker of its task. Dropping a future cancels its operation and loses
//! no data.

mod bound;
pub mod dns;
mod hop_limit;
pub mod icmp;
mod io;
mod listener;
pub(crate) mod network;
pub(crate) mod serving;
mod statistics;
mod tcp;
mod udp;

pub use xila_network_engine::buffer::Budget;
pub use xila_network_engine::tcp::EcnUse;

pub use bound::TcpSocket;
pub use dns::{ResolveError, Resolver, ResolverOptions};
pub use icmp::{IcmpBinding, IcmpMessage, IcmpSocket, PingOptions, PingReply, ping};
pub use listener::{ListenOptions, TcpListener};
pub use network::{GuestOptions, Network};
pub use tcp::{ConnectOptions, Connecting, TcpState, TcpStream};
pub use udp::UdpSocket;

pub use crate::stack::options::{HopLimit, InvalidHopLimit, KeepAlive, OnOutage, TcpOptions, UdpOptions};
pub use crate::stack::udp::{Datagram, UdpStatistics};
pub use statistics::{CongestionAlgorithm, RecoveryState, TcpStatistics};

#[cfg(test)]
mod tests;
