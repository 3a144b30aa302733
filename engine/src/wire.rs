//! Packets on the wire: parsing of packets that arrive, and checksums of packets that leave.
//!
//! The fields of headers and the checksum arithmetic are `smoltcp::wire`'s. This module decides which packets are
//! well-formed.

mod hop_limit;

use core::net::IpAddr;

use smoltcp::wire::{IpAddress, IpProtocol, IpVersion, Ipv4Packet, Ipv6Packet, checksum};

pub use hop_limit::{HopLimit, InvalidHopLimit};

/// Bytes of an IPv4 header without options (RFC 791 section 3.1).
pub const IPV4_HEADER: usize = 20;
/// Bytes of an IPv6 header without extensions (RFC 8200 section 3).
pub const IPV6_HEADER: usize = 40;
/// The smallest MTU of a link that carries IPv6, in bytes (RFC 8200 section 5).
pub const IPV6_LEAST_MTU: usize = 1280;

/// The ECN codepoint in a packet's header (RFC 3168 section 5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ecn {
    /// Not-ECT: the sender does not support ECN.
    #[default]
    NotCapable,
    /// ECT(1).
    Capable1,
    /// ECT(0). This engine's own senders use it.
    Capable0,
    /// CE: a router is congested. Without ECN it would have dropped the packet.
    Congested,
}

impl Ecn {
    /// Reads the two lowest bits of the traffic class or type of service octet.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        match bits & 0b11 {
            0b00 => Self::NotCapable,
            0b01 => Self::Capable1,
            0b10 => Self::Capable0,
            _ => Self::Congested,
        }
    }

    /// The two bits of the codepoint.
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

/// As [`tcp_checksum`], but of the pseudo-header alone, for a segment of `length` bytes.
#[must_use]
pub(crate) fn tcp_pseudo_checksum(source: IpAddr, destination: IpAddr, length: usize) -> u16 {
    !pseudo_sum(source, destination, IpProtocol::Tcp, length)
}

#[expect(clippy::cast_possible_truncation, reason = "the pseudo-header counts modulo 2^32, and no packet has more")]
fn pseudo_sum(source: IpAddr, destination: IpAddr, protocol: IpProtocol, length: usize) -> u16 {
    let (source, destination) = (IpAddress::from(source), IpAddress::from(destination));
    checksum::pseudo_header(&source, &destination, protocol, length as u32)
}

/// A complete IP packet that has arrived. The headers between IP and the transport are skipped.
#[derive(Clone, Copy, Debug)]
pub struct Ip<'a> {
    /// The source address.
    pub source: IpAddr,
    /// The destination address.
    pub destination: IpAddr,
    /// The protocol of `payload`.
    pub protocol: IpProtocol,
    /// The ECN codepoint.
    pub ecn: Ecn,
    /// The transport header and data, without the bytes that lie elsewhere (see [`parse`](Self::parse)).
    pub payload: &'a [u8],
}

/// The source and the destination of a packet, if its header is complete.
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

/// The destination of a packet, if its header is complete.
#[must_use]
pub fn destination(packet: &[u8]) -> Option<IpAddr> {
    ends(packet).map(|(_, destination)| destination)
}

/// The protocol field of a packet's header, which may name an extension header.
#[must_use]
pub fn protocol(packet: &[u8]) -> Option<IpProtocol> {
    let at = match packet.first()? >> 4 {
        4 => 9,
        6 => 6,
        _ => return None,
    };
    packet.get(at).copied().map(IpProtocol::from)
}

/// The protocol directly after the IP header, if the packet has no IPv4 options and is not an IPv4 fragment.
#[must_use]
pub fn plain_protocol(packet: &[u8]) -> Option<IpProtocol> {
    let is_plain = match packet.first() {
        // Neither the more-fragments flag nor an offset is set.
        Some(0x45) => packet.get(6..8).is_some_and(|field| field[0] & 0x3f == 0 && field[1] == 0),
        Some(first) => first >> 4 == 6,
        None => false,
    };
    if is_plain { protocol(packet) } else { None }
}

/// The TCP checksum (RFC 9293 section 3.1) of a segment of `length` bytes, given in parts. The result is 0 if the
/// checksum field is correct, and the value for the field if the field is 0.
#[must_use]
pub(crate) fn tcp_checksum<'a>(
    source: IpAddr,
    destination: IpAddr,
    length: usize,
    parts: impl Iterator<Item = &'a [u8]>,
) -> u16 {
    transport_checksum(source, destination, IpProtocol::Tcp, length, parts)
}

/// As [`tcp_checksum`], for any protocol with the same kind of checksum.
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

/// How many extension headers before the transport header are skipped. No honest packet has more.
const MOST_EXTENSIONS: usize = 8;

impl<'a> Ip<'a> {
    /// Parses a packet. Its headers are in `packet`, and the last `apart` bytes of it lie elsewhere. Returns `None` if
    /// the packet is malformed, is a fragment, or has a wrong header checksum and `verify` is set.
    #[must_use]
    pub fn parse(packet: &'a [u8], apart: usize, verify: bool) -> Option<Self> {
        // smoltcp reads the first byte without checking that there is one.
        packet.first()?;
        // Bytes of the frame after the packet are padding. There is no padding between the two parts.
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

/// Skips the extension headers that a host may ignore (RFC 8200 section 4): hop-by-hop and destination options, and a
/// routing header with no segments left.
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
    fn the_protocol_of_a_packet_is_plain_without_options_and_fragments() {
        let mut packet = [0x45, 0, 0, 20, 0, 0, 0x40, 0, 64, 6];
        assert_eq!(plain_protocol(&packet), Some(IpProtocol::Tcp), "it must not be fragmented");
        for (at, value) in [(0, 0x46), (0, 0x55), (6, 0x20), (6, 0x01), (7, 1)] {
            let before = core::mem::replace(&mut packet[at], value);
            assert_eq!(plain_protocol(&packet), None, "byte {at}");
            packet[at] = before;
        }
        assert_eq!(plain_protocol(&packet[..9]), None);
        assert_eq!(plain_protocol(&ipv6(17, &[])), Some(IpProtocol::Udp));
        assert_eq!(plain_protocol(&[]), None);
    }

    #[test]
    fn extension_headers_are_skipped() {
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
    fn a_truncated_packet_is_not_parsed() {
        let packet = ipv6(0, &[6, 1, 1, 4, 0, 0, 0, 0]);
        for length in 0..=packet.len() {
            assert!(Ip::parse(&packet[..length], 0, true).is_none(), "{length}");
        }
    }
}
