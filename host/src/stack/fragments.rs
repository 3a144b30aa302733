//! Packets that are not read as they came: fragments of both families, and what lies behind IPv6 extension headers.
//!
//! The engine's `ip` puts fragments together and walks over extension headers. What is inside is taken in as a packet of
//! its own, in a frame with the same link header: only that names its ports.

use core::net::{IpAddr, Ipv4Addr};
use std::borrow::Cow;

use smoltcp::wire::{Icmpv6Message, IpProtocol, IpVersion, Ipv4Packet, Ipv6Packet};
use xila_network_engine::ip::headers::{Packet, Refusal};
use xila_network_engine::ip::icmp::permission::{Arrival, may_report};
use xila_network_engine::ip::icmp::write::{self, Reason};
use xila_network_engine::ip::reassembly::{Expired, Outcome};

use super::Core;
use super::udp::ip_packet;

/// How often one packet may have been cut: by its sender, and by a tunnel or two on its way.
const MOST_CUTS: usize = 4;

impl Core {
    /// A frame has arrived with a packet that begins at `ip`, and is a fragment or has extension headers.
    pub(super) fn wrapped(&mut self, frame: &[u8], ip: usize) {
        let Some((link, packet)) = frame.split_at_checked(ip) else { return };
        let (mut packet, mut came_in_fragments) = (Cow::Borrowed(packet), false);
        // What fragments make may be a fragment again. A loop and not a recursion, as strangers say how deep it goes.
        for _ in 0..MOST_CUTS {
            let Ok(read) = Packet::parse(&packet, self.verifies()).map_err(|refusal| self.refuse(&packet, refusal))
            else {
                return;
            };
            // Fragments for others, flooded by a segment, are not worth memory.
            if !self.takes_packets_for(read.destination) {
                self.statistics.received.dropped += 1;
                return;
            }
            came_in_fragments |= read.source.is_ipv6() && read.fragment.is_some();
            if !read.needs_reassembly() {
                return self.unwrapped(link, &read, came_in_fragments);
            }
            match self.fragments.add(&read, self.now) {
                Outcome::Pending => return,
                Outcome::Whole(whole) => packet = Cow::Owned(whole),
                Outcome::Refused(refusal) => return self.refuse(&packet, refusal),
                Outcome::Dropped(_) => break,
            }
        }
        self.statistics.received.dropped += 1;
    }

    /// Takes in what is in a whole packet.
    fn unwrapped(&mut self, link: &[u8], packet: &Packet<'_>, came_in_fragments: bool) {
        let plain = match packet.protocol {
            _ if packet.source.is_ipv4() => Some(Cow::Borrowed(packet.bytes)),
            // Neighbour discovery is not believed in fragments, whether there is one or more (RFC 6980 section 5).
            IpProtocol::Icmpv6 if came_in_fragments && is_discovery(packet) => None,
            IpProtocol::Tcp | IpProtocol::Udp | IpProtocol::Icmpv6 => Some(Cow::Owned(without_extensions(packet))),
            // Nothing is in it.
            IpProtocol::Ipv6NoNxt => None,
            _ => {
                let pointer = u32::try_from(packet.protocol_at).unwrap_or(u32::MAX);
                self.send_error(packet.bytes, Reason::ProtocolUnreachable { pointer });
                None
            }
        };
        match plain {
            Some(plain) => self.ingress(&[link, &plain].concat(), &[], false),
            None => self.statistics.received.dropped += 1,
        }
    }

    /// Drops a packet, and tells its source of what is wrong with it where that is due.
    fn refuse(&mut self, packet: &[u8], refusal: Refusal) {
        self.statistics.received.dropped += 1;
        let Refusal::Problem { pointer, problem } = refusal else { return };
        self.send_error(packet, Reason::Parameter { problem, pointer });
    }

    /// Gives up packets whose fragments did not all come in time.
    pub(super) fn fragments_expire(&mut self) {
        while let Some(Expired { first, .. }) = self.fragments.expire(self.now) {
            if let Some(first) = first {
                self.send_error(&first, Reason::ReassemblyTimeExceeded);
            }
        }
    }

    /// Tells the source of a packet why it was not taken, within the rate of such answers.
    fn send_error(&mut self, packet: &[u8], reason: Reason) {
        let arrival = Arrival { to_many: false, from_loopback: self.loops_back() };
        let is_broadcast = |address: Ipv4Addr| self.is_broadcast(address.into());
        if may_report(packet, reason, arrival, is_broadcast).is_err() {
            return;
        }
        let Some((source, destination)) = ends(packet).filter(|(_, to)| self.takes_packets_for(*to)) else { return };
        if !self.may_answer() {
            self.statistics.replies_suppressed += 1;
            return;
        }
        // What was for many is answered by an address of this host's own.
        let from = if self.has_address(destination) { Some(destination) } else { self.source_address(source) };
        let Some(from) = from else { return };
        let mut message = Vec::new();
        write::error(&mut message, from, source, reason, packet);
        self.send_icmp(from, source, &message);
    }

    /// Whether packets to an address are for this host.
    fn takes_packets_for(&self, address: IpAddr) -> bool {
        self.iface.has_ip_addr(address) || self.iface.has_multicast_group(address) || self.is_broadcast(address)
    }
}

/// The source and the destination of a packet.
fn ends(packet: &[u8]) -> Option<(IpAddr, IpAddr)> {
    packet.first()?;
    match IpVersion::of_packet(packet).ok()? {
        IpVersion::Ipv4 => {
            let packet = Ipv4Packet::new_checked(packet).ok()?;
            Some((packet.src_addr().into(), packet.dst_addr().into()))
        }
        IpVersion::Ipv6 => {
            let packet = Ipv6Packet::new_checked(packet).ok()?;
            Some((packet.src_addr().into(), packet.dst_addr().into()))
        }
    }
}

/// An IPv6 packet without its extension headers.
fn without_extensions(packet: &Packet<'_>) -> Vec<u8> {
    let Packet { source, destination, protocol, hop_limit, .. } = *packet;
    let mut plain = ip_packet(source, destination, protocol, hop_limit, packet.payload());
    Ipv6Packet::new_unchecked(&mut plain[..]).set_traffic_class(packet.traffic_class);
    plain
}

/// Whether an ICMPv6 message is one of neighbour discovery (RFC 4861 section 4).
fn is_discovery(packet: &Packet<'_>) -> bool {
    let kind = packet.payload().first().copied().map(Icmpv6Message::from);
    matches!(
        kind,
        Some(
            Icmpv6Message::RouterSolicit
                | Icmpv6Message::RouterAdvert
                | Icmpv6Message::NeighborSolicit
                | Icmpv6Message::NeighborAdvert
                | Icmpv6Message::Redirect
        )
    )
}
