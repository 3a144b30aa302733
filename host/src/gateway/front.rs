//! The first look at each frame of the apps: packets for the outside are handed to the parts of the gateway that carry
//! them, and the rest goes to the gateway's own stack.

use core::net::{IpAddr, SocketAddr};
use core::ops::{Deref, Range};
use std::sync::Arc;

use smoltcp::wire::{IpProtocol, TcpPacket};
use xila_network_engine::ip::headers::{Packet, Refusal};
use xila_network_engine::ip::icmp::Message;
use xila_network_engine::ip::icmp::write::Reason;
use xila_network_engine::ip::reassembly::{Outcome, Reassembly};
use xila_network_engine::random::{Random, Secret};
use xila_network_engine::udp::datagram;
use xila_network_engine::wire::{self, IPV4_HEADER, IPV6_HEADER};

use super::echo::{Echoes, Request};
use super::outside::Outside;
use super::reply::Replies;
use super::tcp::Connections;
use super::udp::{Mappings, Outbound};
use super::{Router, Shared};
use crate::address::{MacAddress, is_unicast};
use crate::device::intercepted::{Injector, Interceptor};
use crate::device::{ETHERNET_HEADER, Frame};
use crate::platform::Instant;

/// See the [module](self).
pub(super) struct Front {
    hardware: MacAddress,
    router: Router,
    outside: Outside,
    reassembly: Reassembly,
    injector: Injector,
    /// The station that has sent the present frame.
    station: [u8; 6],
    connections: Arc<Connections>,
    mappings: Mappings,
    echoes: Echoes,
    replies: Replies,
}

/// The bytes of an IP packet.
pub(super) enum Octets {
    /// Those of a frame, after its Ethernet header.
    Framed(Frame),
    /// Those of a packet that came in fragments.
    Whole(Vec<u8>),
}

impl Deref for Octets {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Framed(frame) => frame.get(ETHERNET_HEADER..).unwrap_or_default(),
            Self::Whole(packet) => packet,
        }
    }
}

impl Octets {
    /// The hop limit, or time to live, of a packet that [was read](Packet::parse).
    pub(super) fn hop_limit(&self) -> u8 {
        let (v4, v6) = (self.get(8), self.get(7));
        let is_v4 = self.first().is_some_and(|octet| octet >> 4 == 4);
        if is_v4 { v4 } else { v6 }.copied().unwrap_or(u8::MAX)
    }
}

/// What a packet is.
enum Kind {
    /// For the gateway's own stack.
    Own,
    /// Handled, or dropped.
    Done,
    /// A fragment of a packet.
    Fragment,
    Syn {
        ends: (SocketAddr, SocketAddr),
        segment_at: usize,
    },
    Datagram {
        app: SocketAddr,
        destination: SocketAddr,
        payload: Range<usize>,
    },
    Echo {
        app: IpAddr,
        destination: IpAddr,
        identifier: u16,
        sequence: u16,
        payload: Range<usize>,
    },
    /// A packet that is not forwarded, and why.
    Refused {
        app: IpAddr,
        reason: Reason,
    },
}

impl Front {
    /// The front of a gateway with this hardware address.
    pub(super) fn new(
        shared: &Arc<Shared>,
        hardware: MacAddress,
        injector: Injector,
        connections: Arc<Connections>,
        replies: Replies,
    ) -> Self {
        let mut seed = [0; 32];
        shared.platform.random.fill(&mut seed);
        Self {
            hardware,
            router: shared.router,
            outside: shared.outside.clone(),
            reassembly: Reassembly::new(&Secret::new(&mut Random::new(seed))),
            mappings: Mappings::new(shared.clone(), replies.clone(), injector.clone()),
            injector,
            station: [0; 6],
            connections,
            echoes: Echoes::new(shared.clone(), replies.clone()),
            replies,
        }
    }

    /// Finds out what a packet is. `segment_is_verified` says that its transport checksum is right or not computed.
    fn classify(&self, packet: &[u8], is_verified: bool) -> Kind {
        let read = match Packet::parse(packet, true) {
            Ok(read) => read,
            // The stack knows what to answer, and counts it.
            Err(Refusal::Malformed | Refusal::NotForEndHost | Refusal::Problem { .. }) => return Kind::Own,
        };
        let Packet { source, destination, protocol, hop_limit, .. } = read;
        let is_own = self.router.is(destination);
        if self.router.is_near(destination) && !is_own {
            // The stack takes every connection that reaches it, and to these addresses the gateway has none.
            let is_tcp = protocol == IpProtocol::Tcp && !read.needs_reassembly() && is_unicast(destination);
            return is_tcp.then(|| syn(&read, is_verified)).flatten().unwrap_or(Kind::Own);
        }
        if !is_own && hop_limit <= 1 {
            return Kind::Refused { app: source, reason: Reason::HopLimitExceeded };
        }
        if read.needs_reassembly() {
            return Kind::Fragment;
        }
        let (payload, at) = (read.payload(), read.payload_at);
        match (protocol, source) {
            (IpProtocol::Tcp, _) => match syn(&read, is_verified) {
                Some(Kind::Syn { ends, .. }) if is_own && ends.1.port() == DNS => Kind::Own,
                syn => syn.unwrap_or(Kind::Own),
            },
            (IpProtocol::Udp, _) => match datagram::read(source, destination, payload, !is_verified) {
                // The gateway's own sockets: its services, and those that carry published ports.
                Ok(read) if is_own && self.outside.on_loopback(read.destination).is_none() => Kind::Own,
                Ok(read) if is_own && [DNS, DHCP].contains(&read.destination.port()) => Kind::Own,
                Ok(read) => {
                    let start = at + datagram::HEADER;
                    let payload = start..start + read.payload.len();
                    Kind::Datagram { app: read.source, destination: read.destination, payload }
                }
                // The stack drops it, and counts it.
                Err(_) => Kind::Own,
            },
            _ if is_own => Kind::Own,
            (IpProtocol::Icmp, IpAddr::V4(_)) | (IpProtocol::Icmpv6, IpAddr::V6(_)) => {
                match Message::read(source, destination, payload, true) {
                    Ok(Message::EchoRequest(echo)) => {
                        let end = at + payload.len();
                        let (identifier, sequence) = (echo.identifier, echo.sequence);
                        let payload = end - echo.payload.len()..end;
                        Kind::Echo { app: source, destination, identifier, sequence, payload }
                    }
                    // Errors about what the outside has sent have no way to it: a host's sockets send none.
                    _ => Kind::Done,
                }
            }
            _ => {
                let pointer = u32::try_from(read.protocol_at).unwrap_or(u32::MAX);
                Kind::Refused { app: source, reason: Reason::ProtocolUnreachable { pointer } }
            }
        }
    }

    /// The frame of a packet. `None` for one that was put together and is longer than the link's frames.
    fn frame(&self, packet: Octets) -> Option<Frame> {
        match self.framed(packet) {
            Octets::Framed(frame) => Some(frame),
            Octets::Whole(_) => None,
        }
    }

    fn frame_of(&self, packet: &[u8]) -> Frame {
        let mut frame = self.injector.frame(ETHERNET_HEADER + packet.len());
        let kind = if packet.first().is_some_and(|octet| octet >> 4 == 4) { [0x08, 0x00] } else { [0x86, 0xdd] };
        let hardware = self.hardware.octets();
        let header = [&hardware[..], &self.station, &kind].concat();
        frame[..ETHERNET_HEADER].copy_from_slice(&header);
        frame[ETHERNET_HEADER..].copy_from_slice(packet);
        frame
    }

    /// A packet in a frame, so that the stack can take it; unchanged, if it is too long for one.
    fn framed(&self, packet: Octets) -> Octets {
        match packet {
            Octets::Whole(packet) if ETHERNET_HEADER + packet.len() <= self.injector.longest() => {
                Octets::Framed(self.frame_of(&packet))
            }
            packet => packet,
        }
    }

    /// Handles a packet. Returns it if it is for the gateway's own stack.
    fn handle(&mut self, packet: Octets, is_verified: bool, segment: usize, now: Instant) -> Option<Octets> {
        match self.classify(&packet, is_verified) {
            Kind::Own => Some(packet),
            Kind::Done => None,
            Kind::Refused { app, reason } => {
                let replies = self.replies.clone();
                replies.later(move |replies| replies.report(&packet, app, None, reason));
                None
            }
            Kind::Fragment => {
                let read = Packet::parse(&packet, false).ok()?;
                while self.reassembly.expire(now).is_some() {}
                match self.reassembly.add(&read, now) {
                    Outcome::Whole(whole) => self.handle(Octets::Whole(whole), false, 0, now),
                    Outcome::Pending | Outcome::Refused(_) | Outcome::Dropped(_) => None,
                }
            }
            Kind::Syn { ends, segment_at } => {
                let frame = self.frame(packet)?;
                self.connections.syn(frame, segment_at, ends).map(Octets::Framed)
            }
            Kind::Datagram { app, destination, payload } => {
                let packet = if self.router.is(destination.ip()) { self.framed(packet) } else { packet };
                let segment = if segment == 0 { payload.len() } else { segment };
                self.mappings.send(app, Outbound { destination, packet, payload, segment });
                None
            }
            Kind::Echo { app, destination, identifier, sequence, payload } => {
                self.echoes.send(app, identifier, Request { destination, sequence, packet, payload });
                None
            }
        }
    }
}

/// The port of DNS servers, over UDP and TCP.
const DNS: u16 = 53;
/// The port of DHCP servers.
const DHCP: u16 = 67;

impl Interceptor for Front {
    fn intercept(&mut self, now: Instant, frame: Frame) -> Option<Frame> {
        let head = frame.head();
        let is_for_us = head.get(..6).is_some_and(|to| to == self.hardware.octets());
        // What is sent to all is for the network of the apps, and so is all but IP.
        let is_ip = matches!(head.get(12..ETHERNET_HEADER), Some([0x08, 0x00] | [0x86, 0xdd]));
        if !is_for_us || !is_ip || is_of_connection(head.get(ETHERNET_HEADER..).unwrap_or_default()) {
            return Some(frame);
        }
        let (is_verified, segment) = (frame.is_unchecked(), frame.segment().unwrap_or(0));
        self.station = head.get(6..12).and_then(|from| from.try_into().ok()).unwrap_or_default();
        let own = self.handle(Octets::Framed(frame), is_verified, segment, now)?;
        self.frame(own)
    }
}

/// What a TCP segment is if it begins a connection; `None` if it does not.
fn syn(read: &Packet<'_>, is_verified: bool) -> Option<Kind> {
    let Packet { source, destination, payload_at, .. } = *read;
    let segment = TcpPacket::new_checked(read.payload()).ok()?;
    let ends = [(source, segment.src_port()), (destination, segment.dst_port())];
    let [app, peer] = ends.map(|(address, port)| SocketAddr::new(address, port));
    let is_right = is_verified || segment.verify_checksum(&source.into(), &destination.into());
    let begins = segment.syn() && !segment.ack() && !segment.rst() && is_right;
    begins.then_some(Kind::Syn { ends: (app, peer), segment_at: payload_at })
}

/// Whether a packet is plainly a TCP segment that does not begin a connection, as most packets are.
fn is_of_connection(packet: &[u8]) -> bool {
    const SYN: u8 = 2;
    const FLAGS: usize = 13;
    if wire::plain_protocol(packet) != Some(IpProtocol::Tcp) {
        return false;
    }
    let at = if packet[0] >> 4 == 4 { IPV4_HEADER } else { IPV6_HEADER };
    packet.get(at + FLAGS).is_some_and(|flags| flags & SYN == 0)
}

#[cfg(test)]
mod tests;
