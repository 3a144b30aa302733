//! Packets that arrive: which are delivered, and which are dropped.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::format;
use std::vec::Vec;

use smoltcp::wire::EthernetAddress;

use super::bench::{FAMILIES, Host, OTHER, OWN, PEER, PEER_PORT, PEER_V4, PEER_V6, PORT, V4, V6};
use super::write::{self, extension, fragment_header};
use crate::ip::icmp::Message;
use crate::link::arp::Arp;
use crate::link::groups::multicast_hardware;
use crate::ports::Owner;
use crate::tcp::{Options, Places};

const SYN: u8 = 2;

fn ends(own: IpAddr, peer: IpAddr) -> (SocketAddr, SocketAddr) {
    (SocketAddr::new(peer, PEER_PORT), SocketAddr::new(own, PORT))
}

/// A host with a UDP socket and a TCP listener on the port, at every address of the family.
fn serving(own: IpAddr) -> Host {
    let mut host = Host::acquainted();
    host.bind(own);
    let listener = host.engine.tcp_mut().bind(own, PORT, Owner::HOST).expect("free");
    host.engine.tcp_mut().listen(listener, Places::new(16), Options::default());
    host
}

#[test]
fn a_host_with_every_address_accepts_connections_to_every_address_and_port_and_claims_none_by_arp() {
    for (own, peer) in FAMILIES {
        let mut host = Host::acquainted();
        let other: IpAddr =
            if own.is_ipv4() { [198, 51, 100, 9].into() } else { "2001:db8:5::9".parse().expect("IPv6") };
        let any = if own.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
        let listener = host.engine.tcp_mut().bind(any, 0, Owner::HOST).expect("free");
        host.engine.tcp_mut().listen(listener, Places::new(16), Options::default());
        let (remote, local) = (SocketAddr::new(peer, PEER_PORT), SocketAddr::new(other, 4321));
        let syn = write::ip(peer, other, 6, &write::segment(remote, local, SYN, 100, 0));
        host.receive_packet(&syn);
        assert_eq!((host.sent(), host.dropped().0), (Vec::new(), 1), "not for this host");
        host.engine.interface_mut().set_every_address(true);
        host.receive_packet(&syn);
        let sent = host.sent();
        let packet = sent[0].packet().expect("an answer");
        assert_eq!((sent.len(), packet.source, packet.payload()[13]), (1, other, 0x12), "SYN, ACK");
        let ack =
            write::ip(peer, other, 6, &write::segment(remote, local, 0x10, 101, wire_sequence(packet.payload()) + 1));
        host.receive_packet(&ack);
        let accepted = host.engine.tcp_mut().accept(listener).expect("a connection");
        assert_eq!((accepted.local, accepted.remote), (local, remote));
        if let IpAddr::V4(other) = other {
            host.receive(&write::arp(&Arp::request(PEER, PEER_V4, other)));
            assert_eq!(host.sent(), [], "it is not this host's");
        }
    }
}

/// The sequence number of a segment.
fn wire_sequence(segment: &[u8]) -> u32 {
    u32::from_be_bytes([segment[4], segment[5], segment[6], segment[7]])
}

/// IPv6 extension headers that a host skips.
fn passed_by(next: u8) -> Vec<(&'static str, u8, Vec<u8>)> {
    std::vec![
        ("an atomic fragment", 44, fragment_header(next, 0, false, 0x1234).to_vec()),
        ("destination options", 60, extension(next, [1, 4, 0, 0, 0, 0]).to_vec()),
        ("an unknown option that is to be skipped", 60, extension(next, [0x1e, 4, 9, 9, 9, 9]).to_vec()),
        ("a routing header that was followed", 43, extension(next, [0, 0, 0, 0, 0, 0]).to_vec()),
        (
            "all of them",
            0,
            [
                extension(60, [1, 4, 0, 0, 0, 0]),
                extension(43, [1, 4, 0, 0, 0, 0]),
                extension(44, [253, 0, 0, 0, 0, 0]),
                fragment_header(next, 0, false, 9),
            ]
            .concat(),
        ),
    ]
}

fn behind(first: u8, headers: &[u8], payload: &[u8]) -> Vec<u8> {
    write::ip(PEER_V6.into(), V6.into(), first, &[headers, payload].concat())
}

#[test]
fn extension_headers_before_datagrams_segments_and_echo_requests_are_skipped() {
    let (remote, local) = ends(V6.into(), PEER_V6.into());
    for (name, first, headers) in passed_by(17) {
        let mut host = serving(V6.into());
        host.receive_packet(&behind(first, &headers, &write::datagram(remote, local, b"data")));
        assert_eq!(host.sent(), [], "{name}");
        assert_eq!(host.delivered(), [b"data"], "{name}");
    }
    for (name, first, headers) in passed_by(6) {
        let mut host = serving(V6.into());
        host.receive_packet(&behind(first, &headers, &write::segment(remote, local, SYN, 100, 0)));
        let sent = host.sent();
        let packet = sent[0].packet().expect("an answer");
        assert_eq!((sent.len(), u8::from(packet.protocol), packet.payload()[13]), (1, 6, 0x12), "{name}: SYN, ACK");
    }
    for (name, first, headers) in passed_by(58) {
        let mut host = serving(V6.into());
        host.receive_packet(&behind(first, &headers, &write::echo(PEER_V6.into(), V6.into(), 1, b"data")));
        let sent = host.sent();
        assert!(matches!(sent[0].icmp(), Some(Message::EchoReply(echo)) if echo.payload == b"data"), "{name}");
    }
}

/// An IPv4 packet with options.
fn with_options(packet: &[u8], options: &[u8]) -> Vec<u8> {
    let mut bytes = [&packet[..20], options, &packet[20..]].concat();
    bytes[0] = 0x45 + (options.len() / 4) as u8;
    let length = (bytes.len() as u16).to_be_bytes();
    bytes[2..4].copy_from_slice(&length);
    bytes[10..12].fill(0);
    let sum = (!smoltcp::wire::checksum::data(&bytes[..20 + options.len()])).to_be_bytes();
    bytes[10..12].copy_from_slice(&sum);
    bytes
}

#[test]
fn ipv4_options_are_ignored_and_source_routes_are_not_followed() {
    const DONE: [u8; 8] = [131, 7, 8, 192, 0, 2, 9, 0];
    const LEFT: [u8; 8] = [131, 7, 4, 192, 0, 2, 9, 0];
    let (remote, local) = ends(V4.into(), PEER_V4.into());
    let datagram = write::udp(remote, local, b"data");
    let segment = write::ip(PEER_V4.into(), V4.into(), 6, &write::segment(remote, local, SYN, 100, 0));
    for options in [[1, 1, 0x94, 4, 0, 0, 1, 0], DONE] {
        let mut host = serving(V4.into());
        host.receive_packet(&with_options(&datagram, &options));
        assert_eq!(host.delivered(), [b"data"], "{options:?}");
        host.receive_packet(&with_options(&segment, &options));
        assert_eq!(host.sent()[0].packet().expect("an answer").payload()[13], 0x12, "{options:?}: SYN, ACK");
    }
    for packet in [datagram, segment] {
        let mut host = serving(V4.into());
        host.receive_packet(&with_options(&packet, &LEFT));
        let sent = host.sent();
        let Some(Message::Error(report)) = sent[0].icmp() else { panic!() };
        assert_eq!((report.number, report.code, host.delivered().len()), (3, 5, 0), "RFC 1122 section 3.3.5");
    }
}

#[test]
fn a_routing_header_with_segments_left_is_a_parameter_problem() {
    let (remote, local) = ends(V6.into(), PEER_V6.into());
    for next in [17, 6] {
        let mut host = serving(V6.into());
        let payload = match next {
            17 => write::datagram(remote, local, b"data"),
            _ => write::segment(remote, local, SYN, 100, 0),
        };
        let packet = behind(43, &extension(next, [0, 1, 0, 0, 0, 0]), &payload);
        host.receive_packet(&packet);
        let sent = host.sent();
        assert_eq!((host.delivered().len(), sent.len()), (0, 1));
        let Some(Message::Error(report)) = sent[0].icmp() else { panic!() };
        assert_eq!((report.number, report.code, report.quoted.bytes), (4, 0, &packet[..]));
        let error = sent[0].packet().expect("a packet");
        assert_eq!((error.source, error.destination), (V6.into(), PEER_V6.into()));
        assert_eq!(error.payload()[4..8], [0, 0, 0, 42], "it points to the routing type (RFC 8200 section 4.4)");
    }
}

#[test]
fn a_datagram_over_ipv6_without_a_checksum_is_dropped_in_silence() {
    for (own, peer) in FAMILIES {
        let mut host = serving(own);
        let (remote, local) = ends(own, peer);
        let mut datagram = write::datagram(remote, local, b"data");
        datagram[6..8].fill(0);
        host.receive_packet(&write::ip(peer, own, 17, &datagram));
        assert_eq!(host.delivered().len(), usize::from(own.is_ipv4()), "RFC 8200 section 8.1");
        assert_eq!((host.sent(), host.dropped().0), (Vec::new(), u64::from(own.is_ipv6())));
        let mut datagram = write::datagram(remote, local, b"data");
        datagram[9] ^= 1;
        host.receive_packet(&write::ip(peer, own, 17, &datagram));
        assert_eq!((host.delivered().len(), host.sent().len()), (0, 0), "damaged");
    }
}

#[test]
fn frames_for_another_hardware_address_are_dropped() {
    for (own, peer) in FAMILIES {
        let mut host = serving(own);
        let (remote, local) = ends(own, peer);
        let packet = write::udp(remote, local, b"data");
        host.receive(&write::framed(OTHER, PEER, &packet));
        host.receive(&write::framed(OTHER, PEER, &write::ping(peer, own, 1, b"")));
        host.receive(&write::ethernet(OWN, PEER, [0x88, 0xcc], &[0; 46]));
        host.receive(&[2; 13]);
        assert_eq!((host.delivered().len(), host.sent().len(), host.dropped().0), (0, 0, 4));
        host.receive(&write::framed(OWN, PEER, &[&packet[..], &[0; 18]].concat()));
        assert_eq!(host.delivered(), [b"data"], "padding is cut off");
    }
}

#[test]
fn an_ipv4_unicast_packet_in_a_broadcast_frame_is_dropped() {
    let mut host = serving(V4.into());
    let (remote, local) = ends(V4.into(), PEER_V4.into());
    for to in [EthernetAddress::BROADCAST, multicast_hardware(Ipv4Addr::new(224, 0, 0, 1).into())] {
        host.receive(&write::framed(to, PEER, &write::udp(remote, local, b"data")));
        host.receive(&write::framed(to, PEER, &write::ping(PEER_V4.into(), V4.into(), 1, b"")));
        let segment = write::segment(remote, local, SYN, 1, 0);
        host.receive(&write::framed(to, PEER, &write::ip(PEER_V4.into(), V4.into(), 6, &segment)));
    }
    assert_eq!((host.delivered().len(), host.sent().len(), host.dropped().0), (0, 0, 6), "RFC 1122 section 3.3.6");
}

#[test]
fn broadcast_datagrams_are_delivered_and_broadcast_echo_requests_not_answered() {
    let mut host = Host::acquainted();
    host.bind(Ipv4Addr::UNSPECIFIED.into());
    for all in [Ipv4Addr::BROADCAST, Ipv4Addr::new(192, 0, 2, 255)] {
        let (remote, local) = ends(all.into(), PEER_V4.into());
        host.receive(&write::framed(EthernetAddress::BROADCAST, PEER, &write::udp(remote, local, b"all")));
        assert_eq!(host.delivered(), [b"all"]);
        host.receive(&write::framed(
            EthernetAddress::BROADCAST,
            PEER,
            &write::ping(PEER_V4.into(), all.into(), 1, b""),
        ));
    }
    assert_eq!(host.sent(), []);
}

#[test]
fn martian_packets_are_dropped_silently() {
    let v4 = |text: &str| IpAddr::V4(text.parse::<Ipv4Addr>().expect("an address"));
    let v6 = |text: &str| IpAddr::V6(text.parse::<Ipv6Addr>().expect("an address"));
    let (own, own6) = (IpAddr::V4(V4), IpAddr::V6(V6));
    let martians = [
        (v4("127.0.0.1"), own),
        (own, own),
        (v4("192.0.2.255"), own),
        (v4("255.255.255.255"), own),
        (v4("224.0.0.1"), own),
        (v4("240.0.0.1"), own),
        (v4("0.0.0.0"), own),
        (v4("0.1.2.3"), own),
        (IpAddr::V4(PEER_V4), v4("127.0.0.1")),
        (IpAddr::V4(PEER_V4), v4("0.0.0.0")),
        (IpAddr::V4(PEER_V4), v4("240.0.0.1")),
        (IpAddr::V4(PEER_V4), v4("192.0.2.77")),
        (v6("::1"), own6),
        (own6, own6),
        (v6("::"), own6),
        (v6("ff02::1"), own6),
        (v6("::ffff:192.0.2.2"), own6),
        (IpAddr::V6(PEER_V6), v6("::1")),
        (IpAddr::V6(PEER_V6), v6("::")),
        (IpAddr::V6(PEER_V6), v6("::ffff:192.0.2.1")),
        (IpAddr::V6(PEER_V6), v6("ff01::1")),
        (IpAddr::V6(PEER_V6), v6("ff00::1")),
        (IpAddr::V6(PEER_V6), v6("2001:db8::77")),
    ];
    for (source, destination) in martians {
        let mut host = serving(if source.is_ipv4() { own } else { own6 });
        let (remote, local) = (SocketAddr::new(source, PEER_PORT), SocketAddr::new(destination, PORT));
        let closed = SocketAddr::new(destination, PORT + 1);
        host.receive_packet(&write::udp(remote, local, b"data"));
        host.receive_packet(&write::udp(remote, closed, b"data"));
        host.receive_packet(&write::ping(source, destination, 1, b""));
        for local in [local, closed] {
            host.receive_packet(&write::ip(source, destination, 6, &write::segment(remote, local, SYN, 1, 0)));
        }
        host.receive_packet(&write::ip(source, destination, 200, b"unknown"));
        let name = format!("{source} to {destination}");
        assert_eq!((host.sent(), host.dropped()), (Vec::new(), (6, 0)), "{name}");
        assert_eq!(host.delivered().len(), 0, "{name}");
    }
}

#[test]
fn echo_requests_to_a_group_are_answered_only_over_ipv6() {
    let mut host = Host::acquainted();
    let nodes = crate::link::ndp::all_nodes();
    let to = multicast_hardware(nodes.into());
    host.receive(&write::framed(to, PEER, &write::ping(PEER_V6.into(), nodes.into(), 1, b"x")));
    let sent = host.sent();
    let packet = sent[0].packet().expect("a reply");
    assert_eq!((packet.source, packet.destination), (V6.into(), PEER_V6.into()), "RFC 4443 section 4.2");
    let systems = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 1));
    host.receive(&write::framed(multicast_hardware(systems), PEER, &write::ping(PEER_V4.into(), systems, 1, b"x")));
    assert_eq!(host.sent(), []);
}

#[test]
fn fragmented_neighbour_discovery_is_ignored() {
    let mut host = Host::new();
    let mut message = Vec::new();
    crate::link::ndp::Solicitation::question(PEER_V6, PEER, V6).write(&mut message);
    let group = crate::link::ndp::solicited_node(V6);
    let headers = fragment_header(58, 0, false, 1);
    let packet = write::hopping(255, PEER_V6.into(), group.into(), 44, &[&headers[..], &message].concat());
    host.receive(&write::framed(multicast_hardware(group.into()), PEER, &packet));
    assert_eq!((host.sent(), host.neighbour(PEER_V6.into())), (Vec::new(), None), "RFC 6980 section 5");
}

/// A device may deliver a frame in two parts.
#[test]
fn a_frame_in_parts_is_received_as_one_packet() {
    for (own, peer) in FAMILIES {
        let (remote, local) = ends(own, peer);
        let frame = write::framed(OWN, PEER, &write::udp(remote, local, &[7; 3000]));
        for head in [60, 100, 1500] {
            let mut host = serving(own);
            let mut buffer = crate::buffer::Memory::HEAP.buffer(frame.len());
            buffer.append(&frame[head..]);
            let apart = [buffer.share()];
            let arrived =
                crate::engine::Arrived { head: &frame[..head], apart: &apart, is_verified: false, segment: 0 };
            host.with(|engine, now, wire| engine.receive(arrived, now, wire));
            assert_eq!(host.delivered(), [[7; 3000]]);
        }
    }
}

#[test]
fn checksums_are_not_verified_if_the_device_has_verified_them() {
    for (own, peer) in FAMILIES {
        let (remote, local) = ends(own, peer);
        let mut host = serving(own);
        let mut frame = write::framed(OWN, PEER, &write::udp(remote, local, b"data"));
        *frame.last_mut().expect("a byte") ^= 1;
        for is_verified in [false, true] {
            let arrived = crate::engine::Arrived { head: &frame, apart: &[], is_verified, segment: 0 };
            host.with(|engine, now, wire| engine.receive(arrived, now, wire));
            assert_eq!(host.delivered().len(), usize::from(is_verified));
        }
    }
}

#[test]
fn multicast_and_broadcast_packets_leave_without_a_solicitation() {
    let mut host = Host::new();
    let cases = [
        (IpAddr::V4(V4), IpAddr::V4(Ipv4Addr::BROADCAST), EthernetAddress::BROADCAST),
        (V4.into(), Ipv4Addr::new(192, 0, 2, 255).into(), EthernetAddress::BROADCAST),
        (V4.into(), Ipv4Addr::new(239, 129, 2, 3).into(), EthernetAddress([1, 0, 0x5e, 1, 2, 3])),
        (V6.into(), crate::link::ndp::all_nodes().into(), EthernetAddress([0x33, 0x33, 0, 0, 0, 1])),
    ];
    for (source, destination, hardware) in cases {
        assert_eq!(host.send(source, destination, b"data"), Ok(()));
        let sent = host.sent();
        assert_eq!((sent.len(), sent[0].to(), sent[0].datagram()), (1, hardware, Some(&b"data"[..])));
    }
    assert_eq!(host.send(V4.into(), [203, 0, 113, 1].into(), b"x"), Err(crate::interface::SendError::Unreachable));
}
