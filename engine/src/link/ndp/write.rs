//! Emitting of neighbour discovery messages with their checksums. The caller sends them with a hop limit of 255 (RFC
//! 4861 section 4).

use alloc::vec::Vec;
use core::net::Ipv6Addr;

use smoltcp::wire::EthernetAddress;

use super::{Advertisement, Solicitation, options, types};
use crate::ip::icmp::write::message;

/// The flags of an advertisement (RFC 4861 section 4.4).
pub(super) const ROUTER: u8 = 0x80;
pub(super) const SOLICITED: u8 = 0x40;
pub(super) const OVERRIDE: u8 = 0x20;

/// The group of all nodes of the link, ff02::1 (RFC 4291 section 2.7.1).
#[must_use]
pub const fn all_nodes() -> Ipv6Addr {
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1)
}

/// The group of all routers of the link, ff02::2 (RFC 4291 section 2.7.1).
#[must_use]
pub const fn all_routers() -> Ipv6Addr {
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2)
}

/// The solicited-node group of an address, to which solicitations for it are sent (RFC 4291 section 2.7.1).
#[must_use]
pub const fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | a as u16, (b as u16) << 8 | c as u16)
}

impl Solicitation {
    /// A multicast solicitation for the hardware address of a neighbour, to its solicited-node group (RFC 4861 section
    /// 7.2.2).
    #[must_use]
    pub const fn question(source: Ipv6Addr, hardware: EthernetAddress, target: Ipv6Addr) -> Self {
        Self { source, destination: solicited_node(target), target, hardware: Some(hardware), nonce: None }
    }

    /// A unicast solicitation that checks whether a neighbour is still reachable (RFC 4861 section 7.3.3).
    #[must_use]
    pub const fn check(source: Ipv6Addr, hardware: EthernetAddress, target: Ipv6Addr) -> Self {
        Self { source, destination: target, target, hardware: Some(hardware), nonce: None }
    }

    /// A probe for an address that this host wants to use (RFC 4862 section 5.4.2), with a nonce by which this host
    /// recognizes its own probe if it is looped back (RFC 7527 section 4.1).
    #[must_use]
    pub const fn probe(target: Ipv6Addr, nonce: Option<[u8; 6]>) -> Self {
        let (source, destination) = (Ipv6Addr::UNSPECIFIED, solicited_node(target));
        Self { source, destination, target, hardware: None, nonce }
    }

    /// Appends the message.
    pub fn write(&self, into: &mut Vec<u8>) {
        let Self { source, destination, target, hardware, nonce } = *self;
        let mut rest = Vec::from(target.octets());
        rest.extend(hardware.into_iter().flat_map(|hardware| option(options::SOURCE_HARDWARE, hardware.0)));
        rest.extend(nonce.into_iter().flat_map(|nonce| option(options::NONCE, nonce)));
        let kind = [types::NEIGHBOUR_SOLICITATION, 0];
        message(into, source.into(), destination.into(), kind, [0; 4], &rest);
    }
}

impl Advertisement {
    /// Appends the message.
    pub fn write(&self, into: &mut Vec<u8>, source: Ipv6Addr, destination: Ipv6Addr) {
        let Self { target, hardware, router, solicited, overrides } = *self;
        let flag = |set, bit| if set { bit } else { 0 };
        let flags = flag(router, ROUTER) | flag(solicited, SOLICITED) | flag(overrides, OVERRIDE);
        let mut rest = Vec::from(target.octets());
        rest.extend(hardware.into_iter().flat_map(|hardware| option(options::TARGET_HARDWARE, hardware.0)));
        let kind = [types::NEIGHBOUR_ADVERTISEMENT, 0];
        message(into, source.into(), destination.into(), kind, [flags, 0, 0, 0], &rest);
    }
}

/// Appends a router solicitation to [all routers](all_routers) (RFC 4861 section 4.1). It contains no hardware address
/// if the source is `::`.
pub fn router_solicitation(into: &mut Vec<u8>, source: Ipv6Addr, hardware: EthernetAddress) {
    let hardware = Some(hardware).filter(|_| !source.is_unspecified());
    let rest: Vec<u8> =
        hardware.into_iter().flat_map(|hardware| option(options::SOURCE_HARDWARE, hardware.0)).collect();
    message(into, source.into(), all_routers().into(), [types::ROUTER_SOLICITATION, 0], [0; 4], &rest);
}

/// An option of eight bytes.
const fn option(number: u8, [a, b, c, d, e, f]: [u8; 6]) -> [u8; 8] {
    [number, 1, a, b, c, d, e, f]
}
