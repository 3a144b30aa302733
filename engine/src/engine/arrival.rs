//! Reception: frames and packets that arrive are checked and given to the part of the engine that they are for.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use smoltcp::wire::{EthernetAddress, Icmpv6Message, IpProtocol};

use super::Engine;
use crate::buffer::{Payload, Slice};
use crate::event::Event;
use crate::frame::Transmitter;
use crate::interface::{ETHERNET_HEADER, Way};
use crate::ip::headers::{Packet, Refusal};
use crate::ip::icmp::permission::{Arrival, is_martian};
use crate::ip::icmp::write::Reason;
use crate::ip::output::Header;
use crate::ip::reassembly::{Expired, Outcome};
use crate::ip::segmentation::Segmentation;
use crate::link::groups;
use crate::ports::Owner;
use crate::time::Instant;
use crate::udp::batch::{self, UdpSegmentation};
use crate::udp::queue::{Content, Datagram};
use crate::udp::{Tuple, datagram};
use crate::wire;

/// How often one packet may have been fragmented: by its sender, and by one or two tunnels on the path.
const MOST_CUTS: usize = 4;
/// The minimum time between two confirmations that a peer is reachable.
const CONFIRMATION_INTERVAL: Duration = Duration::from_secs(1);

/// A frame that has arrived.
#[derive(Clone, Copy, Debug)]
pub struct Arrived<'a> {
    /// The frame, or the first part of it.
    pub head: &'a [u8],
    /// The rest of the frame, by reference: data of a TCP segment.
    pub apart: &'a [Slice],
    /// Whether its checksums need not be verified.
    pub is_verified: bool,
    /// If it contains several datagrams: the payload length of each but the last, which has the rest. Otherwise 0.
    pub segment: usize,
}

/// The properties of the frame that carries a packet.
#[derive(Clone, Copy, Debug)]
struct Frame {
    /// The hardware address of the sender, on an Ethernet link.
    from: Option<EthernetAddress>,
    /// Whether it was sent to a multicast or broadcast address.
    to_many: bool,
    is_verified: bool,
    /// The payload length of each datagram, if it contains several; otherwise 0.
    segment: usize,
}

impl Engine {
    /// Processes a frame that has arrived, and sends the answers that need no socket.
    pub fn receive(&mut self, arrived: Arrived<'_>, now: Instant, device: &mut dyn Transmitter) {
        const IPV4: [u8; 2] = [0x08, 0x00];
        const ARP: [u8; 2] = [0x08, 0x06];
        const IPV6: [u8; 2] = [0x86, 0xdd];
        let Arrived { head, apart, is_verified, segment } = arrived;
        let Some(own) = self.interface.link().hardware else {
            let frame = Frame { from: None, to_many: false, is_verified, segment };
            return self.receive_packet(head, apart, frame, now, device);
        };
        let Some((link, packet)) = head.split_first_chunk::<ETHERNET_HEADER>() else {
            self.counters.dropped += 1;
            return;
        };
        let [a, b, c, d, e, f, g, h, i, j, k, l, ethertype @ ..] = *link;
        let (to, from) = (EthernetAddress([a, b, c, d, e, f]), EthernetAddress([g, h, i, j, k, l]));
        // Bridges flood frames to unknown addresses, and hubs flood every frame.
        if to.is_unicast() && to != own {
            self.counters.dropped += 1;
            return;
        }
        let frame = Frame { from: Some(from), to_many: !to.is_unicast(), is_verified, segment };
        match ethertype {
            ARP => self.interface.receive_arp(packet, now, device),
            IPV4 | IPV6 => return self.receive_packet(packet, apart, frame, now, device),
            _ => self.counters.dropped += 1,
        }
        self.act(now, device);
    }

    fn receive_packet(
        &mut self,
        packet: &[u8],
        apart: &[Slice],
        frame: Frame,
        now: Instant,
        device: &mut dyn Transmitter,
    ) {
        match wire::plain_protocol(packet) {
            Some(IpProtocol::Tcp) => return self.receive_segment(packet, apart, frame, now, device),
            Some(IpProtocol::Udp) if apart.is_empty() => {
                return self.receive_plain_datagram(packet, frame, now, device);
            }
            _ => {}
        }
        if apart.is_empty() {
            self.unwrap(packet, frame, now, device);
        } else {
            let whole = core::iter::once(packet).chain(apart.iter().map(|slice| &slice[..]));
            let whole: Vec<u8> = whole.flatten().copied().collect();
            self.unwrap(&whole, frame, now, device);
        }
        self.act(now, device);
    }

    /// Processes an IP packet in which a TCP segment directly follows the IP header.
    fn receive_segment(
        &mut self,
        packet: &[u8],
        apart: &[Slice],
        frame: Frame,
        now: Instant,
        device: &mut dyn Transmitter,
    ) {
        let Some((source, destination)) = wire::ends(packet) else {
            self.counters.dropped += 1;
            return;
        };
        // A segment must not be for another host, nor for a multicast or broadcast address (RFC 1122 section 4.2.3.10).
        let is_for_us = self.interface.is_local(destination) && !frame.to_many;
        if !is_for_us
            || self.interface.addresses().is_broadcast(source)
            || self.is_martian(source, destination, IpProtocol::Tcp)
        {
            self.counters.dropped += 1;
            return;
        }
        let Self { interface, tcp, .. } = self;
        let owner = Owner::NOBODY;
        let mut way = Way { interface, device, owner, now, keeps: true, displaces: true, wanted: None };
        tcp.receive_parts(now, packet, apart, frame.is_verified, &mut way);
        if self.tcp.take_progress() {
            self.confirm(source, now);
        }
        if self.interface.take_urgency() {
            // An answer waits for a neighbour, which must be solicited now.
            self.act(now, device);
        }
    }

    /// Processes an IP packet in which a UDP datagram directly follows the IP header.
    fn receive_plain_datagram(&mut self, packet: &[u8], frame: Frame, now: Instant, device: &mut dyn Transmitter) {
        let read = match Packet::parse(packet, self.verifies(frame)) {
            Ok(read) => read,
            Err(refusal) => return self.refuse(packet, refusal, frame, now, device),
        };
        if self.is_martian(read.source, read.destination, IpProtocol::Udp) {
            self.counters.dropped += 1;
            return;
        }
        if !self.concerns(&read, frame) {
            self.pass_over(read.destination);
            return;
        }
        let is_configuration = self.may_be_lease(&read) || self.may_be_information(&read);
        self.receive_datagram(&read, frame, now, device);
        if self.interface.take_urgency() || is_configuration {
            self.act(now, device);
        }
    }

    /// Counts a packet that is for another host.
    fn pass_over(&mut self, destination: IpAddr) {
        // Packets for other members' groups are not counted, because a network card would have filtered them.
        self.counters.dropped += u64::from(!destination.is_multicast());
    }

    /// A peer has acknowledged data, so its next hop forwards packets (RFC 4861 section 7.3.1).
    fn confirm(&mut self, peer: IpAddr, now: Instant) {
        let is_recent = |(known, at): (IpAddr, Instant)| known == peer && now - at < CONFIRMATION_INTERVAL;
        if self.interface.link().hardware.is_some() && !self.confirmed.is_some_and(is_recent) {
            self.confirmed = Some((peer, now));
            self.interface.confirm(peer, now);
        }
    }

    /// Whether a packet cannot have come with these addresses from an honest sender: from an address of this host, or
    /// from one that no single host can have.
    fn is_martian(&self, source: IpAddr, destination: IpAddr, protocol: IpProtocol) -> bool {
        let addresses = self.interface.addresses();
        let own = |address| addresses.is_local(address) || addresses.is_broadcast(address);
        is_martian(source, destination, protocol, self.interface.link().loops_back, own)
    }

    /// Whether another host advertises one of this host's addresses from that address (RFC 4861 section 7.2.6). All
    /// other packets from there are dropped, but this one reports a conflict (RFC 4862 section 5.4.4).
    fn is_claim(&self, packet: &Packet<'_>) -> bool {
        const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
        packet.protocol == IpProtocol::Icmpv6
            && packet.fragment.is_none()
            && packet.payload().first() == Some(&NEIGHBOUR_ADVERTISEMENT)
            && self.interface.addresses().is_local(packet.source)
    }

    /// Processes a packet that may be a fragment, or have options and extension headers.
    fn unwrap(&mut self, packet: &[u8], frame: Frame, now: Instant, device: &mut dyn Transmitter) {
        let verify = self.verifies(frame);
        let (mut packet, mut came_in_fragments) = (Cow::Borrowed(packet), false);
        // A reassembled packet may be a fragment again. This is a loop and not a recursion, because strangers choose
        // the depth.
        for _ in 0..MOST_CUTS {
            let read = match Packet::parse(&packet, verify) {
                Ok(read) => read,
                Err(refusal) => return self.refuse(&packet, refusal, frame, now, device),
            };
            let is_martian = self.is_martian(read.source, read.destination, read.protocol);
            if is_martian && !self.is_claim(&read) {
                break;
            }
            if !self.concerns(&read, frame) {
                return self.pass_over(read.destination);
            }
            came_in_fragments |= read.source.is_ipv6() && read.fragment.is_some();
            if !read.needs_reassembly() {
                return self.deliver(&read, came_in_fragments, frame, now, device);
            }
            match self.reassembly.add(&read, now) {
                Outcome::Pending => return,
                Outcome::Whole(whole) => packet = Cow::Owned(whole),
                Outcome::Refused(refusal) => return self.refuse(&packet, refusal, frame, now, device),
                Outcome::Dropped(_) => break,
            }
        }
        self.counters.dropped += 1;
    }

    /// Whether a packet is for this host. An IPv4 packet to a unicast address in a multicast or broadcast frame is not
    /// (RFC 1122 section 3.3.6).
    fn concerns(&self, packet: &Packet<'_>, frame: Frame) -> bool {
        let to = packet.destination;
        let is_contradiction = to.is_ipv4() && frame.to_many && !to.is_multicast() && self.interface.is_local(to);
        !is_contradiction && (self.interface.takes(to) || self.may_be_lease(packet))
    }

    /// Delivers a complete packet that is for this host.
    fn deliver(
        &mut self,
        packet: &Packet<'_>,
        came_in_fragments: bool,
        frame: Frame,
        now: Instant,
        device: &mut dyn Transmitter,
    ) {
        match (packet.protocol, packet.source) {
            (IpProtocol::Tcp, _) => {
                let plain = plain(packet);
                // Its checksum was not verified yet. Of the IP header, only the addresses and the protocol count in it.
                self.receive_segment(&plain, &[], frame, now, device);
            }
            (IpProtocol::Udp, _) => self.receive_datagram(packet, frame, now, device),
            (IpProtocol::Icmp, IpAddr::V4(_)) => self.receive_message(packet, self.verifies(frame), now, device),
            (IpProtocol::Icmpv6, IpAddr::V6(_)) => {
                let number = packet.payload().first().copied().map(Icmpv6Message::from);
                match number {
                    Some(
                        Icmpv6Message::RouterSolicit
                        | Icmpv6Message::RouterAdvert
                        | Icmpv6Message::NeighborSolicit
                        | Icmpv6Message::NeighborAdvert
                        | Icmpv6Message::Redirect,
                    ) => self.receive_discovery(packet, came_in_fragments, frame, now, device),
                    // 131 and 132 are MLDv1 reports and done messages.
                    Some(Icmpv6Message::MldQuery | Icmpv6Message::MldReport | Icmpv6Message::Unknown(131 | 132)) => {
                        self.receive_mld(packet, frame, now, device);
                    }
                    _ => self.receive_message(packet, self.verifies(frame), now, device),
                }
            }
            (IpProtocol::Igmp, IpAddr::V4(_)) => {
                let received = self.group_message(packet, &[], frame);
                self.interface.receive_igmp(&received, now);
                self.interface.handle_timeout(now, device);
            }
            // There is no next header, so there is nothing to process.
            (IpProtocol::Ipv6NoNxt, IpAddr::V6(_)) => self.counters.dropped += 1,
            _ => {
                self.counters.dropped += 1;
                let pointer = u32::try_from(packet.protocol_at).unwrap_or(u32::MAX);
                let reason = Reason::ProtocolUnreachable { pointer };
                self.interface.report(packet.bytes, reason, self.arrival(frame), now, device);
            }
        }
    }

    fn receive_discovery(
        &mut self,
        packet: &Packet<'_>,
        fragmented: bool,
        frame: Frame,
        now: Instant,
        device: &mut dyn Transmitter,
    ) {
        let (IpAddr::V6(source), IpAddr::V6(destination)) = (packet.source, packet.destination) else { return };
        let (bytes, hop_limit) = (packet.payload(), packet.hop_limit);
        let received = crate::link::ndp::Received { source, destination, hop_limit, fragmented, bytes };
        let verify = self.verifies(frame);
        let advertised = self.interface.receive_ndp(&received, frame.from, verify, now, device);
        if let Some(advertisement) = advertised {
            self.advertised(&advertisement, now);
        }
    }

    fn receive_mld(&mut self, packet: &Packet<'_>, frame: Frame, now: Instant, device: &mut dyn Transmitter) {
        /// The offset of the hop-by-hop options in an IPv6 packet, after the two bytes that begin their header.
        const OPTIONS: usize = wire::IPV6_HEADER + 2;
        let is_there = packet.bytes.get(6) == Some(&u8::from(IpProtocol::HopByHop));
        let length = packet.bytes.get(OPTIONS - 1).map_or(0, |length| usize::from(*length) * 8 + 6);
        let options = packet.bytes.get(OPTIONS..OPTIONS + length).filter(|_| is_there).unwrap_or_default();
        let received = self.group_message(packet, options, frame);
        self.interface.receive_mld(&received, now);
        self.interface.handle_timeout(now, device);
    }

    fn group_message<'a>(&self, packet: &Packet<'a>, hop_by_hop: &'a [u8], frame: Frame) -> groups::Received<'a> {
        let Packet { source, destination, hop_limit, .. } = *packet;
        let message = packet.payload();
        groups::Received { source, destination, hop_limit, hop_by_hop, message, verify: self.verifies(frame) }
    }

    /// Delivers a datagram to its receivers.
    fn receive_datagram(&mut self, packet: &Packet<'_>, frame: Frame, now: Instant, device: &mut dyn Transmitter) {
        let read = datagram::read(packet.source, packet.destination, packet.payload(), self.verifies(frame));
        let Ok(received) = read else {
            self.counters.dropped += 1;
            return;
        };
        if self.lease_takes(&received, frame.from, now, device) || self.information_takes(&received, now) {
            return;
        }
        let tuple = Tuple::new(received.destination, received.source);
        let is_broadcast = self.interface.addresses().is_broadcast(packet.destination);
        let segmentation = (frame.segment > 0).then_some(UdpSegmentation { segment: frame.segment });
        let Self { udp, events, .. } = self;
        let mut is_received = false;
        for to in udp.receivers(&tuple, is_broadcast) {
            is_received = true;
            for payload in batch::split(received.payload, segmentation) {
                let datagram = Datagram {
                    content: Content::Owned(payload.to_vec()),
                    remote: received.source,
                    local: received.destination,
                    interface: 0,
                    hop_limit: packet.hop_limit,
                    ecn: packet.ecn,
                };
                events.push_back(Event::Datagram { to, datagram });
            }
        }
        if is_received {
            return;
        }
        self.counters.dropped += 1;
        if self.interface.is_local(packet.destination) {
            let first = first_of_merged(packet.bytes, frame.segment);
            let about = first.as_deref().unwrap_or(packet.bytes);
            self.interface.report(about, Reason::PortUnreachable, self.arrival(frame), now, device);
        }
    }

    /// Drops a packet, and sends an error to its source if one is due.
    fn refuse(&mut self, packet: &[u8], refusal: Refusal, frame: Frame, now: Instant, device: &mut dyn Transmitter) {
        self.counters.dropped += 1;
        let reason = match refusal {
            Refusal::Malformed => return,
            Refusal::Problem { pointer, problem } => Reason::Parameter { problem, pointer },
            Refusal::NotForEndHost => Reason::SourceRouteFailed,
        };
        if let Some((source, destination)) = wire::ends(packet)
            && !self.is_martian(source, destination, IpProtocol::Unknown(0))
        {
            self.interface.report(packet, reason, self.arrival(frame), now, device);
        }
    }

    /// Removes packets whose fragments did not all arrive in time.
    pub(super) fn expire_fragments(&mut self, now: Instant, device: &mut dyn Transmitter) {
        while let Some(Expired { first, .. }) = self.reassembly.expire(now) {
            if let Some(first) = first {
                let arrival = Arrival { to_many: false, from_loopback: self.interface.link().loops_back };
                self.interface.report(&first, Reason::ReassemblyTimeExceeded, arrival, now, device);
            }
        }
    }

    fn arrival(&self, frame: Frame) -> Arrival {
        Arrival { to_many: frame.to_many, from_loopback: self.interface.link().loops_back }
    }

    fn verifies(&self, frame: Frame) -> bool {
        self.interface.link().checksums && !frame.is_verified
    }
}

/// The first of the packets that were merged into one, as its sender knows it.
fn first_of_merged(packet: &[u8], segment: usize) -> Option<Vec<u8>> {
    let cut = Segmentation::new(packet, packet.len(), segment)?;
    let start = cut.head_length();
    let data = packet.get(start..start + cut.range(0).len())?;
    let mut first = alloc::vec![0; start + data.len()];
    first[start..].copy_from_slice(data);
    cut.write_head(packet, 0, &Payload::from(data), true, &mut first);
    Some(first)
}

/// The packet without options and extension headers.
fn plain(packet: &Packet<'_>) -> Vec<u8> {
    let Packet { source, destination, protocol, hop_limit, traffic_class, .. } = *packet;
    let header = Header { source, destination, protocol, hop_limit, traffic_class };
    header.packet(packet.payload(), true)
}

/// The ends of a packet as this host sees them. Protocols without ports pass other numbers in their place.
pub(super) fn ends(local: (IpAddr, u16), remote: (IpAddr, u16)) -> Tuple {
    Tuple::new(SocketAddr::new(local.0, local.1), SocketAddr::new(remote.0, remote.1))
}
