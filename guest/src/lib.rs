//! Async TCP and UDP sockets for WebAssembly apps, on a network of their host's own.
//!
//! The host keeps the network in user space and lends some of its interfaces to the app, through the WIT package
//! `xila:network`. This crate gives that package the shape which users of `std::net` and tokio know:
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
//! Futures of this crate may be dropped at any time. What that means is said at each of them; no bytes, datagrams or
//! connections that have arrived are lost by it.
//!
//! # Features
//!
//! - `futures-io` (default): `AsyncRead`, `AsyncBufRead` and `AsyncWrite` of the crate `futures-io`.
//! - `embedded-io-async`: `Read`, `BufRead` and `Write` of the crate `embedded-io-async`.

mod address;
#[doc(hidden)]
pub mod bindings;
mod error;
mod flight;
mod run;
mod tcp;
mod udp;

pub use error::{Error, Result};
pub use run::{Outcome, spawn, yield_now};
pub use tcp::{
    ConnectOptions, Incoming, KeepAlive, ListenOptions, ReadHalf, TcpListener, TcpOptions, TcpState, TcpStatistics,
    TcpStream, WriteHalf,
};
pub use udp::{Datagram, OutgoingDatagram, UdpOptions, UdpSocket, UdpStatistics};
