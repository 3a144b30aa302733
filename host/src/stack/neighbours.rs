//! Asking for hardware addresses that smoltcp does not ask for in time.
//!
//! smoltcp keeps silent for a second after any solicitation, whomever it was for: one host that does not answer would
//! hold back every other that is not known yet, for as long as somebody tries to reach it. So where the engine kept
//! silent, the stack asks by itself, once a second for each next hop. The answers go to the engine's cache as usual.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use hashbrown::HashMap;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr, Icmpv6Packet,
    Icmpv6Repr, IpProtocol, Ipv6Packet, Ipv6Repr, NdiscRepr,
};

use super::Core;
use super::phy::Outcome;
use crate::address::MacAddress;
use crate::device::{ETHERNET_HEADER, Medium};
use crate::platform::Instant;

/// The time between two solicitations for one next hop (RFC 4861 section 10, RETRANS_TIMER; RFC 1122 section 2.3.2.1).
pub(super) const RETRANSMIT: Duration = Duration::from_secs(1);
/// How many of them are sent before the next hop counts as unreachable (RFC 4861, MAX_MULTICAST_SOLICIT).
pub(super) const SOLICITATIONS: u8 = 3;
/// How many next hops are remembered as asked.
const MOST: usize = 256;

/// Whom the stack has asked for, and when.
#[derive(Debug, Default)]
pub(super) struct Neighbours {
    asked: HashMap<IpAddr, Instant>,
}

impl Neighbours {
    /// Whether it is time to ask for a next hop; notes that it was.
    fn may_ask(&mut self, hop: IpAddr, now: Instant) -> bool {
        if self.asked.get(&hop).is_some_and(|asked| now - *asked < RETRANSMIT) {
            return false;
        }
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
}

impl Core {
    /// After an attempt to send to `destination`: asks for the next hop where the packet waits for it and the engine has
    /// not asked itself.
    pub(super) fn solicit(&mut self, destination: IpAddr, outcome: Outcome) {
        if self.capabilities.medium != Medium::Ethernet || !outcome.awaits_neighbour() {
            return;
        }
        let (Some(hop), Some(hardware)) = (self.next_hop(destination), self.hardware_address) else { return };
        if outcome.solicited {
            // The engine has just asked, for this one.
            self.neighbours.asked.insert(hop, self.now);
        } else if self.neighbours.may_ask(hop, self.now) {
            match (hop, self.source_address(hop)) {
                (IpAddr::V4(hop), Some(IpAddr::V4(source))) => self.solicit_v4(hop, source, hardware),
                (IpAddr::V6(hop), Some(IpAddr::V6(source))) => self.solicit_v6(hop, source, hardware),
                _ => {}
            }
        }
    }

    /// The host on the link that packets for `destination` are given to.
    fn next_hop(&self, destination: IpAddr) -> Option<IpAddr> {
        if self.addresses().iter().any(|cidr| cidr.contains(destination)) {
            return Some(destination);
        }
        let routes = self.routes().iter().filter(|route| route.destination().contains(destination));
        routes.max_by_key(|route| route.destination().prefix()).map(|route| route.gateway())
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
        // The solicited-node group of the target (RFC 4291 section 2.7.1), and its group address on Ethernet (RFC 2464
        // section 7).
        let [.., a, b, c] = hop.octets();
        let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), u16::from_be_bytes([b, c]));
        let to = EthernetAddress([0x33, 0x33, 0xff, a, b, c]);
        let header = Ipv6Repr {
            src_addr: source,
            dst_addr: group,
            next_header: IpProtocol::Icmpv6,
            payload_len: solicit.buffer_len(),
            hop_limit: 255,
        };
        let length = header.buffer_len() + solicit.buffer_len();
        self.emit_frame(hardware, to, EthernetProtocol::Ipv6, length, |payload| {
            header.emit(&mut Ipv6Packet::new_unchecked(&mut *payload));
            let mut icmp = Icmpv6Packet::new_unchecked(&mut payload[header.buffer_len()..]);
            solicit.emit(&source, &group, &mut icmp, &ChecksumCapabilities::default());
        });
    }

    /// Sends a frame of the stack's own. Lost where the device is full: it will be asked again.
    fn emit_frame(
        &mut self,
        from: MacAddress,
        to: EthernetAddress,
        ethertype: EthernetProtocol,
        length: usize,
        fill: impl FnOnce(&mut [u8]),
    ) {
        let Some(port) = &mut self.port else { return };
        let Some(mut frame) = port.device.allocate(self.now, ETHERNET_HEADER + length) else { return };
        let header = EthernetRepr { src_addr: EthernetAddress(from.octets()), dst_addr: to, ethertype };
        header.emit(&mut EthernetFrame::new_unchecked(&mut frame[..]));
        fill(&mut frame[ETHERNET_HEADER..]);
        port.transmit(self.now, frame);
    }
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
    fn those_asked_are_bounded() {
        let mut neighbours = Neighbours::default();
        for host in 0..10_000u32 {
            neighbours.may_ask(Ipv4Addr::from_bits(host).into(), Instant::ORIGIN);
        }
        assert_eq!(neighbours.asked.len(), MOST);
        assert!(neighbours.may_ask([10, 0, 0, 1].into(), Instant::ORIGIN + RETRANSMIT));
    }
}
