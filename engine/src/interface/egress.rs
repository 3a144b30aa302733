//! The output of packets of every kind: next hop, hardware address, fragmentation, and space on the device.
//!
//! TCP sends by [`Way`](super::Way), other modules by [`Interface::send`] and [`Interface::answer`].

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::IpAddr;

use smoltcp::wire::{EthernetAddress, IpProtocol};
use thiserror::Error;

use super::{Interface, Resolved, Waiting};
use crate::buffer::{Payload, Slice};
use crate::frame::{Frame, Transmitter};
use crate::ip::fragmentation::Fragmentation;
use crate::ip::output::{Checksums, Header};
use crate::ip::routes::NextHop;
use crate::link::groups::multicast_hardware;
use crate::ports::Owner;
use crate::slots::Key;
use crate::time::Instant;

/// Bytes of an Ethernet header without a VLAN tag (IEEE 802.3 clause 3).
pub(crate) const ETHERNET_HEADER: usize = 14;
/// The most frames that wait for the device: two packets of the largest size in fragments, and some answers.
const MOST_BACKLOG: usize = 256;
/// The most packets of one owner that wait for one neighbour (RFC 1122 section 2.3.2.2 asks for at least one). Senders
/// of more must wait.
const MOST_WAITING_EACH: usize = 64;

/// The EtherType of a frame (IEEE 802 numbers).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EtherType {
    Ipv4,
    Ipv6,
    Arp,
}

/// A packet to send that is not a TCP segment.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Whose packet it is.
    pub owner: Owner,
    /// The IP header.
    pub header: Header,
    /// The transport header, including its checksum.
    pub head: &'a [u8],
    /// The data after the transport header.
    pub payload: &'a [u8],
    /// Whether it must not be fragmented.
    pub whole: bool,
}

/// Several datagrams to send as one packet. The device [splits it](super::Link::datagram_segmentation).
#[derive(Clone, Copy, Debug)]
pub struct Joined<'a> {
    /// Whose datagrams they are.
    pub owner: Owner,
    /// The IP header.
    pub header: Header,
    /// The UDP header, for one datagram with the whole payload.
    pub head: &'a [u8],
    /// The payloads of the datagrams, one after the other.
    pub payload: &'a [Slice],
    /// How many bytes of the payload each datagram has. The last one has the rest.
    pub segment: usize,
}

/// Why a packet was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SendError {
    /// The device has no space. It signals when it has space again.
    #[error("the device has no room")]
    Full,
    /// Too many packets already wait for the neighbour.
    #[error("too many packets wait for the neighbour")]
    Crowded,
    /// There is no route to the destination.
    #[error("no route leads to the destination")]
    Unreachable,
    /// It is longer than the path MTU and must not be fragmented, or longer than any IP packet.
    #[error("the path takes packets of {mtu} bytes")]
    TooLarge {
        /// The path MTU.
        mtu: usize,
    },
}

/// The link-layer destination of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lead {
    /// The link has no hardware addresses.
    Link,
    /// The hardware address of a station.
    Station(EthernetAddress),
    /// A neighbour whose hardware address is not known yet.
    Unresolved(IpAddr),
}

/// Frames that wait for the device, oldest first.
#[derive(Debug, Default)]
pub(super) struct Backlog(VecDeque<Vec<u8>>);

impl Backlog {
    pub(super) fn held(&self) -> usize {
        self.0.iter().map(Vec::capacity).sum::<usize>() + self.0.capacity() * size_of::<Vec<u8>>()
    }

    /// Sends the waiting frames as long as there is space. Returns false if some still wait.
    pub(super) fn flush(&mut self, device: &mut dyn Transmitter) -> bool {
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

    /// Sends a frame or queues it. Returns false if the queue is full.
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
    /// Sends a packet, or queues it until its neighbour is resolved. A packet that is longer than the path MTU is
    /// fragmented, unless it must not be (RFC 791 section 3.2, RFC 8200 section 4.5).
    ///
    /// When a queued packet leaves, the caller is not told. If the neighbour does not answer, the packet is returned by
    /// [`poll_resolved`](Self::poll_resolved).
    ///
    /// # Errors
    /// See [`SendError`]. The packet was not queued then.
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
        let lead = self.lead(destination, next_hop, packet.owner, now);
        if let Lead::Unresolved(hop) = lead {
            return self.wait(hop, packet.owner, packet.bytes(), now);
        }
        if !self.backlog.flush(device) {
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

    /// Whether packets for a destination can leave now: there is a route, and the next hop's hardware address is known.
    /// If it is not known, it is only solicited when a packet [is sent](Self::send).
    pub fn reaches(&mut self, destination: IpAddr, owner: Owner, now: Instant) -> bool {
        let urgent = self.is_urgent;
        let next_hop = self.way_to(destination, now);
        let reaches =
            next_hop.is_ok_and(|next_hop| !matches!(self.lead(destination, next_hop, owner, now), Lead::Unresolved(_)));
        self.is_urgent = urgent;
        reaches
    }

    /// Sends several datagrams as one packet, to a destination that [is reachable](Self::reaches).
    ///
    /// # Errors
    /// [`SendError::Full`]; [`SendError::Unreachable`] if the destination is not reachable.
    pub fn send_joined(
        &mut self,
        packet: &Joined<'_>,
        now: Instant,
        device: &mut dyn Transmitter,
    ) -> Result<(), SendError> {
        let Joined { owner, header, head, payload, segment } = *packet;
        let next_hop = self.way_to(header.destination, now)?;
        let lead = self.lead(header.destination, next_hop, owner, now);
        if matches!(lead, Lead::Unresolved(_)) {
            return Err(SendError::Unreachable);
        }
        if !self.backlog.flush(device) {
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

    /// As [`send`](Self::send), for packets without an owner to report to: answers, errors and announcements. Such a
    /// packet also waits for the device. If too much waits, it is dropped and counted.
    pub(crate) fn answer(&mut self, packet: &Outgoing<'_>, now: Instant, device: &mut dyn Transmitter) {
        let destination = packet.header.destination;
        let Ok(next_hop) = self.way_to(destination, now) else {
            self.counters.dropped += 1;
            return;
        };
        self.give(packet.owner, packet.bytes(), destination, next_hop, now, device);
    }

    /// Sends a complete packet to a hardware address, for group reports and neighbour discovery.
    pub(super) fn send_to_link(&mut self, packet: &[u8], to: EthernetAddress, device: &mut dyn Transmitter) {
        if let Some(family) = EtherType::of_packet(packet) {
            self.push(Lead::Station(to), family, packet, device);
        }
    }

    /// Sends an ARP message.
    pub(super) fn send_arp(&mut self, message: &[u8], to: EthernetAddress, device: &mut dyn Transmitter) {
        self.push(Lead::Station(to), EtherType::Arp, message, device);
    }

    /// Sends a frame, or queues it for the device. If the queue is full, it is dropped and counted.
    fn push(&mut self, lead: Lead, family: EtherType, content: &[u8], device: &mut dyn Transmitter) {
        let (start, own) = (self.link_header(), self.link.hardware);
        let kept = self.backlog.push(start + content.len(), device, &mut |into| {
            let (link, rest) = into.split_at_mut(start);
            write_link_header(link, own, lead, family);
            rest.copy_from_slice(content);
        });
        self.counters.dropped += u64::from(!kept);
    }

    /// Sends the frames that wait for the device. Returns false if there is no space for some of them.
    pub fn catch_up(&mut self, device: &mut dyn Transmitter) -> bool {
        self.backlog.flush(device)
    }

    /// Whether frames wait for the device.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        !self.backlog.0.is_empty()
    }

    /// Whether an owner has as many packets waiting for the next hop of a destination as it may have.
    #[must_use]
    pub fn is_crowded(&mut self, destination: IpAddr, owner: Owner) -> bool {
        let next_hop = self.next_hop(destination);
        next_hop.is_ok_and(|next_hop| self.has_most_waiting(next_hop.hop, owner))
    }

    fn has_most_waiting(&self, hop: IpAddr, owner: Owner) -> bool {
        let is_own = |waiting: &&Waiting| matches!(waiting, Waiting::Packet(of, _) if *of == owner);
        self.neighbours.waiting_for(hop).filter(is_own).count() >= MOST_WAITING_EACH
    }

    /// Whether a neighbour is known or being resolved, or can be resolved without displacing another one of the same
    /// owner.
    pub(crate) fn may_ask(&self, hop: IpAddr, owner: Owner) -> bool {
        self.link.hardware.is_none() || self.neighbours.may_ask(hop, owner)
    }

    /// Registers a sender that could not send a packet because its neighbour is not known. The result is returned by
    /// [`poll_resolved`](Self::poll_resolved).
    pub fn await_neighbour(&mut self, hop: IpAddr, owner: Owner, sender: Key, now: Instant) {
        let waiting = Waiting::Sender(owner, sender);
        // A sender waits at most once for a neighbour.
        (0..self.neighbours.cancel(hop, |known| *known == waiting)).for_each(|_| self.waiting.give_back(owner, 0));
        if self.enqueue(hop, owner, waiting, now).is_err() {
            self.resolved.push_back(Resolved::Displaced(sender));
        }
    }

    /// Queues what waits for a neighbour.
    ///
    /// # Errors
    /// [`SendError::Crowded`] if the owner has its share of what waits, or the neighbour cannot be resolved now.
    fn enqueue(&mut self, hop: IpAddr, owner: Owner, waiting: Waiting, now: Instant) -> Result<(), SendError> {
        let bytes = waiting.bytes();
        if !self.waiting.admits(owner, bytes) {
            return Err(SendError::Crowded);
        }
        let displaced = self.neighbours.wait(hop, waiting, owner, now).map_err(|_| SendError::Crowded)?;
        self.waiting.take(owner, bytes);
        // The shares are such that nothing is displaced.
        displaced.into_iter().for_each(|displaced| self.displace(&displaced));
        Ok(())
    }

    /// Sends a packet whose neighbour has answered, by the current route. If there is no route any more, it is sent to
    /// that neighbour: a DHCP release is sent while the address is removed (RFC 2131 section 4.4.6).
    pub(super) fn release(
        &mut self,
        owner: Owner,
        packet: Vec<u8>,
        hop: IpAddr,
        now: Instant,
        device: &mut dyn Transmitter,
    ) {
        let Some(destination) = crate::wire::destination(&packet) else { return };
        let Ok(next_hop) = self.way_to(destination, now) else {
            match self.neighbours.resolve(hop, owner, now) {
                Some(station) => self.put(Lead::Station(station), &packet, self.link.mtu, now, device),
                None => self.counters.dropped += 1,
            }
            return;
        };
        self.give(owner, packet, destination, next_hop, now, device);
    }

    /// Sends a packet to its next hop, or queues it until that is resolved. If too much waits, it is dropped and
    /// counted.
    fn give(
        &mut self,
        owner: Owner,
        packet: Vec<u8>,
        destination: IpAddr,
        next_hop: Option<NextHop>,
        now: Instant,
        device: &mut dyn Transmitter,
    ) {
        let mtu = self.mtu_to(destination, now);
        match self.lead(destination, next_hop, owner, now) {
            Lead::Unresolved(hop) => {
                let waits = self.wait(hop, owner, packet, now).is_ok();
                self.counters.dropped += u64::from(!waits);
            }
            lead => self.put(lead, &packet, mtu, now, device),
        }
    }

    /// Sends a complete packet, in fragments if it exceeds the path MTU. Frames that find no space wait for the device.
    fn put(&mut self, lead: Lead, packet: &[u8], mtu: usize, now: Instant, device: &mut dyn Transmitter) {
        if packet.len() > mtu {
            self.backlog.flush(device);
            self.send_in_fragments(lead, packet, mtu, true, now, device);
            return;
        }
        if let Some(family) = EtherType::of_packet(packet) {
            self.push(lead, family, packet, device);
        }
    }

    /// Sends a packet in fragments. Once the first fragment has left, the others wait for the device if they must. With
    /// `keeps`, the first fragment may wait too. Without it, the result is false if the first fragment could not leave;
    /// then nothing was sent.
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
            // A partial set of fragments would be useless.
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
                // The queue has space for all of them.
                let _kept = self.backlog.push(length, device, &mut write);
            }
        }
        true
    }

    /// Queues a packet for a neighbour. If too many packets wait, none is displaced: otherwise packets that answer
    /// strangers would displace packets of other senders.
    pub(super) fn wait(&mut self, hop: IpAddr, owner: Owner, packet: Vec<u8>, now: Instant) -> Result<(), SendError> {
        if self.has_most_waiting(hop, owner) {
            return Err(SendError::Crowded);
        }
        self.enqueue(hop, owner, Waiting::Packet(owner, packet), now)
    }

    /// The next hop, or `None` if the link needs none.
    pub(super) fn way_to(&mut self, destination: IpAddr, now: Instant) -> Result<Option<NextHop>, SendError> {
        if self.link.loops_back {
            return Ok(None);
        }
        let next_hop = self.next_hop(destination).map_err(|_| SendError::Unreachable)?;
        if let Some(avoided) = next_hop.avoided.filter(|_| self.link.hardware.is_some()) {
            self.neighbours.pass_over(avoided, now);
        }
        Ok(Some(next_hop))
    }

    /// The station that a packet is sent to. If its hardware address is unknown, it is solicited.
    pub(super) fn lead(&mut self, destination: IpAddr, next_hop: Option<NextHop>, owner: Owner, now: Instant) -> Lead {
        let (Some(_), Some(next_hop)) = (self.link.hardware, next_hop) else { return Lead::Link };
        if destination.is_multicast() {
            return Lead::Station(multicast_hardware(destination));
        }
        if self.addresses.is_broadcast(destination) {
            return Lead::Station(EthernetAddress::BROADCAST);
        }
        match self.neighbours.resolve(next_hop.hop, owner, now) {
            Some(station) => Lead::Station(station),
            None => {
                self.is_urgent = true;
                Lead::Unresolved(next_hop.hop)
            }
        }
    }

    pub(super) const fn link_header(&self) -> usize {
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
        // The packet may be queued and fragmented, so its checksum is always computed.
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
    pub(super) const fn of(address: IpAddr) -> Self {
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

/// Writes an Ethernet header, if the buffer has room for one.
pub(super) fn write_link_header(into: &mut [u8], own: Option<EthernetAddress>, lead: Lead, family: EtherType) {
    let (Some(into), Some(own), Lead::Station(to)) = (into.first_chunk_mut::<ETHERNET_HEADER>(), own, lead) else {
        return;
    };
    into[..6].copy_from_slice(&to.0);
    into[6..12].copy_from_slice(&own.0);
    into[12..].copy_from_slice(&family.bytes());
}
