//! Packets as they are on the wire: one parse for each that arrives, one emit for each that leaves.
//!
//! Header fields and checksums are `smoltcp::wire`'s; how much of a packet is believed is decided here.

mod hop_limit;

use core::net::IpAddr;

use smoltcp::wire::{IpAddress, IpProtocol, IpVersion, Ipv4Packet, Ipv6Packet, checksum};

pub use hop_limit::{HopLimit, InvalidHopLimit};

/// Bytes of an IPv4 header without options (RFC 791 section 3.1).
pub const IPV4_HEADER: usize = 20;
/// Bytes of an IPv6 header without extensions (RFC 8200 section 3).
pub const IPV6_HEADER: usize = 40;
/// The narrowest link that carries IPv6, by its IP MTU in bytes (RFC 8200 section 5).
pub const IPV6_LEAST_MTU: usize = 1280;

/// What routers say of congestion in a packet's header (RFC 3168 section 5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ecn {
    /// The sender does not take part.
    #[default]
    NotCapable,
    /// ECT(1).
    Capable1,
    /// ECT(0), what this engine's own senders use.
    Capable0,
    /// CE: a router would rather have dropped the packet.
    Congested,
}

impl Ecn {
    /// From the two lowest bits of an octet, the traffic class or type of service.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        match bits & 0b11 {
            0b00 => Self::NotCapable,
            0b01 => Self::Capable1,
            0b10 => Self::Capable0,
            _ => Self::Congested,
        }
    }

    /// The two bits.
    #[must_use]
    pub const fn bits(self) -> u8 {
        match self {
            Self::NotCapable => 0b00,
            Self::Capable1 => 0b01,
            Self::Capable0 => 0b10,
            Self::Congested => 0b11,
        }
    }
}

/// As [`tcp_checksum`], of the pseudo-header alone, for a segment of so many bytes.
#[must_use]
pub(crate) fn tcp_pseudo_checksum(source: IpAddr, destination: IpAddr, length: usize) -> u16 {
    !pseudo_sum(source, destination, IpProtocol::Tcp, length)
}

#[expect(clippy::cast_possible_truncation, reason = "the pseudo-header counts modulo 2^32, and no packet has more")]
fn pseudo_sum(source: IpAddr, destination: IpAddr, protocol: IpProtocol, length: usize) -> u16 {
    let (source, destination) = (IpAddress::from(source), IpAddress::from(destination));
    checksum::pseudo_header(&source, &destination, protocol, length as u32)
}

/// An IP packet that has arrived, whole, with the headers between IP and the transport walked over.
#[derive(Clone, Copy, Debug)]
pub struct Ip<'a> {
    /// Who sent it.
    pub source: IpAddr,
    /// Whom it is for.
    pub destination: IpAddr,
    /// What `payload` is.
    pub protocol: IpProtocol,
    /// What routers said.
    pub ecn: Ecn,
    /// The transport's header and data, or as much of it as does not lie apart.
    pub payload: &'a [u8],
}

/// The source and the destination of a packet, where its header is whole.
#[must_use]
pub fn ends(packet: &[u8]) -> Option<(IpAddr, IpAddr)> {
    fn at<const LENGTH: usize>(packet: &[u8], offset: usize) -> Option<[u8; LENGTH]> {
        packet.get(offset..)?.first_chunk().copied()
    }
    match packet.first()? >> 4 {
        4 => Some((at::<4>(packet, 12)?.into(), at::<4>(packet, 16)?.into())),
        6 => Some((at::<16>(packet, 8)?.into(), at::<16>(packet, 24)?.into())),
        _ => None,
    }
}

/// The destination of a packet, where its header is whole.
#[must_use]
pub fn destination(packet: &[u8]) -> Option<IpAddr> {
    ends(packet).map(|(_, destination)| destination)
}

/// What the header of a packet says that it carries, which may be an extension header.
#[must_use]
pub fn protocol(packet: &[u8]) -> Option<IpProtocol> {
    let at = match packet.first()? >> 4 {
        4 => 9,
        6 => 6,
        _ => return None,
    };
    packet.get(at).copied().map(IpProtocol::from)
}

/// What the TCP checksum of a segment of so many bytes, in parts, comes to (RFC 9293 section 3.1): 0 where its field is
/// right, and what the field is to be where that is 0.
#[must_use]
pub(crate) fn tcp_checksum<'a>(
    source: IpAddr,
    destination: IpAddr,
    length: usize,
    parts: impl Iterator<Item = &'a [u8]>,
) -> u16 {
    transport_checksum(source, destination, IpProtocol::Tcp, length, parts)
}

/// As [`tcp_checksum`], of any protocol that has the same kind of checksum.
#[must_use]
pub(crate) fn transport_checksum<'a>(
    source: IpAddr,
    destination: IpAddr,
    protocol: IpProtocol,
    length: usize,
    parts: impl Iterator<Item = &'a [u8]>,
) -> u16 {
    let mut sum = pseudo_sum(source, destination, protocol, length);
    let mut is_odd = false;
    for bytes in parts {
        let part = checksum::data(bytes);
        sum = checksum::combine(&[sum, if is_odd { part.swap_bytes() } else { part }]);
        is_odd ^= bytes.len() % 2 == 1;
    }
    !sum
}

/// Extension headers before the transport's that are walked over; no honest packet has more.
const MOST_EXTENSIONS: usize = 8;

impl<'a> Ip<'a> {
    /// Reads a packet, whose headers are whole in `packet`, and of which `apart` more bytes lie elsewhere; `None` for one that is
    /// malformed, a fragment, or whose checksum is wrong where `verify` says that there is one.
    #[must_use]
    pub fn parse(packet: &'a [u8], apart: usize, verify: bool) -> Option<Self> {
        // smoltcp looks at the first byte without asking whether there is one.
        packet.first()?;
        // What follows the packet in its frame is padding; nothing is between the two parts.
        let within = |total: usize| total <= packet.len() + apart && (apart == 0 || total == packet.len() + apart);
        match IpVersion::of_packet(packet).ok()? {
            IpVersion::Ipv4 => {
                if packet.len() < IPV4_HEADER {
                    return None;
                }
                let ip = Ipv4Packet::new_unchecked(packet);
                let (header, total) = (usize::from(ip.header_len()), usize::from(ip.total_len()));
                if header < IPV4_HEADER || header > packet.len() || total < header || !within(total) {
                    return None;
                }
                if ip.more_frags() || ip.frag_offset() != 0 || (verify && !ip.verify_checksum()) {
                    return None;
                }
                Some(Self {
                    source: ip.src_addr().into(),
                    destination: ip.dst_addr().into(),
                    protocol: ip.next_header(),
                    ecn: Ecn::from_bits(ip.ecn()),
                    payload: packet.get(header..total - apart)?,
                })
            }
            IpVersion::Ipv6 => {
                if packet.len() < IPV6_HEADER {
                    return None;
                }
                let ip = Ipv6Packet::new_unchecked(packet);
                if !within(ip.total_len()) {
                    return None;
                }
                let payload = packet.get(IPV6_HEADER..ip.total_len() - apart)?;
                let (protocol, payload) = walk(ip.next_header(), payload)?;
                Some(Self {
                    source: ip.src_addr().into(),
                    destination: ip.dst_addr().into(),
                    protocol,
                    ecn: Ecn::from_bits(ip.traffic_class()),
                    payload,
                })
            }
        }
    }
}

/// Walks over the extension headers that a host may pass by (RFC 8200 section 4): hop-by-hop and destination options, and
/// a routing header that has been followed to its end.
fn walk(mut protocol: IpProtocol, mut payload: &[u8]) -> Option<(IpProtocol, &[u8])> {
    for _ in 0..MOST_EXTENSIONS {
        match protocol {
            IpProtocol::HopByHop | IpProtocol::Ipv6Opts => {}
            IpProtocol::Ipv6Route if payload.get(3) == Some(&0) => {}
            _ => return Some((protocol, payload)),
        }
        let length = (usize::from(*payload.get(1)?) + 1) * 8;
        protocol = IpProtocol::from(*payload.first()?);
        payload = payload.get(length..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
        let length = u16::try_from(payload.len()).expect("short").to_be_bytes();
        let mut packet = Vec::from([0x60, 0x10, 0, 0, length[0], length[1], next, 64]);
        packet.extend([0xfe; 16]);
        packet.extend([0xfd; 16]);
        packet.extend(payload);
        packet
    }

    #[test]
    fn extension_headers_are_walked_over() {
        let mut payload = Vec::from([60, 0, 1, 4, 0, 0, 0, 0]);
        payload.extend([6, 0, 1, 4, 0, 0, 0, 0]);
        payload.extend([1, 2, 3]);
        let packet = ipv6(0, &payload);
        let ip = Ip::parse(&packet, 0, true).expect("well-formed");
        assert_eq!((ip.protocol, ip.payload), (IpProtocol::Tcp, &[1, 2, 3][..]));
        assert_eq!(ip.ecn, Ecn::Capable1);
    }

    #[test]
    fn a_routing_header_with_segments_left_is_not_for_this_host() {
        let mut payload = Vec::from([6, 0, 0, 1, 0, 0, 0, 0]);
        payload.extend([1, 2, 3]);
        let packet = ipv6(43, &payload);
        assert_eq!(Ip::parse(&packet, 0, true).map(|ip| ip.protocol), Some(IpProtocol::Ipv6Route));
    }

    #[test]
    fn what_is_cut_short_is_not_a_packet() {
        let packet = ipv6(0, &[6, 1, 1, 4, 0, 0, 0, 0]);
        for length in 0..=packet.len() {
            assert!(Ip::parse(&packet[..length], 0, true).is_none(), "{length}");
        }
    }
}
