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

    /// How long the mapping lasts after the latest answer, if that is less than after a packet of the app.
    fn idle_after_answer(&self) -> Option<Duration> {
        None
    }

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
            if let Failure::Report(reason) = Failure::from(&error)
                && let Some(packet) = queue.next().await
            {
                mapping.report(&packet, reason);
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
                // Its place is another mapping's now.
                let Some(packet) = packet else { return };
                mapping.send(&socket, packet).await;
                timer.set(Some(clock.now() + M::IDLE));
            }
            ready = socket.ready(Interest::READABLE | Interest::ERROR) => {
                if let Err(error) = ready {
                    tracing::warn!(%error, "the gateway's socket for an app fails");
                    return;
                }
                if receive(&mut mapping, &socket, &mut buffer)
                    && let Some(idle) = mapping.idle_after_answer()
                {
                    timer.set(Some(clock.now() + idle));
                }
            }
            () = poll_fn(|context| timer.poll(context)) => return,
        }
    }
}

/// Passes on everything that has arrived. Returns whether something has.
fn receive(mapping: &mut impl Mapping, socket: &UdpSocket, buffer: &mut [u8]) -> bool {
    let mut any = false;
    loop {
        match socket.try_recv_from(buffer) {
            Ok((length, peer)) => {
                any = true;
                mapping.pass(peer, &buffer[..length]);
            }
            Err(error) => {
                // It may be the error of a packet that was sent; the queue of errors says more.
                mapping.tell_errors(socket);
                if error.kind() == io::ErrorKind::WouldBlock {
                    return any;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::queues::Queues;
    use crate::gateway::tests::leaping::{Leaping, leap_until};

    /// Sends to `peer`, which answers nothing or at once.
    struct Asking {
        peer: std::net::UdpSocket,
        is_answered: bool,
    }

    impl Mapping for Asking {
        type App = u8;
        type Packet = ();
        const IDLE: Duration = Duration::from_secs(300);

        fn open(&self) -> io::Result<UdpSocket> {
            let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
            socket.set_nonblocking(true)?;
            UdpSocket::from_std(socket)
        }

        async fn send(&mut self, socket: &UdpSocket, (): ()) {
            if self.is_answered {
                self.peer.send_to(b"answer", socket.local_addr().expect("an address")).expect("room");
            }
        }

        fn pass(&mut self, _: SocketAddr, _: &[u8]) {}

        fn idle_after_answer(&self) -> Option<Duration> {
            Some(Duration::from_secs(30))
        }

        fn tell_errors(&mut self, _: &UdpSocket) -> bool {
            false
        }

        fn report(&self, (): &(), _: Reason) {}
    }

    /// A table for one queue of one item.
    fn table() -> Queues<u8, ()> {
        let share = crate::gateway::queues::Share { owner: |_: &u8| [10, 0, 2, 15].into(), size: |()| 1, bytes: 10 };
        Queues::new(1, 1, share)
    }

    #[tokio::test]
    async fn a_mapping_ends_some_time_after_the_last_packet_or_sooner_after_an_answer() {
        for (is_answered, expected) in [(false, 300..330), (true, 30..150)] {
            let (platform, leaps) = Leaping::platform();
            let queues = table();
            let queue = queues.send(1, ()).expect("a new queue");
            let peer = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
            let carried = carry(Asking { peer, is_answered }, queue, &*platform.clock);
            let ((), seconds) = leap_until(&leaps, carried).await;
            assert!(expected.contains(&seconds), "{is_answered}: {seconds}");
            assert!(queues.send(1, ()).is_some(), "its place is free again");
        }
    }

    #[tokio::test]
    async fn a_mapping_whose_place_is_given_away_ends() {
        let (platform, _) = Leaping::platform();
        let queues = table();
        let first = queues.send(1, ()).expect("a new queue");
        let _second = queues.send(2, ()).expect("the first one gives way");
        let peer = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
        carry(Asking { peer, is_answered: false }, first, &*platform.clock).await;
    }
}
