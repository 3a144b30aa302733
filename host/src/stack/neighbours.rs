//! The hosts on the link: asking for hardware addresses that smoltcp does not ask for in time, and knowing who answered.
//!
//! smoltcp keeps silent for a second after any solicitation, whomever it was for: one host that does not answer would
//! hold back every other that is not known yet, for as long as somebody tries to reach it. So where the engine kept
//! silent, the stack asks by itself, once a second for each next hop. The answers go to the engine's cache as usual. It shows that cache
//! to nobody, so the stack reads the same answers by the same rules, and remembers them for who asks.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use hashbrown::HashMap;
use smoltcp::phy::{ChecksumCapabilities, Medium as WireMedium};
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr, HardwareAddress,
    Icmpv6Packet, Icmpv6Repr, IpProtocol, Ipv6Packet, Ipv6Repr, NdiscNeighborFlags, NdiscRepr,
};

use xila_network_commands::interface::{Neighbour, State};

use super::Core;
use super::autoconfiguration::ALL_NODES;
use super::phy::Outcome;
use crate::address::{MacAddress, is_unicast};
use crate::device::{ETHERNET_HEADER, Medium};
use crate::platform::Instant;

/// The time between two solicitations for one next hop (RFC 4861 section 10, RETRANS_TIMER; RFC 1122 section 2.3.2.1).
pub(super) const RETRANSMIT: Duration = Duration::from_secs(1);
/// How many of them are sent before the next hop counts as unreachable (RFC 4861, MAX_MULTICAST_SOLICIT).
pub(super) const SOLICITATIONS: u8 = 3;
/// How many next hops are remembered as asked, and how many hosts as known: as many as smoltcp is built with.
const MOST: usize = 256;
/// For how long a host is remembered that is not heard again.
const MEMORY: Duration = Duration::from_secs(600);

/// How long a hardware address is believed without a question (RFC 4861 section 10, REACHABLE_TIME is half of it; smoltcp has
/// this one).
const REACHABLE: Duration = Duration::from_secs(60);
/// And how long while the host is asked.
const PROBING: Duration = Duration::from_secs(4);

/// A host whose hardware address is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) hardware: MacAddress,
    /// It was heard of late, and need not be asked.
    pub(super) fresh: bool,
}

/// Whom the stack has asked for, and when; who was heard.
#[derive(Debug, Default)]
pub(super) struct Neighbours {
    asked: HashMap<IpAddr, Instant>,
    heard: HashMap<IpAddr, (MacAddress, Instant)>,
}

impl Neighbours {
    /// Whether it is time to ask for a next hop; notes that it was.
    fn may_ask(&mut self, hop: IpAddr, now: Instant) -> bool {
        if self.asked.get(&hop).is_some_and(|asked| now - *asked < RETRANSMIT) {
            return false;
        }
        self.note(hop, now)
    }

    /// Notes that a next hop was asked for; false where too many were.
    fn note(&mut self, hop: IpAddr, now: Instant) -> bool {
        if self.asked.len() >= MOST {
            self.asked.retain(|_, asked| now - *asked < RETRANSMIT);
        }
        // So many strangers within a second are nobody's real destinations.
        let room = self.asked.len() < MOST;
        if room {
            self.asked.insert(hop, now);
        }
        room
    }

    /// Remembers whose hardware address was heard; of too many, the one that was longest silent is forgotten.
    fn remember(&mut self, host: IpAddr, hardware: MacAddress, now: Instant) {
        if self.heard.len() >= MOST && !self.heard.contains_key(&host) {
            let oldest = self.heard.iter().min_by_key(|(_, (_, heard))| *heard).map(|(host, _)| *host);
            oldest.map(|host| self.heard.remove(&host));
        }
        self.heard.insert(host, (hardware, now));
    }

    /// The hardware address of a host on the link, as far as it is known.
    pub(super) fn find(&self, host: IpAddr, now: Instant) -> Option<Known> {
        let &(hardware, heard) = self.heard.get(&host)?;
        let age = now - heard;
        (age < REACHABLE + PROBING).then_some(Known { hardware, fresh: age < REACHABLE })
    }

    /// A host that is known was heard, by a packet of its own or one that it has passed on.
    fn confirm(&mut self, host: IpAddr, hardware: [u8; 6], now: Instant) {
        if let Some((known, heard)) = self.heard.get_mut(&host)
            && known.octets() == hardware
        {
            *heard = now;
        }
    }

    /// As the engine forgets its neighbours when an address changes.
    pub(super) fn forget(&mut self) {
        self.heard.clear();
    }
}

impl Core {
    /// The hosts whose hardware address is known, by address.
    pub(crate) fn neighbours(&self) -> Vec<Neighbour> {
        let mut known: Vec<Neighbour> = self
            .neighbours
            .heard
            .iter()
            .map(|(&address, &(hardware_address, heard))| Neighbour {
                address,
                hardware_address,
                age: self.now - heard,
            })
            .filter(|neighbour| neighbour.age < MEMORY)
            .collect();
        known.sort_unstable_by_key(|neighbour| neighbour.address);
        known
    }

    /// An ARP packet, a neighbour solicitation or an advertisement has arrived: remembers its sender, where the engine
    /// does (RFC 826; RFC 4861 sections 7.2.3 and 7.2.5).
    pub(super) fn hear_neighbour(&mut self, frame: &[u8]) {
        let Some(Sender { host, hardware, asks_for }) = sender(frame, self.verifies()) else { return };
        // ARP between others is not for us.
        if asks_for.is_some_and(|target| !self.has_address(target)) {
            return;
        }
        let Ok(hardware) = MacAddress::new(hardware.0) else { return };
        let on_link = self.addresses.iter().any(|known| known.cidr.contains(host));
        if is_unicast(host) && on_link && !self.has_address(host) {
            self.neighbours.remember(host, hardware, self.now);
            self.hop_found(host);
        }
    }

    /// A packet of a remote host has come from this hardware address: whoever leads there is still there.
    pub(super) fn confirm_neighbour(&mut self, remote: IpAddr, hardware: EthernetAddress) {
        if let Some(hop) = self.next_hop(remote) {
            self.neighbours.confirm(hop, hardware.0, self.now);
        }
    }

    /// Asks for a next hop, unless it was asked within the last second.
    pub(super) fn solicit_hop(&mut self, hop: IpAddr) {
        let Some(hardware) = self.hardware_address else { return };
        if self.neighbours.may_ask(hop, self.now) {
            self.solicit_from(hop, hardware);
        }
    }

    fn solicit_from(&mut self, hop: IpAddr, hardware: MacAddress) {
        match (hop, self.source_address(hop)) {
            (IpAddr::V4(hop), Some(IpAddr::V4(source))) => self.solicit_v4(hop, source, hardware),
            (IpAddr::V6(hop), Some(IpAddr::V6(source))) => self.solicit_v6(hop, source, hardware),
            _ => {}
        }
    }

    /// Somebody wants to take an address, and asks the link whether it is free: he is told of those that this host has
    /// (RFC 5227 section 2.1.1; RFC 4861 section 7.2.4). smoltcp answers nobody who has no address yet.
    pub(super) fn defend(&mut self, frame: &[u8]) {
        let Some((from, target)) = wanted(frame, self.verifies()) else { return };
        let Some(hardware) = self.hardware_address.filter(|own| own.octets() != from.0) else { return };
        if !self.has_address(target) || !self.may_answer() {
            return;
        }
        let own = EthernetAddress(hardware.octets());
        match target {
            IpAddr::V4(target) => {
                let reply = ArpRepr::EthernetIpv4 {
                    operation: ArpOperation::Reply,
                    source_hardware_addr: own,
                    source_protocol_addr: target,
                    target_hardware_addr: from,
                    target_protocol_addr: Ipv4Addr::UNSPECIFIED,
                };
                self.emit_frame(hardware, from, EthernetProtocol::Arp, reply.buffer_len(), |payload| {
                    reply.emit(&mut ArpPacket::new_unchecked(payload));
                });
            }
            IpAddr::V6(target) => {
                let flags = NdiscNeighborFlags::OVERRIDE;
                let advert = NdiscRepr::NeighborAdvert { flags, target_addr: target, lladdr: Some(own.into()) };
                self.emit_icmpv6(target, ALL_NODES, &Icmpv6Repr::Ndisc(advert));
            }
        }
    }

    /// After an attempt to send to `destination`: asks for the next hop where the packet waits for it and the engine has
    /// not asked itself.
    pub(super) fn solicit(&mut self, destination: IpAddr, outcome: Outcome) {
        if self.capabilities.medium != Medium::Ethernet || !outcome.awaits_neighbour() {
            return;
        }
        let (Some(hop), Some(hardware)) = (self.next_hop(destination), self.hardware_address) else { return };
        if outcome.solicited {
            // The engine has just asked, for this one.
            self.neighbours.note(hop, self.now);
        } else if self.neighbours.may_ask(hop, self.now) {
            self.solicit_from(hop, hardware);
        }
    }

    fn solicit_v4(&mut self, hop: Ipv4Addr, source: Ipv4Addr, hardware: MacAddress) {
        let request = ArpRepr::EthernetIpv4 {
            operation: ArpOperation::Request,
            source_hardware_addr: EthernetAddress(hardware.octets()),
            source_protocol_addr: source,
            target_hardware_addr: EthernetAddress::BROADCAST,
            target_protocol_addr: hop,
        };
        self.emit_frame(hardware, EthernetAddress::BROADCAST, EthernetProtocol::Arp, request.buffer_len(), |payload| {
            request.emit(&mut ArpPacket::new_unchecked(payload));
        });
    }

    fn solicit_v6(&mut self, hop: Ipv6Addr, source: Ipv6Addr, hardware: MacAddress) {
        let solicit = Icmpv6Repr::Ndisc(NdiscRepr::NeighborSolicit {
            target_addr: hop,
            lladdr: Some(EthernetAddress(hardware.octets()).into()),
        });
        self.emit_icmpv6(source, solicited_node(hop), &solicit);
    }

    /// Sends an ICMPv6 message of the stack's own to a group on the link; whether the device took it.
    pub(super) fn emit_icmpv6(&mut self, source: Ipv6Addr, group: Ipv6Addr, message: &Icmpv6Repr<'_>) -> bool {
        let Some(hardware) = self.hardware_address else { return false };
        // RFC 2464 section 7.
        let [.., a, b, c, d] = group.octets();
        let to = EthernetAddress([0x33, 0x33, a, b, c, d]);
        let header = Ipv6Repr {
            src_addr: source,
            dst_addr: group,
            next_header: IpProtocol::Icmpv6,
            payload_len: message.buffer_len(),
            hop_limit: 255,
        };
        let length = header.buffer_len() + message.buffer_len();
        self.emit_frame(hardware, to, EthernetProtocol::Ipv6, length, |payload| {
            header.emit(&mut Ipv6Packet::new_unchecked(&mut *payload));
            let mut icmp = Icmpv6Packet::new_unchecked(&mut payload[header.buffer_len()..]);
            message.emit(&source, &group, &mut icmp, &ChecksumCapabilities::default());
        })
    }

    /// Sends a frame of the stack's own, while the interface is up. Lost where the device is full; whether it was not.
    pub(super) fn emit_frame(
        &mut self,
        from: MacAddress,
        to: EthernetAddress,
        ethertype: EthernetProtocol,
        length: usize,
        fill: impl FnOnce(&mut [u8]),
    ) -> bool {
        let Some(port) = self.port.as_mut().filter(|_| self.state == State::Up) else { return false };
        let Some(mut frame) = port.device.allocate(self.now, ETHERNET_HEADER + length) else { return false };
        let header = EthernetRepr { src_addr: EthernetAddress(from.octets()), dst_addr: to, ethertype };
        header.emit(&mut EthernetFrame::new_unchecked(&mut frame[..]));
        fill(&mut frame[ETHERNET_HEADER..]);
        port.transmit(self.now, frame);
        true
    }
}

/// Who says in an Ethernet frame which hardware address it has.
struct Sender {
    host: IpAddr,
    hardware: EthernetAddress,
    /// Whom an ARP packet is for.
    asks_for: Option<IpAddr>,
}

fn sender(frame: &[u8], verify: bool) -> Option<Sender> {
    let ethernet = EthernetFrame::new_checked(frame).ok()?;
    match ethernet.ethertype() {
        EthernetProtocol::Arp => match ArpRepr::parse(&ArpPacket::new_checked(ethernet.payload()).ok()?).ok()? {
            ArpRepr::EthernetIpv4 { source_hardware_addr, source_protocol_addr, target_protocol_addr, .. } => {
                Some(Sender {
                    host: source_protocol_addr.into(),
                    hardware: source_hardware_addr,
                    asks_for: Some(target_protocol_addr.into()),
                })
            }
            _ => None,
        },
        EthernetProtocol::Ipv6 => {
            let (source, message) = discovery(ethernet.payload(), verify)?;
            // A solicitation is about its source, an advertisement about its target (RFC 4861 sections 7.2.3 and 7.2.5).
            let (host, lladdr) = match message {
                NdiscRepr::NeighborAdvert { lladdr, target_addr, .. } => (target_addr, lladdr?),
                NdiscRepr::NeighborSolicit { lladdr, .. } => (source, lladdr?),
                _ => return None,
            };
            match lladdr.parse(WireMedium::Ethernet).ok()? {
                HardwareAddress::Ethernet(hardware) => Some(Sender { host: host.into(), hardware, asks_for: None }),
                #[allow(unreachable_patterns, reason = "smoltcp's media depend on features of other crates too")]
                _ => None,
            }
        }
        EthernetProtocol::Ipv4 | EthernetProtocol::Unknown(_) => None,
    }
}

/// Who asks in an Ethernet frame, without an address of his own, for one that he would like to have.
fn wanted(frame: &[u8], verify: bool) -> Option<(EthernetAddress, IpAddr)> {
    let ethernet = EthernetFrame::new_checked(frame).ok()?;
    match ethernet.ethertype() {
        EthernetProtocol::Arp => match ArpRepr::parse(&ArpPacket::new_checked(ethernet.payload()).ok()?).ok()? {
            ArpRepr::EthernetIpv4 {
                operation: ArpOperation::Request,
                source_hardware_addr,
                source_protocol_addr: Ipv4Addr::UNSPECIFIED,
                target_protocol_addr,
                ..
            } if source_hardware_addr.is_unicast() => Some((source_hardware_addr, target_protocol_addr.into())),
            _ => None,
        },
        EthernetProtocol::Ipv6 => match discovery(ethernet.payload(), verify)? {
            (Ipv6Addr::UNSPECIFIED, NdiscRepr::NeighborSolicit { target_addr, lladdr: None }) => {
                Some((ethernet.src_addr(), target_addr.into()))
            }
            _ => None,
        },
        EthernetProtocol::Ipv4 | EthernetProtocol::Unknown(_) => None,
    }
}

/// A message of neighbour discovery in an IPv6 packet, and its source. Its hop limit proves that it comes from the link (RFC 4861 section
/// 7.1).
pub(super) fn discovery(packet: &[u8], verify: bool) -> Option<(Ipv6Addr, NdiscRepr<'_>)> {
    let ip = Ipv6Packet::new_checked(packet).ok()?;
    if ip.next_header() != IpProtocol::Icmpv6 || ip.hop_limit() != 255 {
        return None;
    }
    let (source, destination) = (ip.src_addr(), ip.dst_addr());
    let icmp = Icmpv6Packet::new_checked(packet.get(ip.header_len()..ip.total_len())?).ok()?;
    if verify && !icmp.verify_checksum(&source, &destination) {
        return None;
    }
    Some((source, NdiscRepr::parse(&icmp).ok()?))
}

/// The group of all hosts whose address ends as `target` does (RFC 4291 section 2.7.1).
pub(super) fn solicited_node(target: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = target.octets();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), u16::from_be_bytes([b, c]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_next_hop_is_asked_once_a_second() {
        let mut neighbours = Neighbours::default();
        let at = |millis| Instant::from_origin(Duration::from_millis(millis));
        let (one, other) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        assert!(neighbours.may_ask(one, at(0)));
        assert!(neighbours.may_ask(other, at(1)), "one that is silent does not silence the other");
        assert!(!neighbours.may_ask(one, at(999)));
        assert!(neighbours.may_ask(one, at(1000)));
    }

    #[test]
    fn those_heard_are_bounded_and_the_oldest_goes_first() {
        let mut neighbours = Neighbours::default();
        let hardware = MacAddress::locally_administered([1; 6]);
        for host in 0..1000u32 {
            let now = Instant::from_origin(Duration::from_millis(host.into()));
            neighbours.remember(Ipv4Addr::from_bits(host).into(), hardware, now);
        }
        assert_eq!(neighbours.heard.len(), MOST);
        assert!(neighbours.heard.contains_key(&IpAddr::from(Ipv4Addr::from_bits(999))));
    }

    #[test]
    fn those_asked_are_bounded() {
        let mut neighbours = Neighbours::default();
        for host in 0..10_000u32 {
            neighbours.may_ask(Ipv4Addr::from_bits(host).into(), Instant::ORIGIN);
        }
        assert_eq!(neighbours.asked.len(), MOST);
        assert!(neighbours.may_ask([10, 0, 0, 1].into(), Instant::ORIGIN + RETRANSMIT));
    }
}
