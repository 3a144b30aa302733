//! Sockets, with the names and manners of `std::net` and tokio.
//!
//! | Socket | Is |
//! |---|---|
//! | [`TcpListener`] | a queue of connections to a local address |
//! | [`TcpSocket`] | a local address that is neither listened on nor connected yet |
//! | [`TcpStream`] | one connection; both halves are usable from two tasks at once |
//! | [`UdpSocket`] | datagrams |
//! | [`IcmpSocket`] | echo requests, and the errors that the path reports; [`ping`] for one echo |
//! | [`Resolver`] | names |
//!
//! All are made on a [`Network`], the interfaces that they may use. None needs a particular async runtime: what waits
//! registers the waker of its task. Dropping a future cancels its operation and loses nothing.

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

pub use bound::TcpSocket;
pub use dns::{ResolveError, Resolver, ResolverOptions};
pub use icmp::{IcmpBinding, IcmpMessage, IcmpSocket, PingOptions, PingReply, ping};
pub use listener::{ListenOptions, TcpListener};
pub use network::Network;
pub use tcp::{ConnectOptions, Connecting, TcpState, TcpStream};
pub use udp::UdpSocket;

pub use crate::stack::options::{HopLimit, InvalidHopLimit, KeepAlive, TcpOptions, UdpOptions};
pub use crate::stack::udp::{Datagram, UdpStatistics};
pub use statistics::{CongestionAlgorithm, RecoveryState, TcpStatistics};
pub use xila_network_engine::buffer::Budget;
pub use xila_network_engine::tcp::EcnUse;
