//! What mappings of datagrams and of echo requests have in common: a socket of the host, a queue of what the app sends,
//! and an end some time after its last packet.

use core::future::{Future, poll_fn};
use core::hash::Hash;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::io;

use nix::sys::socket::{setsockopt, sockopt};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use xila_network_engine::ip::icmp::write::Reason;

use super::failure::Failure;
use super::queues::Queue;
use crate::platform::Clock;

/// A mapping.
pub(super) trait Mapping: Send + 'static {
    /// The end of the app.
    type App: Copy + Eq + Hash + Send;
    /// A packet of the app.
    type Packet: Send;
    /// How long a mapping lasts without a packet of the app.
    const IDLE: Duration;

    /// Opens the host's socket, which keeps the errors that it is told.
    fn open(&self) -> io::Result<UdpSocket>;

    /// Sends a packet of the app to the outside.
    fn send(&mut self, socket: &UdpSocket, packet: Self::Packet) -> impl Future<Output = ()> + Send;

    /// Passes on what has come from the outside.
    fn pass(&mut self, peer: SocketAddr, data: &[u8]);

    /// Tells the app the errors that the host has received about its packets. Returns whether there were any.
    fn tell_errors(&mut self, socket: &UdpSocket) -> bool;

    /// Reports to the app, as the gateway, why a packet did not leave.
    fn report(&self, packet: &Self::Packet, reason: Reason);
}

/// The hop limit, or time to live, of what a socket of the host sends.
#[derive(Debug, Default)]
pub(super) struct HopLimit(Option<u8>);

impl HopLimit {
    /// Sets it for passing on a packet that came with `received` from an app: one less, as a router does. On this host
    /// itself, that may be the last one.
    pub(super) fn pass_on(&mut self, socket: &UdpSocket, family: IpAddr, received: u8) -> io::Result<()> {
        let hops = received.saturating_sub(1).max(1);
        if self.0 != Some(hops) {
            match family {
                IpAddr::V4(_) => setsockopt(socket, sockopt::Ipv4Ttl, &hops.into())?,
                IpAddr::V6(_) => setsockopt(socket, sockopt::Ipv6Ttl, &hops.into())?,
            }
            self.0 = Some(hops);
        }
        Ok(())
    }
}

/// The longest payload of a datagram.
const LONGEST: usize = 65535;

/// Carries the packets of a mapping in both directions until it ends.
pub(super) async fn carry<M: Mapping>(mut mapping: M, mut queue: Queue<M::App, M::Packet>, clock: &dyn Clock) {
    let socket = match mapping.open() {
        Ok(socket) => socket,
        Err(error) => {
            if let Failure::Report(reason) = Failure::from(&error) {
                mapping.report(&queue.next().await, reason);
            }
            return;
        }
    };
    let mut buffer = vec![0; LONGEST];
    let mut timer = clock.timer();
    timer.set(Some(clock.now() + M::IDLE));
    loop {
        tokio::select! {
            packet = queue.next() => {
                mapping.send(&socket, packet).await;
                timer.set(Some(clock.now() + M::IDLE));
            }
            ready = socket.ready(Interest::READABLE | Interest::ERROR) => {
                if let Err(error) = ready {
                    tracing::warn!(%error, "the gateway's socket for an app fails");
                    return;
                }
                receive(&mut mapping, &socket, &mut buffer);
            }
            () = poll_fn(|context| timer.poll(context)) => return,
        }
    }
}

/// Passes on everything that has arrived.
fn receive(mapping: &mut impl Mapping, socket: &UdpSocket, buffer: &mut [u8]) {
    loop {
        match socket.try_recv_from(buffer) {
            Ok((length, peer)) => mapping.pass(peer, &buffer[..length]),
            Err(error) => {
                // It may be the error of a packet that was sent; the queue of errors says more.
                mapping.tell_errors(socket);
                if error.kind() == io::ErrorKind::WouldBlock {
                    return;
                }
            }
        }
    }
}
