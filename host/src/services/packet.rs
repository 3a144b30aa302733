//! The frames of DHCP and of router advertisements, which no socket can receive and send.

use core::net::{IpAddr, Ipv4Addr, SocketAddrV4};

use smoltcp::wire::{EthernetAddress, EthernetFrame, EthernetProtocol, IpProtocol, Ipv4Packet, UdpPacket};
use xila_network_engine::ip::headers::Packet;

use super::dhcp::{Answer, SERVER_PORT};
use super::router::Advertisement;
use crate::address::MacAddress;
use crate::device::{ETHERNET_HEADER, Frame};

const IPV4_HEADER: usize = 20;
const UDP_HEADER: usize = 8;
const HOP_LIMIT: u8 = 64;

/// A datagram for a DHCP server.
pub(crate) struct DhcpRequest<'a> {
    /// The hardware address of the neighbour that has sent it.
    pub(crate) sender: MacAddress,
    /// The address that it was sent to.
    pub(crate) destination: Ipv4Addr,
    pub(crate) payload: &'a [u8],
}

/// The datagram for a DHCP server that a frame carries. `None` for anything else, fragments, and wrong checksums.
pub(crate) fn dhcp_request(frame: &Frame) -> Option<DhcpRequest<'_>> {
    // Whether it is one is decided by the head, because a large frame would be put together to be read as a whole.
    let head = packet_of(frame.head(), EthernetProtocol::Ipv4)?;
    let at_port = usize::from(head.first()? & 0xf) * 4 + 2;
    if *head.get(9)? != u8::from(IpProtocol::Udp) || head.get(at_port..at_port + 2)? != SERVER_PORT.to_be_bytes() {
        return None;
    }
    let sender = MacAddress::new(*frame.head().get(6..)?.first_chunk()?).ok()?;
    let packet = Packet::parse(packet_of(frame, EthernetProtocol::Ipv4)?, !frame.is_unchecked()).ok()?;
    let (IpAddr::V4(source), IpAddr::V4(destination)) = (packet.source, packet.destination) else { return None };
    if packet.needs_reassembly() || packet.protocol != IpProtocol::Udp {
        return None;
    }
    let datagram = UdpPacket::new_checked(packet.payload()).ok()?;
    if !frame.is_unchecked() && !datagram.verify_checksum(&source.into(), &destination.into()) {
        return None;
    }
    Some(DhcpRequest { sender, destination, payload: packet.payload().get(UDP_HEADER..datagram.len().into())? })
}

/// The IPv6 packet that a frame carries, if it may be a router solicitation: others are not looked at as a whole.
pub(crate) fn maybe_solicitation(frame: &Frame) -> Option<&[u8]> {
    const ROUTER_SOLICITATION: u8 = 133;
    let head = packet_of(frame.head(), EthernetProtocol::Ipv6)?;
    // Neighbour discovery has no extension headers in practice, and none but those is answered.
    if *head.get(6)? != u8::from(IpProtocol::Icmpv6) || *head.get(40)? != ROUTER_SOLICITATION {
        return None;
    }
    packet_of(frame, EthernetProtocol::Ipv6)
}

/// The packet in a frame, if it is of a protocol.
fn packet_of(frame: &[u8], protocol: EthernetProtocol) -> Option<&[u8]> {
    let ethernet = EthernetFrame::new_checked(frame).ok()?;
    (ethernet.ethertype() == protocol).then(|| frame.get(ETHERNET_HEADER..))?
}

/// The frame of a server's answer.
pub(crate) fn dhcp_answer(hardware: MacAddress, server: Ipv4Addr, answer: &Answer) -> Option<Vec<u8>> {
    let Answer { hardware: to, destination, payload } = answer;
    let packet = udp_v4(SocketAddrV4::new(server, SERVER_PORT), *destination, payload)?;
    Some(ethernet(hardware, *to, EthernetProtocol::Ipv4, &packet))
}

/// The frame of an advertisement.
pub(crate) fn advertisement(hardware: MacAddress, advertisement: &Advertisement) -> Vec<u8> {
    // The group's hardware address (RFC 2464 section 7).
    let [.., a, b, c, d] = advertisement.destination.octets();
    ethernet(hardware, [0x33, 0x33, a, b, c, d], EthernetProtocol::Ipv6, &advertisement.packet)
}

fn ethernet(source: MacAddress, destination: [u8; 6], protocol: EthernetProtocol, packet: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; ETHERNET_HEADER + packet.len()];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes[..]);
    frame.set_src_addr(EthernetAddress(source.octets()));
    frame.set_dst_addr(EthernetAddress(destination));
    frame.set_ethertype(protocol);
    frame.payload_mut().copy_from_slice(packet);
    bytes
}

/// `None` if the datagram is longer than a packet can be.
fn udp_v4(source: SocketAddrV4, destination: SocketAddrV4, payload: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(IPV4_HEADER + UDP_HEADER + payload.len()).ok()?;
    let mut bytes = vec![0; length.into()];
    let mut packet = Ipv4Packet::new_unchecked(&mut bytes[..]);
    packet.set_version(4);
    packet.set_header_len(IPV4_HEADER as u8);
    packet.set_total_len(length);
    // It is never fragmented, so its identification needs no value (RFC 6864 section 4.1).
    packet.set_dont_frag(true);
    packet.set_hop_limit(HOP_LIMIT);
    packet.set_next_header(IpProtocol::Udp);
    packet.set_src_addr(*source.ip());
    packet.set_dst_addr(*destination.ip());
    packet.fill_checksum();
    let mut datagram = UdpPacket::new_unchecked(packet.payload_mut());
    datagram.set_src_port(source.port());
    datagram.set_dst_port(destination.port());
    datagram.set_len(length - IPV4_HEADER as u16);
    datagram.payload_mut().copy_from_slice(payload);
    datagram.fill_checksum(&(*source.ip()).into(), &(*destination.ip()).into());
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Pool;

    fn frame(bytes: &[u8]) -> Frame {
        let mut frame = Pool::new(1514, 1).frame(bytes.len());
        frame.copy_from_slice(bytes);
        frame
    }

    fn request() -> Vec<u8> {
        let (client, all) = ("0.0.0.0:68".parse().expect("an address"), "255.255.255.255:67".parse().expect("one"));
        let packet = udp_v4(client, all, b"a request").expect("a short one");
        let sender = MacAddress::new([2, 0, 0, 0, 0, 7]).expect("a unicast address");
        ethernet(sender, [0xff; 6], EthernetProtocol::Ipv4, &packet)
    }

    #[test]
    fn an_answer_is_not_to_be_fragmented() {
        let destination = "10.0.0.50:68".parse().expect("an address");
        let answer = Answer { hardware: [2, 0, 0, 0, 0, 7], destination, payload: b"an answer".to_vec() };
        let own = MacAddress::new([2, 0, 0, 0, 0, 1]).expect("a unicast address");
        let frame = dhcp_answer(own, Ipv4Addr::new(10, 0, 0, 1), &answer).expect("a short one");
        let packet = Ipv4Packet::new_checked(&frame[ETHERNET_HEADER..]).expect("a packet");
        assert!(packet.dont_frag() && packet.verify_checksum());
        assert_eq!((packet.more_frags(), packet.frag_offset(), packet.ident()), (false, 0, 0));
    }

    #[test]
    fn a_request_is_found_in_its_frame_and_a_changed_one_is_not() {
        let good = request();
        let sent = frame(&good);
        let found = dhcp_request(&sent).expect("a request");
        assert_eq!((found.sender.octets(), found.payload), ([2, 0, 0, 0, 0, 7], &b"a request"[..]));
        assert_eq!(found.destination, Ipv4Addr::BROADCAST);
        for at in 12..good.len() {
            let mut changed = good.clone();
            changed[at] ^= 1;
            assert!(dhcp_request(&frame(&changed)).is_none(), "byte {at}");
        }
        for length in 0..good.len() {
            assert!(dhcp_request(&frame(&good[..length])).is_none(), "{length} bytes");
        }
        let mut unchecked = good;
        let last = unchecked.len() - 1;
        unchecked[last] ^= 1;
        let mut unchecked = frame(&unchecked);
        unchecked.set_unchecked(true);
        assert!(dhcp_request(&unchecked).is_some(), "the sender leaves the checksum to the device");
    }
}
