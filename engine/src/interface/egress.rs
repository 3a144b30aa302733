//! The way out of packets of every kind: next hop, hardware address, fragments, room on the device.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::IpAddr;

use smoltcp::wire::{EthernetAddress, IpProtocol};
use thiserror::Error;

use super::{Interface, Waiting};
use crate::buffer::{Payload, Slice};
use crate::frame::{Frame, Transmitter};
use crate::ip::fragmentation::Fragmentation;
use crate::ip::output::{Blocked, Checksums, Header, Outlet, Packet};
use crate::ip::routes::NextHop;
use crate::link::groups::multicast_hardware;
use crate::slots::Key;
use crate::time::Instant;

/// Bytes of an Ethernet header without a VLAN tag (IEEE 802.3 clause 3).
pub(crate) const ETHERNET_HEADER: usize = 14;
/// Data of TCP up to this many bytes is copied behind the headers: that costs less than to keep the memory that it lies
/// in.
const COPIED: usize = 512;
/// Frames that wait for the device: two of the largest packets in fragments, and answers besides.
const MOST_BACKLOG: usize = 256;
/// Packets that wait for one neighbour (RFC 1122 section 2.3.2.2 asks for at least one). Who sends more waits.
const MOST_WAITING_EACH: usize = 64;
/// Bytes of packets that wait for neighbours, of all together.
const MOST_WAITING_BYTES: usize = 4 << 20;

/// What a frame carries (IEEE 802 numbers).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EtherType {
    Ipv4,
    Ipv6,
    Arp,
}

/// A packet that is no TCP segment, about to leave.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// The IP header.
    pub header: Header,
    /// The transport's header, its checksum included.
    pub head: &'a [u8],
    /// What follows it.
    pub payload: &'a [u8],
    /// It goes whole or not at all.
    pub whole: bool,
}

/// Several datagrams as one packet, about to leave: the device [cuts it apart](super::Link::datagram_segmentation).
#[derive(Clone, Copy, Debug)]
pub struct Joined<'a> {
    /// The IP header.
    pub header: Header,
    /// The header of UDP, of a datagram with all of the payload.
    pub head: &'a [u8],
    /// What the datagrams carry, one behind the other.
    pub payload: &'a [Slice],
    /// How many bytes of it each has; the last has what is left.
    pub segment: usize,
}

/// Why a packet was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SendError {
    /// The device has no room; it says when it has.
    #[error("the device has no room")]
    Full,
    /// As many packets as may already wait for the neighbour.
    #[error("too many packets wait for the neighbour")]
    Crowded,
    /// No route leads there.
    #[error("no route leads to the destination")]
    Unreachable,
    /// It is longer than its path takes and was to go whole, or longer than any packet.
    #[error("the path takes packets of {mtu} bytes")]
    TooLarge {
        /// The longest packet that the path takes.
        mtu: usize,
    },
}

/// Where a packet goes on the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lead {
    /// The link has no hardware addresses.
    Link,
    /// To this station.
    Station(EthernetAddress),
    /// To this neighbour, whose hardware address is not known yet.
    Unresolved(IpAddr),
}

/// Frames that wait for the device, oldest first.
#[derive(Debug, Default)]
pub(super) struct Backlog(VecDeque<Vec<u8>>);

impl Backlog {
    pub(super) fn held(&self) -> usize {
        self.0.iter().map(Vec::capacity).sum::<usize>() + self.0.capacity() * size_of::<Vec<u8>>()
    }

    /// Sends what waits, as far as there is room; false where there is none for something.
    fn catch_up(&mut self, device: &mut dyn Transmitter) -> bool {
        while let Some(frame) = self.0.front() {
            if !device.transmit(Frame::plain(frame.len()), &mut |into| into.copy_from_slice(frame)) {
                return false;
            }
            self.0.pop_front();
        }
        if self.0.capacity() > MOST_BACKLOG {
            self.0.shrink_to(MOST_BACKLOG);
        }
        true
    }

    /// Sends a frame, or lets it wait; false where too many do.
    fn push(&mut self, length: usize, device: &mut dyn Transmitter, write: &mut dyn FnMut(&mut [u8])) -> bool {
        if self.0.is_empty() && device.transmit(Frame::plain(length), write) {
            return true;
        }
        let has_room = self.0.len() < MOST_BACKLOG;
        if has_room {
            let mut frame = alloc::vec![0; length];
            write(&mut frame);
            self.0.push_back(frame);
        }
        has_room
    }
}

impl Interface {
    /// Sends a packet, or lets it wait for its neighbour. One that is longer than its path takes goes in fragments,
    /// unless it is to go whole (RFC 791 section 3.2, RFC 8200 section 4.5).
    ///
    /// A packet that waits is told of by nothing when it leaves; when its neighbour does not answer, it comes back by
    /// [`poll_resolved`](Self::poll_resolved).
    ///
    /// # Errors
    /// See [`SendError`]. The packet is the caller's then.
    pub fn send(&mut self, packet: &Outgoing<'_>, now: Instant, device: &mut dyn Transmitter) -> Result<(), SendError> {
        let destination = packet.header.destination;
        let next_hop = self.way_to(destination, now)?;
        let mtu = self.mtu_to(destination, now);
        let length = packet.length();
        if packet.header.payload_length(packet.head.len() + packet.payload.len()).is_none()
            || (packet.whole && length > mtu)
        {
            return Err(SendError::TooLarge { mtu });
        }
        let lead = self.lead(destination, next_hop, now);
        if let Lead::Unresolved(hop) = lead {
            return self.wait(hop, packet.bytes(), now);
        }
        if !self.backlog.catch_up(device) {
            return Err(SendError::Full);
        }
        let start = self.link_header();
        if length > mtu {
            let sent = self.send_in_fragments(lead, &packet.bytes(), mtu, false, now, device);
            return if sent { Ok(()) } else { Err(SendError::Full) };
        }
        let (own, family) = (self.link.hardware, EtherType::of(packet.header.source));
        let checksum = self.link.checksums;
        let sent = device.transmit(Frame::plain(start + length), &mut |into| {
            let (link, ip) = into.split_at_mut(start);
            write_link_header(link, own, lead, family);
            packet.write(ip, checksum);
        });
        if sent { Ok(()) } else { Err(SendError::Full) }
    }

    /// Whether packets for a destination can leave now: a way leads there, and who leads there is known. Who is not, is
    /// asked for once a packet [is sent](Self::send).
    pub fn reaches(&mut self, destination: IpAddr, now: Instant) -> bool {
        let urgent = self.is_urgent;
        let next_hop = self.way_to(destination, now);
        let reaches =
            next_hop.is_ok_and(|next_hop| !matches!(self.lead(destination, next_hop, now), Lead::Unresolved(_)));
        self.is_urgent = urgent;
        reaches
    }

    /// Sends several datagrams as one packet, to a destination that [can be reached](Self::reaches).
    ///
    /// # Errors
    /// [`SendError::Full`]; [`SendError::Unreachable`] where it cannot be reached.
    pub fn send_joined(
        &mut self,
        packet: &Joined<'_>,
        now: Instant,
        device: &mut dyn Transmitter,
    ) -> Result<(), SendError> {
        let Joined { header, head, payload, segment } = *packet;
        let next_hop = self.way_to(header.destination, now)?;
        let lead = self.lead(header.destination, next_hop, now);
        if matches!(lead, Lead::Unresolved(_)) {
            return Err(SendError::Unreachable);
        }
        if !self.backlog.catch_up(device) {
            return Err(SendError::Full);
        }
        let (start, own, family) = (self.link_header(), self.link.hardware, EtherType::of(header.source));
        let checksums = self.link.offloaded_checksums();
        let length = head.len() + payload.iter().map(|slice| slice.len()).sum::<usize>();
        let frame = Frame {
            length: start + header.length() + head.len(),
            apart: payload,
            segment,
            is_unchecked: checksums == Checksums::Partial,
        };
        let sent = device.transmit(frame, &mut |into| {
            let (link, ip) = into.split_at_mut(start);
            write_link_header(link, own, lead, family);
            header.write(ip, length, checksums != Checksums::None);
            ip[header.length()..].copy_from_slice(head);
        });
        if sent { Ok(()) } else { Err(SendError::Full) }
    }

    /// As [`send`](Self::send), for what nobody is told of: answers, errors, and what this host says of itself. It waits
    /// for the device too, and is dropped and counted where too much waits.
    pub(crate) fn answer(&mut self, packet: &Outgoing<'_>, now: Instant, device: &mut dyn Transmitter) {
        let destination = packet.header.destination;
        let Ok(next_hop) = self.way_to(destination, now) else {
            self.counters.dropped += 1;
            return;
        };
        self.give(packet.bytes(), destination, next_hop, now, device);
    }

    /// Sends a whole packet to a group of the link (reports of groups, neighbour discovery), or to all.
    pub(super) fn send_to_link(&mut self, packet: &[u8], to: EthernetAddress, device: &mut dyn Transmitter) {
        if let Some(family) = EtherType::of_packet(packet) {
            self.push(Lead::Station(to), family, packet, device);
        }
    }

    /// Sends an ARP message.
    pub(super) fn send_arp(&mut self, message: &[u8], to: EthernetAddress, device: &mut dyn Transmitter) {
        self.push(Lead::Station(to), EtherType::Arp, message, device);
    }

    /// Sends a frame, or lets it wait for the device; it is dropped and counted where too much waits.
    fn push(&mut self, lead: Lead, family: EtherType, content: &[u8], device: &mut dyn Transmitter) {
        let (start, own) = (self.link_header(), self.link.hardware);
        let kept = self.backlog.push(start + content.len(), device, &mut |into| {
            let (link, rest) = into.split_at_mut(start);
            write_link_header(link, own, lead, family);
            rest.copy_from_slice(content);
        });
        self.counters.dropped += u64::from(!kept);
    }

    /// Sends frames that wait for the device; false where there is no room for all.
    pub fn catch_up(&mut self, device: &mut dyn Transmitter) -> bool {
        self.backlog.catch_up(device)
    }

    /// Whether frames wait for the device.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        !self.backlog.0.is_empty()
    }

    /// Whether as many packets as may already wait for the neighbour that leads to a destination.
    #[must_use]
    pub fn is_crowded(&mut self, destination: IpAddr) -> bool {
        let next_hop = self.next_hop(destination);
        next_hop.is_ok_and(|next_hop| self.neighbours.waiting_for(next_hop.hop) >= MOST_WAITING_EACH)
    }

    /// Whether a neighbour is known or asked for, or may be without another one giving way.
    pub(crate) fn may_ask(&self, hop: IpAddr) -> bool {
        self.link.hardware.is_none() || self.neighbours.may_ask(hop)
    }

    /// Somebody who has packets for a destination, and could not send one because a neighbour is not known: he comes
    /// back by [`poll_resolved`](Self::poll_resolved).
    pub fn await_neighbour(&mut self, hop: IpAddr, sender: Key, now: Instant) {
        // Once is enough.
        self.neighbours.cancel(hop, |waiting| *waiting == Waiting::Sender(sender));
        let displaced = match self.neighbours.wait(hop, Waiting::Sender(sender), now) {
            Ok(displaced) => displaced,
            Err(refused) => Some(refused),
        };
        displaced.into_iter().for_each(|displaced| self.displace(displaced));
    }

    /// A whole packet whose neighbour has answered leaves, by the route that there is now. Where there is none any more
    /// it goes to that neighbour: what gives an address back is sent while the address goes (RFC 2131 section 4.4.6).
    pub(super) fn release(&mut self, packet: Vec<u8>, hop: IpAddr, now: Instant, device: &mut dyn Transmitter) {
        let Some(destination) = crate::wire::destination(&packet) else { return };
        let Ok(next_hop) = self.way_to(destination, now) else {
            match self.neighbours.resolve(hop, now) {
                Some(station) => self.put(Lead::Station(station), &packet, self.link.mtu, now, device),
                None => self.counters.dropped += 1,
            }
            return;
        };
        self.give(packet, destination, next_hop, now, device);
    }

    /// Gives a whole packet to its next hop, or lets it wait for that; it is dropped and counted where too much waits.
    fn give(
        &mut self,
        packet: Vec<u8>,
        destination: IpAddr,
        next_hop: Option<NextHop>,
        now: Instant,
        device: &mut dyn Transmitter,
    ) {
        let mtu = self.mtu_to(destination, now);
        match self.lead(destination, next_hop, now) {
            Lead::Unresolved(hop) => {
                let waits = self.wait(hop, packet, now).is_ok();
                self.counters.dropped += u64::from(!waits);
            }
            lead => self.put(lead, &packet, mtu, now, device),
        }
    }

    /// Sends a whole packet, in fragments where its path is narrow; what finds no room waits for the device.
    fn put(&mut self, lead: Lead, packet: &[u8], mtu: usize, now: Instant, device: &mut dyn Transmitter) {
        if packet.len() > mtu {
            self.backlog.catch_up(device);
            self.send_in_fragments(lead, packet, mtu, true, now, device);
            return;
        }
        if let Some(family) = EtherType::of_packet(packet) {
            self.push(lead, family, packet, device);
        }
    }

    /// Sends a packet in fragments. Once the first has left, the others wait for the device where they must, and the
    /// first does too where it `keeps`. False where it does not and the first could not leave: nothing has happened.
    fn send_in_fragments(
        &mut self,
        lead: Lead,
        packet: &[u8],
        mtu: usize,
        keeps: bool,
        now: Instant,
        device: &mut dyn Transmitter,
    ) -> bool {
        let (Some((source, destination)), Some(family)) = (crate::wire::ends(packet), EtherType::of_packet(packet))
        else {
            return true;
        };
        let protocol = crate::wire::protocol(packet).unwrap_or(IpProtocol::Unknown(0));
        let identification = self.identifications.next(source, destination, protocol, now, &mut self.random);
        let Ok(fragmentation) = Fragmentation::new(packet, packet.len(), mtu, identification) else {
            self.counters.dropped += 1;
            return true;
        };
        if self.backlog.0.len() + fragmentation.count() > MOST_BACKLOG {
            // Without one of them the others are worth nothing.
            self.counters.dropped += 1;
            return true;
        }
        let (start, own) = (self.link_header(), self.link.hardware);
        let payload = Payload::from(packet);
        for index in 0..fragmentation.count() {
            let length = start + fragmentation.length(index);
            let mut write = |into: &mut [u8]| {
                let (link, ip) = into.split_at_mut(start);
                write_link_header(link, own, lead, family);
                fragmentation.write(&payload, index, ip);
            };
            if index == 0 && !keeps {
                if !device.transmit(Frame::plain(length), &mut write) {
                    return false;
                }
            } else {
                // There is room for all of them.
                let _kept = self.backlog.push(length, device, &mut write);
            }
        }
        true
    }

    /// A packet waits for a neighbour. Of many for one neighbour none gives way: strangers who want answers would drive out
    /// what others send.
    fn wait(&mut self, hop: IpAddr, packet: Vec<u8>, now: Instant) -> Result<(), SendError> {
        let length = packet.len();
        let is_crowded = self.neighbours.waiting_for(hop) >= MOST_WAITING_EACH;
        if is_crowded || self.waiting_bytes + length > MOST_WAITING_BYTES {
            return Err(SendError::Crowded);
        }
        match self.neighbours.wait(hop, Waiting::Packet(packet), now) {
            Ok(displaced) => {
                self.waiting_bytes += length;
                displaced.into_iter().for_each(|displaced| self.displace(displaced));
                Ok(())
            }
            Err(_) => Err(SendError::Crowded),
        }
    }

    /// The next hop, and none where the link needs none.
    fn way_to(&mut self, destination: IpAddr, now: Instant) -> Result<Option<NextHop>, SendError> {
        if self.link.loops_back {
            return Ok(None);
        }
        let next_hop = self.next_hop(destination).map_err(|_| SendError::Unreachable)?;
        if let Some(avoided) = next_hop.avoided.filter(|_| self.link.hardware.is_some()) {
            self.neighbours.pass_over(avoided, now);
        }
        Ok(Some(next_hop))
    }

    /// The station that a packet goes to; who is not known is asked for.
    fn lead(&mut self, destination: IpAddr, next_hop: Option<NextHop>, now: Instant) -> Lead {
        let (Some(_), Some(next_hop)) = (self.link.hardware, next_hop) else { return Lead::Link };
        if destination.is_multicast() {
            return Lead::Station(multicast_hardware(destination));
        }
        if self.addresses.is_broadcast(destination) {
            return Lead::Station(EthernetAddress::BROADCAST);
        }
        match self.neighbours.resolve(next_hop.hop, now) {
            Some(station) => Lead::Station(station),
            None => {
                self.is_urgent = true;
                Lead::Unresolved(next_hop.hop)
            }
        }
    }

    const fn link_header(&self) -> usize {
        if self.link.hardware.is_some() { ETHERNET_HEADER } else { 0 }
    }
}

impl Outgoing<'_> {
    /// The length of the packet in bytes.
    #[must_use]
    pub fn length(&self) -> usize {
        self.header.length() + self.head.len() + self.payload.len()
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = alloc::vec![0; self.length()];
        // It may lie in a queue, and be cut: its checksum is always there.
        self.write(&mut bytes, true);
        bytes
    }

    fn write(&self, into: &mut [u8], checksum: bool) {
        let length = self.head.len() + self.payload.len();
        let (header, rest) = into.split_at_mut(self.header.length());
        self.header.write(header, length, checksum);
        let (head, payload) = rest.split_at_mut(self.head.len());
        head.copy_from_slice(self.head);
        payload[..self.payload.len()].copy_from_slice(self.payload);
    }
}

impl EtherType {
    const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::Ipv4,
            IpAddr::V6(_) => Self::Ipv6,
        }
    }

    fn of_packet(packet: &[u8]) -> Option<Self> {
        match packet.first()? >> 4 {
            4 => Some(Self::Ipv4),
            6 => Some(Self::Ipv6),
            _ => None,
        }
    }

    const fn bytes(self) -> [u8; 2] {
        match self {
            Self::Ipv4 => [0x08, 0x00],
            Self::Ipv6 => [0x86, 0xdd],
            Self::Arp => [0x08, 0x06],
        }
    }
}

/// Writes an Ethernet header, where there is room for one.
fn write_link_header(into: &mut [u8], own: Option<EthernetAddress>, lead: Lead, family: EtherType) {
    let (Some(into), Some(own), Lead::Station(to)) = (into.first_chunk_mut::<ETHERNET_HEADER>(), own, lead) else {
        return;
    };
    into[..6].copy_from_slice(&to.0);
    into[6..12].copy_from_slice(&own.0);
    into[12..].copy_from_slice(&family.bytes());
}

/// The way out of TCP: an interface and its device.
pub struct Way<'a> {
    /// The interface.
    pub interface: &'a mut Interface,
    /// Its device.
    pub device: &'a mut dyn Transmitter,
    /// The time.
    pub now: Instant,
    /// Whether segments without data wait for a neighbour by themselves: answers, which nobody would make again.
    pub keeps: bool,
    /// Whether a neighbour is asked for though another one gives way for that.
    pub displaces: bool,
    /// The neighbour that a segment could not leave for.
    pub wanted: Option<IpAddr>,
}

impl Outlet for Way<'_> {
    fn send(&mut self, packet: &Packet<'_>) -> Result<(), Blocked> {
        let Self { interface, device, now, keeps, displaces, wanted } = self;
        // A loopback carries every local address of the process's interfaces.
        if !interface.link.loops_back && !interface.addresses.is_local(packet.source) {
            return Err(Blocked::Unreachable);
        }
        let next_hop = interface.way_to(packet.destination, *now).map_err(|_| Blocked::Unreachable)?;
        if !*displaces
            && let Some(NextHop { hop, .. }) = next_hop
            && !interface.may_ask(hop)
        {
            *wanted = Some(hop);
            return Err(Blocked::Unresolved);
        }
        let lead = interface.lead(packet.destination, next_hop, *now);
        if let Lead::Unresolved(hop) = lead {
            if *keeps && packet.payload.is_empty() {
                let mut bytes = alloc::vec![0; packet.length()];
                packet.emit(&mut bytes, true);
                return interface.wait(hop, bytes, *now).map_err(|_| Blocked::Unresolved);
            }
            *wanted = Some(hop);
            return Err(Blocked::Unresolved);
        }
        // The rest of a packet that was cut up goes first.
        if !interface.backlog.catch_up(*device) {
            return Err(Blocked::Full);
        }
        let start = interface.link_header();
        let (head, length) = (packet.head_length(), packet.length());
        let is_apart = length - head > COPIED;
        let checksums = interface.link.offloaded_checksums();
        let frame = Frame {
            length: start + if is_apart { head } else { length },
            apart: if is_apart { packet.payload } else { &[] },
            segment: if is_apart { packet.segment } else { 0 },
            is_unchecked: checksums == Checksums::Partial,
        };
        let (own, family) = (interface.link.hardware, EtherType::of(packet.source));
        let sent = device.transmit(frame, &mut |into| {
            let (link, ip) = into.split_at_mut(start);
            write_link_header(link, own, lead, family);
            packet.emit_head(ip, checksums);
            if !is_apart {
                packet.copy_payload(&mut ip[head..]);
            }
        });
        if sent { Ok(()) } else { Err(Blocked::Full) }
    }

    fn longest(&self) -> usize {
        self.interface.link.segmentation
    }

    fn mtu(&self, destination: IpAddr) -> usize {
        self.interface.mtu_to(destination, self.now)
    }
}
