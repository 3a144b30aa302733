//! Emitting of IGMP and MLD messages, as complete IP packets. They all have a hop limit of 1 and carry the router alert
//! option, so that routers process them although they are sent to a group.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use smoltcp::wire::{IpProtocol, checksum};

use super::Report;
use super::version::Version;
use crate::wire::{IPV4_HEADER, IPV6_HEADER, transport_checksum};

/// All IPv4 hosts on a link (RFC 1112 section 4).
pub(super) const ALL_SYSTEMS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);
/// All IPv4 routers on a link, the destination of leave messages (RFC 2236 section 3).
const ALL_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 2);
/// All IGMPv3 routers (RFC 3376 section 4.2.14).
const IGMP_V3_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 22);
/// All IPv6 hosts on a link (RFC 4291 section 2.7.1).
pub(super) const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// All IPv6 routers on a link, the destination of done messages (RFC 2710 section 4).
const ALL_ROUTERS_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
/// All MLDv2 routers (RFC 3810 section 5.2.14).
const MLD_V2_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);

/// Types of IGMP (RFC 3376 section 4).
pub(super) const IGMP_QUERY: u8 = 0x11;
pub(super) const IGMP_V1_REPORT: u8 = 0x12;
pub(super) const IGMP_V2_REPORT: u8 = 0x16;
const IGMP_V2_LEAVE: u8 = 0x17;
const IGMP_V3_REPORT: u8 = 0x22;
/// Types of ICMPv6 (RFC 2710 section 3.1, RFC 3810 section 5).
pub(super) const MLD_QUERY: u8 = 130;
pub(super) const MLD_V1_REPORT: u8 = 131;
const MLD_V1_DONE: u8 = 132;
const MLD_V2_REPORT: u8 = 143;

/// The router alert option of IPv4 (RFC 2113 section 2.1), and the length of an IPv4 header with it, in 32-bit words.
const ROUTER_ALERT_V4: [u8; 4] = [0x94, 4, 0, 0];
const IPV4_WORDS: u8 = 6;
/// The router alert option of IPv6 (RFC 2711 section 2.1). Its value for MLD is 0.
pub(super) const ROUTER_ALERT_V6: u8 = 5;
/// Internetwork control (RFC 3376 section 4).
const TYPE_OF_SERVICE: u8 = 0xc0;
/// The "don't fragment" flag of an IPv4 header. With it the packet needs no identification (RFC 6864 section 4.1).
const DO_NOT_FRAGMENT: [u8; 2] = [0x40, 0];
/// Bytes of a message before its records, or, in the older versions of IGMP, of the whole message.
const MESSAGE_HEADER: usize = 8;
/// The longest packet.
const LONGEST: usize = 0xffff;

/// The protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// For IPv4.
    Igmp,
    /// For IPv6.
    Mld,
}

/// A statement about a group, as a record type of the newest version (RFC 3376 section 4.2.12, RFC 3810 section
/// 5.2.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Statement {
    /// MODE_IS_EXCLUDE with no source: this host is a member. It answers a query.
    Member = 2,
    /// CHANGE_TO_INCLUDE_MODE with no source: this host has left the group.
    Left = 3,
    /// CHANGE_TO_EXCLUDE_MODE with no source: this host has joined the group.
    Joined = 4,
}

impl Protocol {
    /// How many records fit a packet of `mtu` bytes: at least one.
    pub(super) fn records(self, mtu: usize) -> usize {
        let (head, record) = match self {
            Self::Igmp => (IPV4_HEADER + ROUTER_ALERT_V4.len(), 8),
            Self::Mld => (IPV6_HEADER + 8, 20),
        };
        (mtu.min(LONGEST).saturating_sub(head + MESSAGE_HEADER) / record).max(1)
    }

    /// A report of the newest version. The caller passes at most as many records as [fit](Self::records).
    pub(super) fn report(self, source: Option<IpAddr>, records: &[(Statement, IpAddr)]) -> Report {
        let count = u16::try_from(records.len()).unwrap_or(u16::MAX).to_be_bytes();
        let (kind, destination) = match self {
            Self::Igmp => (IGMP_V3_REPORT, IGMP_V3_ROUTERS.into()),
            Self::Mld => (MLD_V2_REPORT, MLD_V2_ROUTERS.into()),
        };
        let mut message = Vec::from([kind, 0, 0, 0, 0, 0, count[0], count[1]]);
        for (statement, group) in records {
            // The record has no auxiliary data and no sources.
            message.extend([*statement as u8, 0, 0, 0]);
            push_address(&mut message, *group);
        }
        packet(source, destination, &mut message)
    }

    /// A message of an older version about one group; `None` if that version has no such message.
    pub(super) fn older(
        self,
        version: Version,
        source: Option<IpAddr>,
        statement: Statement,
        group: IpAddr,
    ) -> Option<Report> {
        let is_left = match statement {
            Statement::Left => true,
            Statement::Member | Statement::Joined => false,
        };
        let (kind, destination) = match (self, version) {
            (Self::Igmp, Version::Newest | Version::Older) if is_left => (IGMP_V2_LEAVE, ALL_ROUTERS.into()),
            (Self::Igmp, Version::Newest | Version::Older) => (IGMP_V2_REPORT, group),
            (Self::Igmp, Version::Oldest) if is_left => return None,
            (Self::Igmp, Version::Oldest) => (IGMP_V1_REPORT, group),
            (Self::Mld, _) if is_left => (MLD_V1_DONE, ALL_ROUTERS_V6.into()),
            (Self::Mld, _) => (MLD_V1_REPORT, group),
        };
        let mut message = Vec::from([kind, 0, 0, 0]);
        match self {
            Self::Igmp => {}
            // The maximum response delay, which only queries use, and reserved bytes.
            Self::Mld => message.extend([0; 4]),
        }
        push_address(&mut message, group);
        Some(packet(source, destination, &mut message))
    }
}

fn push_address(message: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => message.extend(address.octets()),
        IpAddr::V6(address) => message.extend(address.octets()),
    }
}

/// Sets the checksum of a message and adds the IP headers.
fn packet(source: Option<IpAddr>, destination: IpAddr, message: &mut [u8]) -> Report {
    let packet = match destination {
        IpAddr::V4(to) => {
            let from = match source {
                Some(IpAddr::V4(from)) => from,
                Some(IpAddr::V6(_)) | None => Ipv4Addr::UNSPECIFIED,
            };
            ipv4(from, to, message)
        }
        IpAddr::V6(to) => {
            let from = match source {
                Some(IpAddr::V6(from)) => from,
                Some(IpAddr::V4(_)) | None => Ipv6Addr::UNSPECIFIED,
            };
            ipv6(from, to, message)
        }
    };
    Report { packet, destination }
}

fn ipv4(source: Ipv4Addr, destination: Ipv4Addr, message: &mut [u8]) -> Vec<u8> {
    set_checksum(message, 2, !checksum::data(message));
    let total = IPV4_HEADER + ROUTER_ALERT_V4.len() + message.len();
    let mut packet = Vec::with_capacity(total);
    packet.extend([0x40 | IPV4_WORDS, TYPE_OF_SERVICE]);
    packet.extend(length_field(total));
    packet.extend([0, 0]);
    packet.extend(DO_NOT_FRAGMENT);
    packet.extend([1, u8::from(IpProtocol::Igmp), 0, 0]);
    packet.extend(source.octets());
    packet.extend(destination.octets());
    packet.extend(ROUTER_ALERT_V4);
    let sum = !checksum::data(&packet);
    set_checksum(&mut packet, 10, sum);
    packet.extend_from_slice(message);
    packet
}

fn ipv6(source: Ipv6Addr, destination: Ipv6Addr, message: &mut [u8]) -> Vec<u8> {
    let (length, parts) = (message.len(), core::iter::once(&*message));
    let sum = transport_checksum(source.into(), destination.into(), IpProtocol::Icmpv6, length, parts);
    set_checksum(message, 2, sum);
    // The hop-by-hop options header: eight bytes, with the router alert and two bytes of padding.
    let options = [u8::from(IpProtocol::Icmpv6), 0, ROUTER_ALERT_V6, 2, 0, 0, 1, 0];
    let payload = options.len() + message.len();
    let mut packet = Vec::with_capacity(IPV6_HEADER + payload);
    packet.extend([0x60, 0, 0, 0]);
    packet.extend(length_field(payload));
    packet.extend([u8::from(IpProtocol::HopByHop), 1]);
    packet.extend(source.octets());
    packet.extend(destination.octets());
    packet.extend(options);
    packet.extend_from_slice(message);
    packet
}

fn set_checksum(bytes: &mut [u8], at: usize, sum: u16) {
    if let Some(field) = bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<2>) {
        *field = sum.to_be_bytes();
    }
}

/// A length field. [`Protocol::records`] ensures that the length fits.
fn length_field(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes()
}
