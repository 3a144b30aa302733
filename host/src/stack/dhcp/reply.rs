//! What a server answers, and whether it can be used.

use core::net::Ipv4Addr;
use core::time::Duration;

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    DhcpMessageType, DhcpPacket, DhcpRepr, EthernetFrame, EthernetProtocol, IpProtocol, Ipv4Packet, Ipv4Repr,
    UdpPacket, UdpRepr,
};

use crate::address::{Cidr, MacAddress};

/// The time that stands for "for ever" on the wire: 136 years (RFC 2131 section 3.3).
pub(super) const FOR_EVER: Duration = Duration::from_secs(u32::MAX as u64);
/// For how long a lease is that does not say so, as smoltcp has it.
const UNSAID: Duration = Duration::from_secs(120);

/// A message of a DHCP server.
pub(super) struct Reply {
    pub(super) kind: DhcpMessageType,
    pub(super) transaction: u32,
    /// The hardware address of the client it is for.
    pub(super) client: [u8; 6],
    /// Who handed it on.
    pub(super) from: MacAddress,
    source: Ipv4Addr,
    server: Option<Ipv4Addr>,
    address: Ipv4Addr,
    mask: Option<Ipv4Addr>,
    router: Option<Ipv4Addr>,
    dns_servers: Vec<Ipv4Addr>,
    lifetime: Option<u32>,
}

/// What a server lends, once it is known to make sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) address: Cidr,
    pub(super) router: Option<Ipv4Addr>,
    pub(super) dns_servers: Vec<Ipv4Addr>,
    /// For how long; `None` for ever.
    pub(super) lifetime: Option<Duration>,
}

impl Reply {
    /// Reads a frame; `None` where the engine would not take it as a DHCP message either.
    pub(super) fn read(frame: &[u8], checksums: &ChecksumCapabilities) -> Option<Self> {
        /// RFC 2132 section 3.5.
        const ROUTERS: u8 = 3;
        let ethernet = EthernetFrame::new_checked(frame).ok()?;
        if ethernet.ethertype() != EthernetProtocol::Ipv4 {
            return None;
        }
        let ip = Ipv4Packet::new_checked(ethernet.payload()).ok()?;
        let header = Ipv4Repr::parse(&ip, checksums).ok()?;
        if header.next_header != IpProtocol::Udp {
            return None;
        }
        let udp = UdpPacket::new_checked(ip.payload()).ok()?;
        UdpRepr::parse(&udp, &header.src_addr.into(), &header.dst_addr.into(), checksums).ok()?;
        let packet = DhcpPacket::new_checked(udp.payload()).ok()?;
        let dhcp = DhcpRepr::parse(&packet).ok()?;
        // smoltcp knows no router where a server names several; the first is the one it prefers.
        let routers = packet.options().find(|option| option.kind == ROUTERS).map(|option| option.data);
        let router = routers.and_then(<[u8]>::first_chunk::<4>).map(|octets| Ipv4Addr::from(*octets));
        Some(Self {
            kind: dhcp.message_type,
            transaction: dhcp.transaction_id,
            client: dhcp.client_hardware_address.0,
            from: MacAddress::new(ethernet.src_addr().0).ok()?,
            source: header.src_addr,
            server: dhcp.server_identifier,
            address: dhcp.your_ip,
            mask: dhcp.subnet_mask,
            router,
            dns_servers: dhcp.dns_servers.map(|servers| servers.to_vec()).unwrap_or_default(),
            lifetime: dhcp.lease_duration,
        })
    }

    /// What it lends.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn terms(&self) -> Result<Terms, &'static str> {
        if !is_host(self.source) {
            return Err("it comes from an address that no server can have");
        }
        if !self.server.is_some_and(is_host) {
            return Err("it names no server");
        }
        let prefix = match self.mask {
            Some(mask) if mask.to_bits().leading_ones() == mask.to_bits().count_ones() => mask.to_bits().leading_ones(),
            Some(_) => return Err("the mask has holes"),
            // An offer need not say all that will be lent.
            None if self.kind == DhcpMessageType::Offer => 32,
            None => return Err("the mask is missing"),
        };
        let prefix = u8::try_from(prefix).ok().filter(|prefix| *prefix > 0).ok_or("everything is on its link")?;
        let address = Cidr::new(self.address.into(), prefix).map_err(|_| "the address is none")?;
        if !is_host_of(self.address, self.address, prefix) {
            return Err("no host can have the address");
        }
        if self.router.is_some_and(|router| router == self.address || !is_host_of(router, self.address, prefix)) {
            return Err("no router can have the router's address");
        }
        let lifetime = match self.lifetime {
            Some(0) => return Err("it is lent for no time"),
            Some(u32::MAX) => None,
            Some(seconds) => Some(Duration::from_secs(seconds.into())),
            None => Some(UNSAID),
        };
        let dns_servers = self.dns_servers.iter().copied().filter(|server| is_host(*server)).collect();
        Ok(Terms { address, router: self.router, dns_servers, lifetime })
    }
}

/// Whether a host on a link can have an address: not "this network", nor this host, nor a group, nor what is reserved
/// (RFC 6890).
fn is_host(address: Ipv4Addr) -> bool {
    !matches!(address.octets()[0], 0 | 127 | 224..)
}

/// As [`is_host`], with the network known: neither its own address nor its broadcast address. A network of two has
/// neither (RFC 3021).
fn is_host_of(address: Ipv4Addr, of: Ipv4Addr, prefix: u8) -> bool {
    let host_bits = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
    let within = (address.to_bits() ^ of.to_bits()) & !host_bits == 0;
    let host = address.to_bits() & host_bits;
    is_host(address) && (prefix >= 31 || !within || (host != 0 && host != host_bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply() -> Reply {
        Reply {
            kind: DhcpMessageType::Ack,
            transaction: 1,
            client: [2, 0, 0, 0, 0, 1],
            from: MacAddress::locally_administered([0; 6]),
            source: [10, 0, 0, 1].into(),
            server: Some([10, 0, 0, 1].into()),
            address: [10, 0, 0, 5].into(),
            mask: Some([255, 255, 255, 0].into()),
            router: Some([10, 0, 0, 1].into()),
            dns_servers: vec![[10, 0, 0, 1].into(), [0; 4].into(), [224, 0, 0, 1].into(), [9, 9, 9, 9].into()],
            lifetime: Some(60),
        }
    }

    #[test]
    fn a_lease_that_makes_sense_is_taken_but_for_servers_that_cannot_be() {
        let terms = reply().terms().expect("it makes sense");
        assert_eq!(terms.address.to_string(), "10.0.0.5/24");
        assert_eq!(terms.dns_servers, [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(9, 9, 9, 9)]);
        assert_eq!(terms.lifetime, Some(Duration::from_secs(60)));
        assert_eq!(Reply { lifetime: Some(u32::MAX), ..reply() }.terms().expect("for ever").lifetime, None);
    }

    #[test]
    fn the_smallest_networks_are_legal() {
        for (mask, address) in [([255, 255, 255, 254], [10, 0, 0, 2]), ([255; 4], [10, 0, 0, 255])] {
            let small = Reply { mask: Some(mask.into()), address: address.into(), ..reply() };
            assert!(small.terms().is_ok(), "{mask:?}");
        }
    }

    #[test]
    fn an_offer_may_leave_out_what_the_lease_must_say() {
        assert!(Reply { mask: None, ..reply() }.terms().is_err());
        assert!(Reply { mask: None, kind: DhcpMessageType::Offer, ..reply() }.terms().is_ok());
    }

    #[test]
    fn addresses_that_no_host_can_have_are_refused() {
        let networks = [[0, 0, 0, 0], [0, 0, 0, 1], [127, 0, 0, 1], [224, 0, 0, 1], [255; 4], [240, 0, 0, 1]];
        for bad in networks.into_iter().chain([[10, 0, 0, 0], [10, 0, 0, 255]]) {
            assert!(Reply { address: bad.into(), ..reply() }.terms().is_err(), "address {bad:?}");
            assert!(Reply { router: Some(bad.into()), ..reply() }.terms().is_err(), "router {bad:?}");
        }
        assert!(Reply { router: Some([10, 0, 0, 5].into()), ..reply() }.terms().is_err(), "itself");
        for bad in [[0; 4], [255, 0, 255, 0], [0, 0, 0, 255]] {
            assert!(Reply { mask: Some(bad.into()), ..reply() }.terms().is_err(), "mask {bad:?}");
        }
        assert!(Reply { lifetime: Some(0), ..reply() }.terms().is_err());
        assert!(Reply { server: None, ..reply() }.terms().is_err());
        assert!(Reply { source: [0; 4].into(), ..reply() }.terms().is_err());
    }
}
