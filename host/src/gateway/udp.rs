//! Mappings of datagrams: each socket of an app has one of the host's (RFC 4787).
//!
//! The mapping does not depend on the destination (REQ-1), so an app is seen at one address by all of its peers. What
//! comes back is taken only from addresses that the app has sent to (REQ-8, address-dependent filtering). A mapping
//! lasts for five minutes after the app's last datagram (REQ-5, REQ-6), or half a minute after the answer of a DNS
//! server. No app takes all mappings: when there are as many as may be, a new one takes the place of another one of the
//! address that has most.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use tokio::net::UdpSocket;
use xila_network_engine::ip::icmp::write::Reason;

use super::Shared;
use super::error_queue::{self, Told};
use super::failure::Failure;
use super::front::Octets;
use super::mapping::{self, HopLimit, carry};
use super::queues::{Queues, Share};
use super::reply::Replies;
use crate::address::Family;
use crate::device::intercepted::Injector;
use crate::platform::Instant;

/// The mappings of a gateway.
pub(super) struct Mappings {
    shared: Arc<Shared>,
    replies: Replies,
    injector: Injector,
    /// The queues by the app's end.
    queues: Queues<SocketAddr, Outbound>,
}

/// A packet of an app with one datagram or several.
pub(super) struct Outbound {
    pub(super) destination: SocketAddr,
    /// The IP packet.
    pub(super) packet: Octets,
    /// Where its payload is.
    pub(super) payload: Range<usize>,
    /// The length of each datagram but the last one, if there are several; otherwise that of the payload.
    pub(super) segment: usize,
}

/// The most mappings at one time.
const MOST: usize = 4096;
/// The most packets of an app that wait for the host's socket, and the most bytes.
const QUEUE: usize = 128;
const BYTES: usize = 1 << 20;
/// The most peers of one mapping that are heard. Beyond that, the one that was spoken to first is forgotten.
const PEERS: usize = 256;
/// The port of DNS servers: clients use a new port for each question, and there is one answer.
const DNS: u16 = 53;
/// How long a mapping for DNS lasts after an answer. RFC 4787 REQ-5 allows less than two minutes for well-known ports.
const ANSWERED: Duration = Duration::from_secs(30);
/// How long a destination stays admitted. The host may have got the address meanwhile.
const ADMITTED: Duration = Duration::from_secs(1);

impl Mappings {
    pub(super) fn new(shared: Arc<Shared>, replies: Replies, injector: Injector) -> Self {
        let share = Share { owner: SocketAddr::ip, size: |outbound: &Outbound| outbound.packet.len(), bytes: BYTES };
        let queues = Queues::new(MOST, QUEUE, share);
        Self { shared, replies, injector, queues }
    }

    /// Sends a datagram of `app` to the outside.
    pub(super) fn send(&self, app: SocketAddr, outbound: Outbound) {
        if let Some(queue) = self.queues.send(app, outbound) {
            let (shared, replies) = (self.shared.clone(), self.replies.clone());
            let clock = shared.platform.clock.clone();
            let mapping = Mapping {
                shared,
                replies,
                injector: self.injector.clone(),
                app,
                peers: VecDeque::new(),
                admitted: None,
                hop_limit: HopLimit::default(),
                is_for_dns: true,
            };
            self.shared.spawn(async move { carry(mapping, queue, &*clock).await });
        }
    }
}

/// One mapping.
struct Mapping {
    shared: Arc<Shared>,
    replies: Replies,
    injector: Injector,
    app: SocketAddr,
    /// The addresses that are heard, the one that was spoken to last at the end.
    peers: VecDeque<IpAddr>,
    /// The destination that was admitted last, and when: to ask again for each datagram would cost more than to send it.
    admitted: Option<(SocketAddr, Instant)>,
    hop_limit: HopLimit,
    /// Whether the app has sent to DNS servers only.
    is_for_dns: bool,
}

impl mapping::Mapping for Mapping {
    type App = SocketAddr;
    type Packet = Outbound;

    const IDLE: Duration = Duration::from_secs(300);

    fn open(&self) -> io::Result<UdpSocket> {
        let family = self.app.ip();
        let socket = std::net::UdpSocket::bind((Family::of(family).unspecified(), 0))?;
        socket.set_nonblocking(true)?;
        error_queue::enable(&socket, family)?;
        UdpSocket::from_std(socket)
    }

    async fn send(&mut self, socket: &UdpSocket, outbound: Outbound) {
        let (app, destination) = (self.app, outbound.destination);
        let target = if self.shared.router.is(destination.ip()) {
            // The gateway's own sockets come first: behind a published port, this may be the app's answer.
            if self.shared.has_udp_socket(destination)
                && let Octets::Framed(frame) = outbound.packet
            {
                // If it finds no room it is lost, as in any queue of a router.
                self.injector.to_stack(frame);
                return;
            }
            self.shared.outside.on_loopback(destination).ok_or((Some(destination.ip()), Failure::Refused))
        } else {
            self.admit(destination).map(|()| destination).map_err(|failure| (None, failure))
        };
        let target = match target {
            Ok(target) => target,
            Err((_, Failure::Silence)) => return,
            Err((from, Failure::Report(reason))) => {
                return self.replies.report(&outbound.packet, app.ip(), from, reason);
            }
            Err((from, Failure::Refused)) => {
                return self.replies.report(&outbound.packet, app.ip(), from, Reason::PortUnreachable);
            }
        };
        if let Err(error) = self.hop_limit.pass_on(socket, target.ip(), outbound.packet.hop_limit()) {
            return tracing::warn!(%app, %error, "the hop limit of the gateway's socket cannot be set");
        }
        self.hear(target.ip());
        self.is_for_dns &= target.port() == DNS;
        let payload = outbound.packet.get(outbound.payload.clone()).unwrap_or_default();
        // A datagram without payload is one, too.
        let datagrams: &mut dyn Iterator<Item = &[u8]> = if payload.is_empty() {
            &mut core::iter::once(payload)
        } else {
            &mut payload.chunks(outbound.segment.max(1))
        };
        let mut datagrams: Vec<&[u8]> = datagrams.collect();
        datagrams.reverse();
        // A socket returns the error of an earlier datagram once, and has not sent then.
        let mut patience = 2;
        while let Some(datagram) = datagrams.last() {
            match socket.send_to(datagram, target).await {
                Ok(_) => {
                    datagrams.pop();
                }
                Err(error) => {
                    let told = self.tell_errors(socket);
                    patience -= 1;
                    if told && patience > 0 {
                        continue;
                    }
                    let reason = match Failure::from(&error) {
                        Failure::Report(reason) => reason,
                        Failure::Refused => Reason::PortUnreachable,
                        Failure::Silence => return,
                    };
                    return self.report(&outbound, reason);
                }
            }
        }
    }

    fn pass(&mut self, peer: SocketAddr, data: &[u8]) {
        if self.peers.contains(&peer.ip()) {
            self.replies.datagram(self.as_seen(peer), self.app, data);
        } else {
            tracing::debug!(app = %self.app, "a datagram of a stranger is dropped at the gateway");
        }
    }

    fn idle_after_answer(&self) -> Option<Duration> {
        self.is_for_dns.then_some(ANSWERED)
    }

    fn tell_errors(&mut self, socket: &UdpSocket) -> bool {
        error_queue::drain(socket, |Told { destination, from, reason, payload }| {
            let destination = self.as_seen(destination);
            // A port is unreachable by the word of the host itself.
            let from = if reason == Reason::PortUnreachable { Some(destination.ip()) } else { from };
            self.replies.report_datagram(self.app, destination, &payload, from.map(|it| self.seen(it)), reason);
        })
    }

    fn report(&self, outbound: &Outbound, reason: Reason) {
        self.replies.report(&outbound.packet, self.app.ip(), None, reason);
    }
}

impl Mapping {
    /// Whether a datagram may be sent to a destination outside.
    fn admit(&mut self, destination: SocketAddr) -> Result<(), Failure> {
        let now = self.shared.platform.clock.now();
        if self.admitted.is_some_and(|(known, at)| known == destination && now < at + ADMITTED) {
            return Ok(());
        }
        if self.shared.outside.admits(destination).map_err(|error| Failure::from(&error))? {
            self.admitted = Some((destination, now));
            return Ok(());
        }
        tracing::debug!(app = %self.app, %destination, "the gateway does not lead there");
        Err(Failure::Report(Reason::Prohibited))
    }

    /// Hears a peer from now on.
    fn hear(&mut self, peer: IpAddr) {
        if self.peers.back() == Some(&peer) {
            return;
        }
        self.peers.retain(|known| *known != peer);
        if self.peers.len() >= PEERS {
            self.peers.pop_front();
        }
        self.peers.push_back(peer);
    }

    /// The address by which the app knows a peer: the gateway's for the host's loopback.
    fn as_seen(&self, peer: SocketAddr) -> SocketAddr {
        SocketAddr::new(self.seen(peer.ip()), peer.port())
    }

    fn seen(&self, peer: IpAddr) -> IpAddr {
        if peer.is_loopback() { self.shared.router.of_family(peer) } else { peer }
    }
}
