//! Frames of other hosts, as bytes.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::vec;
use std::vec::Vec;

use smoltcp::wire::{EthernetAddress, IpProtocol};

use crate::buffer::Payload;
use crate::ip::icmp::write::{Reason, echo_reply, echo_request, error, message};
use crate::ip::output::{Checksums, Header};
use crate::link::arp::Arp;
use crate::link::groups::multicast_hardware;
use crate::link::ndp::{Advertisement, Solicitation};
use crate::udp::datagram;

pub(super) const ARP: [u8; 2] = [0x08, 0x06];
pub(super) const IPV4: [u8; 2] = [0x08, 0x00];
pub(super) const IPV6: [u8; 2] = [0x86, 0xdd];

pub(super) fn ethernet(to: EthernetAddress, from: EthernetAddress, ethertype: [u8; 2], body: &[u8]) -> Vec<u8> {
    [&to.0[..], &from.0, &ethertype, body].concat()
}

/// A frame with an IP packet of either family.
pub(super) fn framed(to: EthernetAddress, from: EthernetAddress, packet: &[u8]) -> Vec<u8> {
    ethernet(to, from, if packet[0] >> 4 == 4 { IPV4 } else { IPV6 }, packet)
}

/// A frame with an ARP message: replies go to their target, everything else to the broadcast address.
pub(super) fn arp(message: &Arp) -> Vec<u8> {
    let is_reply = message.operation == crate::link::arp::Operation::Reply && !message.is_announcement();
    let to = if is_reply { message.target_hardware } else { EthernetAddress::BROADCAST };
    ethernet(to, message.sender_hardware, ARP, &message.bytes())
}

/// An IP packet without options, with a hop limit of 64.
pub(super) fn ip(source: IpAddr, destination: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    hopping(64, source, destination, protocol, payload)
}

pub(super) fn hopping(hop_limit: u8, source: IpAddr, destination: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let header = Header { source, destination, protocol: IpProtocol::from(protocol), hop_limit, traffic_class: 0 };
    let mut packet = vec![0; header.length() + payload.len()];
    header.write(&mut packet, payload.len(), true);
    packet[header.length()..].copy_from_slice(payload);
    packet
}

/// The payload of an IP packet with a UDP datagram.
pub(super) fn datagram(source: SocketAddr, destination: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; datagram::HEADER + payload.len()];
    let written = datagram::write(source, destination, Payload::from(payload), Checksums::All, &mut bytes);
    assert_eq!(written, Ok(bytes.len()));
    bytes
}

pub(super) fn udp(source: SocketAddr, destination: SocketAddr, payload: &[u8]) -> Vec<u8> {
    ip(source.ip(), destination.ip(), 17, &datagram(source, destination, payload))
}

/// The protocol number of ICMP for a family.
pub(super) const fn icmp(address: IpAddr) -> u8 {
    if address.is_ipv4() { 1 } else { 58 }
}

/// An ICMP message of an echo request.
pub(super) fn echo(source: IpAddr, destination: IpAddr, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    echo_request(&mut bytes, source, destination, 7, sequence, payload);
    bytes
}

pub(super) fn ping(source: IpAddr, destination: IpAddr, sequence: u16, payload: &[u8]) -> Vec<u8> {
    ip(source, destination, icmp(source), &echo(source, destination, sequence, payload))
}

pub(super) fn pong(source: IpAddr, destination: IpAddr, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    echo_reply(&mut bytes, source, destination, 7, sequence, payload);
    ip(source, destination, icmp(source), &bytes)
}

/// A packet with an error about another packet.
pub(super) fn error_about(source: IpAddr, destination: IpAddr, reason: Reason, about: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    error(&mut bytes, source, destination, reason, about);
    ip(source, destination, icmp(source), &bytes)
}

/// A frame with a neighbour discovery message, to a group or to a single host.
pub(super) fn discovery(
    hardware: (EthernetAddress, EthernetAddress),
    source: Ipv6Addr,
    destination: Ipv6Addr,
    bytes: &[u8],
) -> Vec<u8> {
    let (to, from) = hardware;
    let to = if destination.is_multicast() { multicast_hardware(destination.into()) } else { to };
    framed(to, from, &hopping(255, source.into(), destination.into(), 58, bytes))
}

pub(super) fn solicitation(hardware: (EthernetAddress, EthernetAddress), solicitation: &Solicitation) -> Vec<u8> {
    let mut bytes = Vec::new();
    solicitation.write(&mut bytes);
    discovery(hardware, solicitation.source, solicitation.destination, &bytes)
}

pub(super) fn advertisement(
    hardware: (EthernetAddress, EthernetAddress),
    source: Ipv6Addr,
    destination: Ipv6Addr,
    advertisement: &Advertisement,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    advertisement.write(&mut bytes, source, destination);
    discovery(hardware, source, destination, &bytes)
}

/// A frame with a router advertisement: preference bits, lifetime in seconds, options.
pub(super) fn router_advertisement(
    from: EthernetAddress,
    source: Ipv6Addr,
    flags: u8,
    lifetime: u16,
    options: &[u8],
) -> Vec<u8> {
    router_advertisement_with(0, from, source, flags, lifetime, options)
}

/// The same with a hop limit (Cur Hop Limit), which is 0 where none is said.
pub(super) fn router_advertisement_with(
    hop_limit: u8,
    from: EthernetAddress,
    source: Ipv6Addr,
    flags: u8,
    lifetime: u16,
    options: &[u8],
) -> Vec<u8> {
    let nodes = crate::link::ndp::all_nodes();
    let [high, low] = lifetime.to_be_bytes();
    let rest = [&[0; 8][..], &[1, 1], &from.0, options].concat();
    let mut bytes = Vec::new();
    message(&mut bytes, source.into(), nodes.into(), [134, 0], [hop_limit, flags, high, low], &rest);
    discovery((EthernetAddress([0; 6]), from), source, nodes, &bytes)
}

/// A prefix option for a /64 (RFC 4861 section 4.6.2), on-link and autonomous, with a lifetime of an hour.
pub(super) fn prefix(network: Ipv6Addr) -> Vec<u8> {
    let mut option = Vec::from([3, 4, 64, 0xc0]);
    option.extend(3600u32.to_be_bytes());
    option.extend(1800u32.to_be_bytes());
    option.extend([0; 4]);
    option.extend(network.octets());
    option
}

/// An IPv6 extension header of eight bytes: the next header, and its data.
pub(super) const fn extension(next: u8, data: [u8; 6]) -> [u8; 8] {
    let [a, b, c, d, e, f] = data;
    [next, 0, a, b, c, d, e, f]
}

/// A Fragment header (RFC 8200 section 4.5).
pub(super) fn fragment_header(next: u8, offset: u16, more: bool, identification: u32) -> [u8; 8] {
    let [high, low] = (offset | u16::from(more)).to_be_bytes();
    let [a, b, c, d] = identification.to_be_bytes();
    [next, 0, high, low, a, b, c, d]
}

/// A TCP segment without options and data.
pub(super) fn segment(source: SocketAddr, destination: SocketAddr, flags: u8, sequence: u32, answer: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(source.port().to_be_bytes());
    bytes.extend(destination.port().to_be_bytes());
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(answer.to_be_bytes());
    bytes.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    let (from, to) = (source.ip(), destination.ip());
    let sum = crate::wire::tcp_checksum(from, to, bytes.len(), core::iter::once(&bytes[..])).to_be_bytes();
    bytes[16..18].copy_from_slice(&sum);
    bytes
}

/// An IGMP message in its packet, with a router alert (RFC 3376 section 4).
pub(super) fn igmp(source: Ipv4Addr, destination: Ipv4Addr, message: &[u8]) -> Vec<u8> {
    let mut message = message.to_vec();
    let sum = (!smoltcp::wire::checksum::data(&message)).to_be_bytes();
    message[2..4].copy_from_slice(&sum);
    hopping(1, source.into(), destination.into(), 2, &message)
}

/// An MLD message in its packet, with a router alert in a hop-by-hop header (RFC 3810 section 5).
pub(super) fn mld(source: Ipv6Addr, destination: Ipv6Addr, number: u8, word: [u8; 4], rest: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::from(extension(58, [5, 2, 0, 0, 1, 0]));
    message(&mut bytes, source.into(), destination.into(), [number, 0], word, rest);
    hopping(1, source.into(), destination.into(), 0, &bytes)
}
