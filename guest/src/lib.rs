//! Async sockets, names and interfaces for WebAssembly apps, on a network that their host provides.
//!
//! The host implements the network in user space and lets the app use some of its interfaces, through the WIT package
//! `xila:network`. This crate offers that package with the API that users of `std::net` and tokio know:
//!
//! ```no_run
//! use xila_network::TcpListener;
//!
//! xila_network::main!(run);
//!
//! async fn run() -> xila_network::Result<()> {
//!     let listener = TcpListener::bind(([127, 0, 0, 1], 7))?;
//!     loop {
//!         let (mut stream, peer) = listener.accept().await?;
//!         println!("{peer} is here");
//!         xila_network::spawn(async move {
//!             let mut buffer = [0; 4096];
//!             while let Ok(length @ 1..) = stream.read(&mut buffer).await {
//!                 if stream.write_all(&buffer[..length]).await.is_err() {
//!                     break;
//!                 }
//!             }
//!         });
//!     }
//! }
//! ```
//!
//! Futures of this crate may be dropped at any time. Each function documents the effect; where it names no exception,
//! no bytes, datagrams or connections that have arrived are lost.
//!
//! # Names
//!
//! A peer may always be given as text; [`dns`] queries any other records of name servers.
//!
//! ```no_run
//! # async fn example() -> xila_network::Result<()> {
//! use xila_network::{TcpStream, dns, dns::RecordType};
//!
//! let stream = TcpStream::connect("example.org:80").await?;
//! for record in dns::lookup("example.org", RecordType::MX).await? {
//!     println!("{record}");
//! }
//! # Ok(()) }
//! ```
//!
//! # The path
//!
//! [`ping`] tests whether a host answers; an [`IcmpSocket`] receives the ICMP messages about packets that were sent.
//!
//! ```no_run
//! # async fn example() -> xila_network::Result<()> {
//! let reply = xila_network::ping([192, 0, 2, 1].into()).await?;
//! println!("{} answered after {:?}", reply.source, reply.round_trip_time);
//! # Ok(()) }
//! ```
//!
//! # Interfaces
//!
//! [`control`] inspects and configures the interfaces, if the host permits it.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use xila_network::control::{Interface, watch};
//!
//! for name in Interface::list()? {
//!     println!("{name}: {:?}", Interface::open(&name)?.addresses()?);
//! }
//! Interface::open("eth0")?.add_address("10.0.0.1/24".parse()?)?;
//! let mut changes = watch()?;
//! while let Some(change) = changes.next().await {
//!     println!("{:?}", change?);
//! }
//! # Ok(()) }
//! ```
//!
//! # Features
//!
//! - `futures-io` (default): `AsyncRead`, `AsyncBufRead` and `AsyncWrite` of the crate `futures-io`.
//! - `embedded-io-async`: `Read`, `BufRead` and `Write` of the crate `embedded-io-async`.

mod address;
#[doc(hidden)]
pub mod bindings;
pub mod control;
pub mod dns;
mod error;
mod flight;
mod icmp;
mod run;
mod target;
mod tcp;
mod udp;

pub use address::Family;
pub use error::{Error, Result};
pub use icmp::{
    EchoReply, IcmpBinding, IcmpErrorKind, IcmpMessage, IcmpReport, IcmpSocket, PingOptions, PingReply, ping, ping_with,
};
pub use run::{Outcome, spawn, yield_now};
pub use target::ToSocketAddrs;
pub use tcp::{
    CongestionControl, ConnectOptions, Incoming, KeepAlive, ListenOptions, ReadHalf, RecoveryState, TcpListener,
    TcpOptions, TcpState, TcpStatistics, TcpStream, WriteHalf,
};
pub use udp::{Datagram, OutgoingDatagram, UdpOptions, UdpSocket, UdpStatistics};
